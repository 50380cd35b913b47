"""What the process may use of the machine it runs on."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Return the number of cores that this process may run on; where the system does not say, all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
