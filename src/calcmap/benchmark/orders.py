"""What one measuring process is told, and what it answers; both travel as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from calcmap.core.errors import ConfigError


class Measurement(StrEnum):
    """What a measuring process measures."""

    WARM = "warm"
    """Whole studies, one after the other, in one process."""
    CALCMAP = "calcmap"
    """Both shipped networks."""
    CLSTM = "clstm"
    """The published layout, as heart and as calcium network."""
    UNET = "unet"
    """The U-Net, likewise."""


BASELINES = (Measurement.CLSTM, Measurement.UNET)
"""Networks that CalcMap is compared with; they need torch."""
NETWORKS = (Measurement.CALCMAP, *BASELINES)


@dataclass(frozen=True)
class WorkOrder:
    """One measurement.

    Parameters
    ----------
    measurement : Measurement
        Of what.
    study : Path
        The study to read.
    heart, calcium : Path
        Network files.
    work : Path
        Folder for what is written on the way.
    repeats : int
        Passes over the whole study, after one that is not counted.
    slices : int
        Slices that a baseline is timed on; all slices where there are fewer.

    Raises
    ------
    ConfigError
        Fewer than one pass or slice.
    """

    measurement: Measurement
    study: Path
    heart: Path
    calcium: Path
    work: Path
    repeats: int = 5
    slices: int = 6

    def __post_init__(self) -> None:
        if min(self.repeats, self.slices) < 1:
            raise ConfigError(f"repeats is {self.repeats} and slices {self.slices}, expected at least 1 of each")


@dataclass(frozen=True)
class WarmRun:
    """Answer to `Measurement.WARM`: seconds of each pass, and what became of the study."""

    shape_zyx: tuple[int, ...]
    spacing_mm_zyx: tuple[float, ...]
    status: str
    total_seconds: tuple[float, ...]
    step_seconds: dict[str, tuple[float, ...]]
    """Each step's seconds in each pass, in the order in which the steps are taken."""
    memory_mb: dict[str, float]
    """Most memory held up to the end of each stage of the first pass."""
    weights_sha256: dict[str, str]
    reason: str | None = None
    """Why the study has no score."""


@dataclass(frozen=True)
class NetworkRun:
    """Answer to a measurement of networks: what heart and calcium network took together, one entry a timing."""

    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    """Of all cores together; less than what the clock says times the cores where other work took its share."""
    slices_each: int
    """Slices that one timing went over."""
    study_slices: int
    startup_mb: float
    """Most memory held when libraries and study were loaded, and no network yet."""
    engine: str
    parameters: int | None = None
    """Of both networks; ``None`` where the network files do not say."""
