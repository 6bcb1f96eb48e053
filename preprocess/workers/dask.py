"""Tasks on the workers of a running Dask cluster. Only --cluster imports this module.

The client's event loop runs in the main thread, and only while something is awaited: so every wait has a timeout, and
Ctrl-C ends it between two steps of the loop.
"""

import asyncio
import logging
import pickle
import signal
import socket
import uuid
import warnings
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import click
from distributed import CancelledError, Client, KilledWorker
from distributed.exceptions import WorkerStartTimeoutError

from preprocess import crop
from system.command import stop_signals

T = TypeVar("T")
R = TypeVar("R")

_CONNECT_TIMEOUT_S = 10  # a scheduler that is just starting is tried again until then
_WORKERS_TIMEOUT_S = 60  # a worker takes 3 to start, and a dead one's successor as many
_POLL_INTERVAL_S = 5
_CLOSE_TIMEOUT_S = 2

_TASKS_PER_WORKER = 4  # one running and some waiting, so that no worker is idle while results travel

_CONTINUES = "Finished work is kept, and the same command continues."


class ClusterPool:
    """The workers of a Dask cluster in a `with` block, used like a local.WorkerPool.

    The workers see the same folders at the same paths as this machine. When the block is left, what they have not
    begun is dropped.
    Raises click.UsageError where no scheduler answers at `address`.
    """

    def __init__(self, address: str):
        # Errors of the cluster are reported here; Dask would log tables and tracebacks of them.
        logging.disable()
        warnings.filterwarnings("ignore", module="distributed")
        self._address = address
        self._loop = asyncio.new_event_loop()
        try:
            self._client = self._turn(_connected(address))
        except Exception as error:  # a wrong address raises anything from OSError to TypeError
            raise click.UsageError(
                f"No Dask scheduler answers at {address}: {str(error) or f'no answer for {_CONNECT_TIMEOUT_S} s'}. "
                "Start one with python -m dask scheduler, or leave --cluster out: then processes of this machine do "
                "the work."
            ) from None

    def __enter__(self) -> "ClusterPool":
        return self

    def __exit__(self, *_: object) -> None:
        self._turn(_leave(self._client))
        self._loop.close()

    def completed(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Yield each task with its result as soon as it is done, in any order, as local.WorkerPool does.

        When a worker dies, Dask gives its task to another. Raises click.ClickException, with the name of the machine,
        for one in `work`; for a task on which four workers died (Dask's allowed-failures); and where the scheduler is
        gone, has no workers, or they cannot run this program.
        """
        ahead = iter(tasks)
        waiting = self._turn(self._fill(set(), work, ahead))
        while waiting:
            done, waiting = self._turn(
                asyncio.wait(waiting, timeout=_POLL_INTERVAL_S, return_when=asyncio.FIRST_COMPLETED)
            )
            if not done:
                self._look_for_workers()
            for result in done:
                yield result.result()
            waiting = self._turn(self._fill(waiting, work, ahead))

    def _turn(self, wait: Coroutine[Any, Any, R]) -> R:
        """Run the loop until `wait` has ended, and return its result.

        A signal cancels the wait, and its handler is called when the loop has stopped: an exception raised within a
        step of asyncio or Dask would leave coroutines behind, with warnings that they were never awaited.
        """
        task = self._loop.create_task(wait)
        caught = []

        def end(number, frame):
            caught.append(number)
            self._loop.call_soon_threadsafe(task.cancel)  # which also wakes the loop

        before = {number: signal.signal(number, end) for number in stop_signals()}
        try:
            return self._loop.run_until_complete(task)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for number in caught:
                signal.raise_signal(number)

    async def _fill(
        self, waiting: set[asyncio.Task[tuple[T, R]]], work: Callable[[T], R], ahead: Iterator[T]
    ) -> set[asyncio.Task[tuple[T, R]]]:
        """Hand out tasks until each worker has a few: all at once they would take gigabytes of a large source."""
        try:
            workers = sum((await asyncio.wait_for(self._client.nthreads(), _CONNECT_TIMEOUT_S)).values())
        except (TimeoutError, OSError, CancelledError):  # the scheduler is gone: the waiting tasks report it
            workers = 0
        room = _TASKS_PER_WORKER * max(workers, 1) - len(waiting)
        more = islice(ahead, max(room, 0 if waiting else 1))
        return waiting | {asyncio.create_task(self._result(work, task)) for task in more}

    async def _result(self, work: Callable[[T], R], task: T) -> tuple[T, R]:
        call = pickle.dumps(_Call(_do, (work, task, crop.versions())))
        key = f"{work.__name__}-{uuid.uuid4()}"  # new in each run: Dask keeps results by their key
        try:
            return task, await self._client.submit(pickle.loads, call, key=key)
        except click.ClickException:
            raise
        except CancelledError:
            raise self._gone() from None
        except KilledWorker as error:
            raise click.ClickException(
                f"{error.allowed_failures + 1} workers died, one after the other, while making {task}. Were they "
                f"killed, or out of memory? {_CONTINUES}"
            ) from None
        except Exception as error:
            raise click.ClickException(
                f"{task} failed on the cluster: {error!r}. The workers must run this version of the program: start "
                f"them in this folder, with an environment like this one. {_CONTINUES}"
            ) from None

    def _look_for_workers(self) -> None:
        client: Any = self._client  # its types are those of a client without an event loop
        look = client.wait_for_workers(1, timeout=_WORKERS_TIMEOUT_S)
        try:
            self._turn(asyncio.wait_for(look, _WORKERS_TIMEOUT_S + _CONNECT_TIMEOUT_S))
        except WorkerStartTimeoutError:
            raise click.ClickException(
                f"The cluster at {self._address} has had no workers for {_WORKERS_TIMEOUT_S} s. Start some with "
                f"python -m dask worker {self._address}. {_CONTINUES}"
            ) from None
        except (TimeoutError, OSError):
            raise self._gone() from None

    def _gone(self) -> click.ClickException:
        return click.ClickException(
            f"The scheduler at {self._address} is gone, or has dropped the work. Start it again. {_CONTINUES}"
        )


async def _connected(address: str) -> Client:
    client = Client(address, asynchronous=True, set_as_default=False)
    try:
        return await asyncio.wait_for(client, _CONNECT_TIMEOUT_S)
    except BaseException:
        await _leave(client)
        raise


async def _leave(client: Client) -> None:
    if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_CLOSE_TIMEOUT_S)
    with suppress(Exception):  # the scheduler may be gone
        await asyncio.wait_for(client.close(), _CLOSE_TIMEOUT_S)


class _Call(NamedTuple):
    """A call that takes place where it is unpickled: by the worker, so that the scheduler may lack this package."""

    function: Callable
    arguments: tuple

    def __reduce__(self):
        return self.function, self.arguments


def _do(work: Callable[[T], R], task: T, versions: dict) -> R:
    """Run one task in a worker. Raises click.ClickException that names this machine."""
    try:
        if crop.versions() != versions:
            raise click.ClickException(
                f"its pixels could differ, for it has {crop.versions()}, and the machine of the command {versions}. "
                "Install the same Pillow on both."
            )
        return work(task)
    except click.ClickException as error:
        raise click.ClickException(f"On {socket.gethostname()}: {error.message}") from None
