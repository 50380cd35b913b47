"""Settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from calcmap.core.errors import ConfigError
from calcmap.segmentation.heart_grid import HeartGridConfig


class Task(StrEnum):
    """What a network is trained to find."""

    HEART = "heart"
    CALCIUM = "calcium"


@dataclass(frozen=True)
class NetworkSettings:
    """Size of the network; see `calcmap.networks.calcmap_net.CalcMapNetConfig`."""

    level_channels: tuple[int, ...] = (8, 16, 32, 48, 64)
    lstm_level: int = 2
    lstm_channels: int = 16
    reach: int = 1


@dataclass(frozen=True)
class LossSettings:
    """Focal loss (Lin et al. 2020), and for the heart a soft Dice beside it."""

    focal_gamma: float = 2.0
    class_weights: tuple[float, ...] = (1.0, 1.0)
    """One weight a class, background first."""
    dice_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.focal_gamma < 0 or self.dice_weight < 0 or min(self.class_weights) <= 0:
            raise ConfigError("focal_gamma and dice_weight must not be negative, class_weights must be positive")


@dataclass(frozen=True)
class AugmentationSettings:
    """Random changes of every training crop; each value is the largest change, drawn evenly from both sides."""

    rotation_degrees: float = 8.0
    scale: float = 0.12
    slice_scale: float = 0.15
    shift_px: float = 6.0
    hu_gain: float = 0.05
    hu_offset: float = 15.0
    noise_hu: float = 20.0
    """Largest SD of added noise."""
    heart_shift_mm: float = 4.0
    """Calcium only: how far the heart mask is moved, as a predicted heart would be."""


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Parameters
    ----------
    task : Task
        Heart or calcium.
    steps : int
        Optimiser steps in all.
    slices : int
        Consecutive slices of one crop.
    crops : int
        Crops of one step, each from another case.
    crop_px : int
        Rows and columns of a crop; for the heart, the coarse grid's own size.
    learning_rate, weight_decay, warmup_steps : float
        AdamW with linear warm-up, then a cosine to zero.
    seed : int
        Of initial weights, sampling and augmentation.
    validate_every : int
        Steps between validations and checkpoints.
    validation_share : float
        Share of groups held out for validation, split so that categories are alike.
    site_weights : dict
        Relative frequency of a case's site in sampling; 1 where a site is not named.
    exclude_groups : tuple of str
        Groups left out altogether, for leave-one-scan-out runs.
    init_from : Path or None
        Checkpoint (``best.pt`` of another run) whose weights are the start.
    """

    task: Task
    steps: int = 2000
    slices: int = 12
    crops: int = 2
    crop_px: int = 96
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 50
    seed: int = 0
    validate_every: int = 200
    validation_share: float = 0.15
    threads: int = 2
    network: NetworkSettings = field(default_factory=NetworkSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    heart_grid: HeartGridConfig = field(default_factory=HeartGridConfig)
    site_weights: dict[str, float] = field(default_factory=dict)
    exclude_groups: tuple[str, ...] = ()
    init_from: Path | None = None

    def __post_init__(self) -> None:
        complaints = []
        stride = 2 ** (len(self.network.level_channels) - 1)
        if self.crop_px % stride:
            complaints.append(f"crop_px is {self.crop_px}, expected a multiple of {stride}")
        if self.task is Task.HEART and self.crop_px != self.heart_grid.size_px:
            complaints.append(f"crop_px is {self.crop_px}, expected heart_grid.size_px ({self.heart_grid.size_px})")
        if len(self.loss.class_weights) != self.n_classes:
            complaints.append(
                f"loss.class_weights has {len(self.loss.class_weights)} values, expected {self.n_classes}"
            )
        if min(self.steps, self.slices, self.crops, self.validate_every, self.threads) < 1:
            complaints.append("steps, slices, crops, validate_every and threads must be at least 1")
        if not 0.0 < self.validation_share < 1.0:
            complaints.append(f"validation_share is {self.validation_share}, expected between 0 and 1")
        if complaints:
            raise ConfigError("; ".join(complaints))

    @property
    def n_classes(self) -> int:
        """Classes of the network: heart 2, calcium 3."""
        return 2 if self.task is Task.HEART else 3

    @property
    def in_channels(self) -> int:
        """Input channels of one slice: heart 1, calcium 5."""
        return 1 if self.task is Task.HEART else 5
