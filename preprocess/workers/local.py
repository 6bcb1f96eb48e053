"""Tasks on worker processes of this machine. Nothing here hangs, and nothing outlives the run.

A pipe for each worker instead of concurrent.futures: we know which task a dead worker had, processes start before
there is a task, and no queue can block (https://github.com/python/cpython/issues/94777).
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, TypeVar

import click

from system.limits import is_single_threaded

T = TypeVar("T")
R = TypeVar("R")

_STOPS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Worker(NamedTuple):
    """A process and this side of the pipe to it."""

    process: Any
    link: Connection


class WorkerPool:
    """Worker processes in a `with` block. They start at once, to be ready for the first task."""

    def __init__(self, size: int):
        self._idle = [_start() for _ in range(size)]
        self._busy: dict[Any, tuple[Worker, Any]] = {}  # by the link of the worker

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        workers = [*self._idle, *(worker for worker, _ in self._busy.values())]
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()

    def completed(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[tuple[T, R]]:
        """Yield each task with its result as soon as it is done, in any order. A task is taken when a worker is free.

        `work` is a function of a module; its argument and result can be pickled. A click.ClickException in it is
        raised here. When a worker dies (killed, out of memory), its task is given to another; a task that takes that
        one along too is named in a click.ClickException.
        """
        waiting = iter(tasks)
        retried: list[T] = []
        again: list[T] = []
        while True:
            while self._idle and (task := again.pop() if again else next(waiting, None)) is not None:
                self._hand(work, task)
            if not self._busy:
                return
            for link in wait(list(self._busy)):
                worker, task = self._busy.pop(link)
                try:
                    answer = worker.link.recv()
                except (EOFError, ConnectionError):
                    self._idle.append(_start())
                    if task in retried:
                        raise click.ClickException(
                            f"A worker process died twice while making {task}. Was it killed, or out of memory? "
                            "Fewer --workers need less. Finished work is kept, and the same command continues."
                        ) from None
                    retried.append(task)
                    again.append(task)
                    continue
                self._idle.append(worker)
                if isinstance(answer, click.ClickException):
                    raise answer
                yield task, answer

    def _hand(self, work: Callable[[T], R], task: T) -> None:
        worker = self._idle.pop()
        self._busy[worker.link] = worker, task
        with suppress(ConnectionError):  # the worker has died: `completed` notices when it reads
            worker.link.send((work, task))


def _start() -> Worker:
    # A fork takes 2 ms, a new Python 150. It is unsafe beside threads, such as the progress bar's or obstore's, and off
    # Linux.
    context: Any = multiprocessing.get_context("fork" if is_single_threaded() else "spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,), daemon=True)
    # Signals are blocked during the start: the child inherits the mask, so Ctrl-C reaches the parent alone, and a
    # pending signal reaches it on unblocking, when the child has all that it needs.
    resource_tracker.ensure_running()  # or process.start() would start it, which unblocks them
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    there.close()  # or the pipe would stay open here when the worker dies
    return Worker(process, here)


def _serve(link: Connection) -> None:
    """Run in a worker: answer each (work, task) with its result, or with the click.ClickException that it raised."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a fork inherits the parent's handler
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):
        while True:
            work, task = link.recv()
            try:
                answer = work(task)
            except click.ClickException as error:
                answer = error
            link.send(answer)


def _end_with_parent() -> None:
    """End this process when the parent has ended, for whatever reason, even within a task."""
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)
