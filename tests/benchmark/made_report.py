"""A benchmark's report of made-up figures that are easy to check by hand."""

from __future__ import annotations

from dataclasses import replace

from calcmap.benchmark.figures import (
    BenchReport,
    NetworkFigures,
    ProcessFigures,
    Spread,
    StudyFacts,
    WarmFigures,
)
from calcmap.benchmark.machine import MachineFacts

QUIET_LOAD = 0.2
MISSING = NetworkFigures(reason="torch is not installed")


def network(seconds: float, *, cpu_seconds: float, slices: int | None = None) -> NetworkFigures:
    """Return figures of one pair of networks."""
    return NetworkFigures(
        seconds_per_study=seconds,
        best_seconds_per_study=seconds,
        cpu_seconds_per_study=cpu_seconds,
        peak_mb=500.0,
        startup_mb=100.0,
        parameters=12_029_302,
        timings=slices or 5,
        extrapolated_from_slices=slices,
        engine="an engine 1.0",
    )


def made_report(**changes: object) -> BenchReport:
    """Return the report of a quiet machine with two cores: CalcMap 0.5 s, clstm 60 s, unet 90 s."""
    once = ProcessFigures(runs=3, wall_seconds=Spread(2.0, 2.125), cpu_seconds=Spread(1.5, 1.75), peak_mb=400.0)
    report = BenchReport(
        machine=MachineFacts(2, "a processor", "Linux", "3.11.7", {"numpy": "2.0", "torch": None}, QUIET_LOAD),
        study=StudyFacts(True, (60, 512, 512), (3.27, 1.0, 1.0), "scored", None),
        weights_sha256={"heart": "a" * 64, "calcium": "b" * 64},
        warm=WarmFigures(
            repeats=5,
            total_seconds=Spread(0.75, 0.8125),
            steps={"find": Spread(0.015, 0.016), "heart": Spread(0.25, 0.26)},
            memory_mb={"start": 85.0, "read": 137.0},
            peak_mb=450.0,
        ),
        cold=once,
        help=replace(once, peak_mb=21.0),
        networks={
            "calcmap": network(0.5, cpu_seconds=0.75),
            "clstm": network(60.0, cpu_seconds=115.0, slices=6),
            "unet": network(90.0, cpu_seconds=174.0, slices=6),
        },
    )
    return replace(report, **changes)  # type: ignore[arg-type]
