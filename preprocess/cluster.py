"""Task after task on the workers of a Dask cluster that is there already. Imported where --cluster is given alone."""

import logging
import pickle
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from distributed import Client, Future, wait

T = TypeVar("T")
R = TypeVar("R")

_PATIENCE = 30.0


@dataclass(frozen=True)
class _Call:
    function: Callable
    argument: Any

    def __reduce__(self):
        return self.function, (self.argument,)


class Cluster:
    def __init__(self, address: str):
        self._client = Client(address, timeout=10)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close(timeout=5)

    def completed(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[tuple[T, R]]:
        running = {
            self._client.submit(pickle.loads, pickle.dumps(_Call(work, task)), key=f"{work.__name__}-{uuid.uuid4()}"): task
            for task in tasks
        }
        while running:
            for future in wait(list(running), return_when="FIRST_COMPLETED").done:
                yield running.pop(future), future.result()
