"""Settings and results are values: nobody can change one that another part of the program holds."""

import dataclasses
import importlib
import pkgutil

import preprocess
import training

CHANGES = {"training.loop.signals.StopRequest"}  # a signal handler writes into it


def dataclasses_of(package):
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(info.name)
        for kind in vars(module).values():
            if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == info.name:
                yield f"{info.name}.{kind.__name__}", kind


def test_all_are_frozen_but_those_that_are_meant_to_change():
    found = {name: kind for package in (preprocess, training) for name, kind in dataclasses_of(package)}
    assert len(found) > 25
    assert {name for name, kind in found.items() if not kind.__dataclass_params__.frozen} == CHANGES
