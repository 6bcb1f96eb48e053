"""The commands on small shards, and what a run leaves in its folder, read."""

import csv
import json

from explore.sample import main as sample_command
from tests.command import Command
from training.run import main as run_command

SMALL = ["--batch-size", "10", "--strategy", "one"]

run, sample = Command(run_command), Command(sample_command)


def history(folder):
    with (folder / "history.csv").open(newline="") as file:
        return [{**line, "seconds": None} for line in csv.DictReader(file)]


def scores(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def stats(folder):
    """The lines of status."""
    events = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    return [event for event in events if event["event"] == "status"]
