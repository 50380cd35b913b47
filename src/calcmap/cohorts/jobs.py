"""Jobs of a cohort: one case, one job, one folder, on any number of processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from calcmap.core.errors import ConfigError
from calcmap.core.machine import usable_cores


def run_jobs(jobs: Mapping[Path, Callable[[Path], None]], *, workers: int | None) -> Iterator[Path]:
    """Run each job that has no finished folder yet; a folder appears only when its job is done."""
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is {workers}, expected at least 1")
    for folder in jobs:
        if folder.is_dir():
            yield folder
    waiting = {folder: job for folder, job in jobs.items() if not folder.is_dir()}
    with ProcessPoolExecutor(max_workers=usable_cores() if workers is None else workers) as pool:
        futures = {pool.submit(_write_aside, job, folder): folder for folder, job in waiting.items()}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        finally:
            # After an error, or when the caller stops listening, jobs that have not begun are not worth waiting for.
            pool.shutdown(wait=False, cancel_futures=True)


def _write_aside(job: Callable[[Path], None], folder: Path) -> None:
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    job(part)
    part.rename(folder)
