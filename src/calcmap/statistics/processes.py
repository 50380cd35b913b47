"""Draws of a bootstrap on one or several processes, a few at a time."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

Made = TypeVar("Made")


def run_draws(job: Callable[[range], Made], draws: int, *, at_a_time: int, workers: int) -> Iterator[Made]:
    """Yield what a job makes of the numbers of some draws, in whatever order it is done.

    Parameters
    ----------
    job : callable
        From the numbers of some draws to anything. With several processes it and what it makes must be picklable: a
        module-level function, or `functools.partial` of one with its data, which travel to each process once.
    draws : int
        Their number; they are numbered from 0.
    at_a_time : int
        Draws that one process is given at once.
    workers : int
        Processes, at least 1; with 1 nothing leaves this process.

    Yields
    ------
    Made
        Of the draws of one call.
    """
    spans = [range(first, min(first + at_a_time, draws)) for first in range(0, draws, at_a_time)]
    if workers == 1:
        yield from map(job, spans)
        return
    context = multiprocessing.get_context("spawn")  # fork would copy a process whose libraries run threads
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_keep, initargs=(job,)) as pool:
        futures: list[Future[Made]] = [pool.submit(_run_kept, span) for span in spans]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            # After an error, or when the caller stops listening, draws that have not begun are not worth waiting for.
            pool.shutdown(wait=False, cancel_futures=True)


_kept: list[Callable[[range], Any]] = []  # Any: what the one job of this process makes
"""What a worker process was given once, so that the table does not travel with every task."""


def _keep(job: Callable[[range], Any]) -> None:
    _kept[:] = [job]


def _run_kept(span: range) -> Any:
    return _kept[0](span)
