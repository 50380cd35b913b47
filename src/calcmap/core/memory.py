"""Peak memory of processes in one unit."""

from __future__ import annotations

import sys

BYTES_PER_MB = 1_000_000
"""MB are decimal, as file sizes and promises are given."""


def to_mb(max_rss: int) -> float:
    """Return the kernel's ``ru_maxrss`` in MB; Linux counts it in units of 1024 bytes, macOS in bytes."""
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return max_rss * unit_bytes / BYTES_PER_MB


def peak_rss_mb() -> float:
    """Return the most memory that this process has held so far, MB."""
    import resource  # not on every system: whoever calls this checks first, or catches the ImportError

    return to_mb(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
