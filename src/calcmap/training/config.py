"""Settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path

from calcmap.core.errors import ConfigError
from calcmap.networks.neighbours import Neighbours
from calcmap.segmentation.heart_grid import HeartGridConfig


class Task(StrEnum):
    """What a network is trained to find."""

    HEART = "heart"
    CALCIUM = "calcium"


class NetworkKind(StrEnum):
    """Which network is trained; the recipe is the same for all."""

    CALCMAP = "calcmap"
    """Our own, `calcmap.networks.calcmap_net`."""
    CLSTM = "clstm"
    """The published layout, `calcmap.networks.clstm`."""
    UNET = "unet"
    """The paper's comparator, `calcmap.networks.unet`."""


class Device(StrEnum):
    """What trains."""

    AUTO = "auto"
    """The GPU if torch sees one, else the CPU."""
    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True)
class NetworkSettings:
    """Which network, and its size.

    Parameters
    ----------
    kind : NetworkKind
        Ours, the published layout, or the comparator.
    level_channels, lstm_level, lstm_channels, reach, neighbours
        Of ``calcmap`` alone; what each means and may be stands in `calcmap.networks.calcmap_net`.
    base_channels : int
        Of ``unet`` alone: channels at full resolution. The published layout has one size.
    sees_heart : bool
        Calcium only. Without it the network gets HU alone, no heart mask and no place in the heart; it learns from
        every voxel of the box that is dense enough, and what it finds there is not cut back to the heart. The box
        itself is still laid around the heart.
    """

    kind: NetworkKind = NetworkKind.CALCMAP
    level_channels: tuple[int, ...] = (8, 16, 32, 48, 64)
    lstm_level: int = 2
    lstm_channels: int = 16
    reach: int = 1
    neighbours: Neighbours = Neighbours.CONVLSTM
    base_channels: int = 32
    sees_heart: bool = True

    @property
    def stride(self) -> int:
        """Crops are multiples of this."""
        if self.kind is NetworkKind.CALCMAP:
            return int(2 ** (len(self.level_channels) - 1))
        return {NetworkKind.CLSTM: 8, NetworkKind.UNET: 16}[self.kind]


@dataclass(frozen=True)
class LossSettings:
    """Focal loss (Lin et al. 2020), and for the heart a soft Dice beside it.

    Parameters
    ----------
    focal_gamma : float
        Focusing exponent; 0 is cross-entropy.
    class_weights : tuple of float
        One weight a class, background first.
    dice_weight : float
        Weight of the soft Dice loss of class 1; 0 leaves it out.

    Raises
    ------
    ConfigError
        A value is negative, or a class weight not positive.
    """

    focal_gamma: float = 2.0
    class_weights: tuple[float, ...] = (1.0, 1.0)
    dice_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.focal_gamma < 0 or self.dice_weight < 0 or min(self.class_weights, default=0.0) <= 0:
            raise ConfigError("focal_gamma and dice_weight must not be negative, class_weights must be positive")


@dataclass(frozen=True)
class AugmentationSettings:
    """Random changes of every training crop; each value is the largest change, drawn evenly from both sides.

    Heart crops are turned, scaled, shifted and cut to a smaller field. Calcium crops keep their voxels' size, since a
    resampled voxel is none that a scanner made; they see what another scanner would have made of them, and a heart mask
    that is a little wrong. Nothing is mirrored: the heart lies on the left, and where calcium lies tells what it is.

    Parameters
    ----------
    rotation_degrees, scale, slice_scale, shift_px : float
        Heart only: rotation in the slice, relative size in the slice and along slices, shift on the coarse grid.
    hu_gain, hu_offset : float
        Relative and absolute change of all HU.
    noise_hu : float
        Largest SD of added noise; half of the crops get some.
    field_cut : float
        Heart only: share of the grid's half width that is air around a round field of view; half of the crops are cut.
        The corners go first: a circle within the grid.
    kernel_px, motion_px : float
        Calcium only: SD of a softer kernel's blur (a sharper one adds the same share of what a blur takes away); length
        of a line along which the heart moves. Half of the crops each.
    voltage, thickness : float
        Calcium only: relative change of what is denser than soft tissue; share of each neighbouring slice that is mixed
        in, at most 1/3. Half of the crops each.
    heart_shift_mm : float
        Calcium only: how far the heart mask is moved; by up to half of it the mask is widened or narrowed too.

    Raises
    ------
    ConfigError
        A value is negative, a scale, gain, field or voltage is not below 1, or a thickness is above 1/3.
    """

    rotation_degrees: float = 8.0
    scale: float = 0.12
    slice_scale: float = 0.15
    shift_px: float = 6.0
    hu_gain: float = 0.05
    hu_offset: float = 15.0
    noise_hu: float = 20.0
    field_cut: float = 0.1
    kernel_px: float = 0.6
    motion_px: float = 2.0
    voltage: float = 0.15
    thickness: float = 0.2
    heart_shift_mm: float = 4.0

    def __post_init__(self) -> None:
        values = {each.name: float(getattr(self, each.name)) for each in fields(self)}
        complaints = [f"{name} is {value:g}, expected 0 or more" for name, value in values.items() if value < 0]
        complaints += [
            f"{name} is {values[name]:g}, expected below 1"
            for name in ("scale", "slice_scale", "hu_gain", "field_cut", "voltage")
            if values[name] >= 1
        ]
        if values["thickness"] > 1 / 3:  # beyond it the neighbours would weigh more than the slice itself
            complaints.append(f"thickness is {values['thickness']:g}, expected at most 1/3")
        if complaints:
            raise ConfigError("; ".join(complaints))


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
        Crops of one step; their cases are drawn each by itself, so a case may come twice.
    crop_px : int
        Rows and columns of a crop; for the heart, the coarse grid's own size.
    learning_rate, weight_decay : float
        Of AdamW.
    warmup_steps : int
        Steps of linear warm-up; a cosine to zero follows.
    seed : int
        Of initial weights, sampling and augmentation.
    validate_every : int
        Steps between validations and checkpoints.
    validation_share : float
        Share of groups held out for validation, split so that categories are alike; at most half of them are.
    validation_sites : tuple of str
        Sites whose groups may be held out, where not empty; all others are trained on. For second stages, whose real
        scans are too few to spare one.
    folds, fold : int
        With ``folds`` of 2 or more the groups are dealt into that many folds alike in categories, and fold number
        ``fold``, counted from 0, is held out instead of a share. 0 deals none.
    threads : int
        Cores that torch uses. A resumed run is the same, bit for bit, only with the same number.
    device : Device
        What trains; ``auto`` takes the GPU if torch sees one.
    mixed_precision : bool
        bfloat16 where it is safe, on a GPU; a CPU always computes in float32, since it is slower otherwise.
    network : NetworkSettings
        Size of the network.
    loss : LossSettings
        What is minimised.
    augmentation : AugmentationSettings
        How crops are varied.
    heart_grid : HeartGridConfig
        Coarse grid of the heart network; not used for calcium.
    site_weights : dict
        Relative frequency of a case's site in sampling; 1 where a site is not named.
    exclude_groups : tuple of str
        Groups left out altogether, for leave-one-scan-out runs.
    exclude_sites : tuple of str
        Sites left out altogether, for leave-one-site-out runs, with every case of a group that has one there.
    init_from : Path or None
        Checkpoint (``best.pt`` of another run) whose weights are the start.

    Raises
    ------
    ConfigError
        Values contradict each other or are out of range; every complaint is listed.
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
    validation_sites: tuple[str, ...] = ()
    folds: int = 0
    fold: int = 0
    threads: int = 2
    device: Device = Device.AUTO
    mixed_precision: bool = True
    network: NetworkSettings = field(default_factory=NetworkSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    heart_grid: HeartGridConfig = field(default_factory=HeartGridConfig)
    site_weights: dict[str, float] = field(default_factory=dict)
    exclude_groups: tuple[str, ...] = ()
    exclude_sites: tuple[str, ...] = ()
    init_from: Path | None = None

    def __post_init__(self) -> None:
        complaints = []
        stride = self.network.stride
        if self.crop_px % stride:
            complaints.append(f"crop_px is {self.crop_px}, expected a multiple of {stride}")
        if self.task is Task.HEART and self.crop_px != self.heart_grid.size_px:
            complaints.append(f"crop_px is {self.crop_px}, expected heart_grid.size_px ({self.heart_grid.size_px})")
        if len(self.loss.class_weights) != self.n_classes:
            complaints.append(
                f"loss.class_weights has {len(self.loss.class_weights)} values, expected {self.n_classes}"
            )
        if self.task is Task.HEART and not self.network.sees_heart:
            complaints.append("network.sees_heart is false, which only a calcium network can be")
        if min(self.steps, self.slices, self.crops, self.validate_every, self.threads) < 1:
            complaints.append("steps, slices, crops, validate_every and threads must be at least 1")
        if self.learning_rate <= 0 or self.weight_decay < 0 or self.warmup_steps < 0:
            complaints.append("learning_rate must be positive, weight_decay and warmup_steps must not be negative")
        if any(weight < 0 for weight in self.site_weights.values()):
            complaints.append("site_weights must not be negative")
        complaints += self._split_complaints()
        if complaints:
            raise ConfigError("; ".join(complaints))

    def _split_complaints(self) -> list[str]:
        complaints = []
        if not 0.0 < self.validation_share < 1.0:
            complaints.append(f"validation_share is {self.validation_share}, expected between 0 and 1")
        if self.folds < 0 or self.folds == 1:
            complaints.append(f"folds is {self.folds}, expected 2 or more, or 0 for a split by validation_share")
        elif self.folds and self.validation_sites:
            complaints.append(
                "validation_sites and folds are both set, expected one of them: folds hold out every group"
            )
        elif not 0 <= self.fold < max(1, self.folds):
            complaints.append(f"fold is {self.fold}, expected 0 to {max(1, self.folds) - 1}")
        return complaints

    @property
    def n_classes(self) -> int:
        """Classes of the network: heart 2, calcium 3."""
        return 2 if self.task is Task.HEART else 3

    @property
    def in_channels(self) -> int:
        """Input channels of one slice: heart 1, calcium 5, or 1 without the heart."""
        return 5 if self.task is Task.CALCIUM and self.network.sees_heart else 1
