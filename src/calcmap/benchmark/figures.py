"""The figures of a benchmark, the arithmetic behind them, and their JSON."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from calcmap import __version__
from calcmap.benchmark.machine import MachineFacts
from calcmap.benchmark.orders import BASELINES, Measurement, NetworkRun
from calcmap.core.result import DISCLAIMER, JsonValue, Status

JSON_DIGITS = 5
"""Decimals of seconds, MB and ratios in JSON: 10 microseconds, far below what repeats differ by."""
BUSY_SHARE = 0.5
"""From this load per core on, other work is likely to have slowed the measurements (our choice)."""
STARVED_SHARE = 0.7
"""Plain convolutions keep nearly all cores busy; a baseline with less than this share was held up by other work, and
its clock time says nothing of it (our choice)."""


@dataclass(frozen=True)
class Spread:
    """Repeated measurements: the smallest, which other work on the machine disturbed least, and the median."""

    best: float
    median: float


@dataclass(frozen=True)
class ProcessFigures:
    """A command started afresh several times; ``cpu_seconds`` are those of all cores together."""

    runs: int
    wall_seconds: Spread
    cpu_seconds: Spread
    peak_mb: float
    """Largest of all runs."""


@dataclass(frozen=True)
class WarmFigures:
    """Whole studies in one process that has its networks loaded."""

    repeats: int
    total_seconds: Spread
    steps: dict[str, Spread]
    memory_mb: dict[str, float]
    peak_mb: float


@dataclass(frozen=True)
class NetworkFigures:
    """Heart and calcium network together on the whole study; ``None`` where not measured, and ``reason`` says why."""

    seconds_per_study: float | None = None
    """Median of the timings."""
    best_seconds_per_study: float | None = None
    cpu_seconds_per_study: float | None = None
    """Median, of all cores together."""
    peak_mb: float | None = None
    """Of the whole process, libraries and study included."""
    startup_mb: float | None = None
    """The share of libraries and study in it."""
    parameters: int | None = None
    timings: int = 0
    extrapolated_from_slices: int | None = None
    """Slices that were timed, when the study's time is scaled up from them; ``None`` when the whole study was timed."""
    engine: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class StudyFacts:
    """The study that was timed, and whether it has a score."""

    is_simulated: bool
    shape_zyx: tuple[int, ...]
    spacing_mm_zyx: tuple[float, ...]
    status: str
    reason: str | None


@dataclass(frozen=True)
class BenchReport:
    """Everything that one run of the benchmark measured."""

    machine: MachineFacts
    study: StudyFacts
    weights_sha256: dict[str, str]
    warm: WarmFigures
    cold: ProcessFigures
    help: ProcessFigures
    """``calcmap --help``: what it costs to start."""
    networks: dict[str, NetworkFigures]

    @property
    def times_faster(self) -> dict[str, float | None]:
        """How many times less time CalcMap's networks take than each baseline; ``None`` where there is no figure."""
        own = self.networks[Measurement.CALCMAP].seconds_per_study
        return {name: ratio(self.networks[name].seconds_per_study, own) for name in BASELINES}

    @property
    def times_less_cpu(self) -> dict[str, float | None]:
        """As `times_faster`, in processor time, which other work on the machine changes less."""
        own = self.networks[Measurement.CALCMAP].cpu_seconds_per_study
        return {name: ratio(self.networks[name].cpu_seconds_per_study, own) for name in BASELINES}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures must know."""
        return (
            *_load_notes(self.machine),
            *_study_notes(self.study),
            *_missing_notes(self.networks),
            *_starved_notes(self.networks, cores=self.machine.cores),
        )


def spread(values: Sequence[float]) -> Spread:
    """Return the smallest and the median of at least one value."""
    return Spread(min(values), statistics.median(values))


def ratio(theirs: float | None, ours: float | None) -> float | None:
    """Return ``theirs / ours``; ``None`` when either is missing or ours is 0."""
    return theirs / ours if theirs is not None and ours else None


def figures_of_networks(run: NetworkRun, *, peak_mb: float) -> NetworkFigures:
    """Return the figures of a measurement, its seconds scaled to all slices of the study.

    Both networks of a baseline see every slice of a study and do the same work on each, so seconds are proportional to
    the number of slices.
    """
    found = spread(run.seconds)
    factor = run.study_slices / run.slices_each
    is_whole = run.slices_each == run.study_slices
    return NetworkFigures(
        seconds_per_study=found.median * factor,
        best_seconds_per_study=found.best * factor,
        cpu_seconds_per_study=spread(run.cpu_seconds).median * factor,
        peak_mb=peak_mb,
        startup_mb=run.startup_mb,
        parameters=run.parameters,
        timings=len(run.seconds),
        extrapolated_from_slices=None if is_whole else run.slices_each * len(run.seconds),
        engine=run.engine,
    )


def report_to_json(report: BenchReport) -> dict[str, JsonValue]:
    """Return a report as the JSON object that ``calcmap bench --json`` prints."""
    fields = asdict(report)
    json_fields = _json(
        {
            "calcmap_version": __version__,
            **fields,
            "times_faster": report.times_faster,
            "times_less_cpu": report.times_less_cpu,
            "notes": report.notes,
            "disclaimer": DISCLAIMER,
        }
    )
    return json_fields if isinstance(json_fields, dict) else {}


def _json(value: object) -> JsonValue:
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_json(item) for item in value]
    if isinstance(value, float):
        return round(value, JSON_DIGITS)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _load_notes(machine: MachineFacts) -> list[str]:
    load = machine.load_before
    if load is None or load < BUSY_SHARE * machine.cores:
        return []
    return [f"the machine was busy (load {load:.1f} on {machine.cores} cores): a quiet one would be faster"]


def _study_notes(study: StudyFacts) -> list[str]:
    if study.status == Status.SCORED:
        return []
    return [f"the study has no score, so these times are not those of a whole score: {study.reason}"]


def _missing_notes(networks: Mapping[str, NetworkFigures]) -> list[str]:
    return [f"{name} was NOT measured: {figures.reason}" for name, figures in networks.items() if figures.reason]


def _starved_notes(networks: Mapping[str, NetworkFigures], *, cores: int) -> list[str]:
    """Return a warning for each baseline that did not get the cores which it would have used."""
    notes = []
    for name in BASELINES:
        share = ratio(networks[name].cpu_seconds_per_study, networks[name].seconds_per_study)
        if share is not None and share < STARVED_SHARE * cores:
            notes.append(
                f"{name} got {share:.1f} of {cores} cores: its seconds are too long, and how much faster calcmap is "
                "cannot be told from them; look at processor time, or measure again on a quiet machine"
            )
    return notes
