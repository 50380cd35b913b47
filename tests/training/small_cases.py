"""Tiny labelled cases: a round heart in a block of tissue, with calcium worth a known category."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calcmap.core.volume import Label, Labels, Volume, grid_from_spacing
from calcmap.io.cases import Case, write_case
from calcmap.training.config import (
    AugmentationSettings,
    HeartGridConfig,
    LossSettings,
    NetworkSettings,
    Task,
    TrainConfig,
)

SHAPE_ZYX = (10, 32, 32)
SPACING_MM_ZYX = (6.0, 5.0, 5.0)
GRID = HeartGridConfig(in_plane_mm=10.0, slice_mm=12.0, size_px=20)
NETWORK = NetworkSettings(level_channels=(4, 6), lstm_level=1, lstm_channels=2)
STILL = AugmentationSettings(
    rotation_degrees=0,
    scale=0,
    slice_scale=0,
    shift_px=0,
    hu_gain=0,
    hu_offset=0,
    noise_hu=0,
    heart_shift_mm=0,
    field_cut=0,
    kernel_px=0,
    motion_px=0,
    voltage=0,
    thickness=0,
)


def small_case(*, coronary_px: int = 2, seed: int = 0) -> tuple[Volume, Labels]:
    """Return a scan and its labels; ``coronary_px`` pixels of coronary calcium, four of noncoronary."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE_ZYX), indexing="ij", sparse=True)
    heart = ((z - 5) / 3.5) ** 2 + ((y - 15) / 8.5) ** 2 + ((x - 17) / 9.5) ** 2 <= 1
    ct = np.full(SHAPE_ZYX, -1000.0)
    ct[:, 2:30, 2:30] = -700.0
    ct[:, 4:28, 4:10] = 60.0
    ct[heart] = 40.0
    labels = heart.astype(np.uint8) * np.uint8(Label.HEART)
    ct[5, 14, 12 : 12 + coronary_px] = 450.0
    labels[5, 14, 12 : 12 + coronary_px] = Label.CORONARY
    ct[4, 18, 20:24] = 350.0
    labels[4, 18, 20:24] = Label.NONCORONARY
    noisy = ct + rng.normal(0.0, 4.0, SHAPE_ZYX)
    grid = grid_from_spacing(SHAPE_ZYX, SPACING_MM_ZYX)
    return Volume(noisy.round().astype(np.int16), grid), Labels(labels, grid)


def write_small_cases(folder: Path, *, n_groups: int = 4, per_group: int = 1) -> Path:
    """Write some cases, two categories in turn, and return their folder."""
    for group in range(n_groups):
        for index in range(per_group):
            volume, labels = small_case(coronary_px=2 + 4 * (group % 2), seed=10 * group + index)
            case = Case(f"case-{group}-{index}", "made for a test", "Apache-2.0", site="test", group=f"group-{group}")
            write_case(folder / case.id, volume, labels, case)
    return folder


def small_config(task: Task = Task.HEART, **changes: object) -> TrainConfig:
    """Return settings of a run that takes a second."""
    fields: dict[str, object] = {
        "task": task,
        "steps": 6,
        "slices": 4,
        "crops": 2,
        "crop_px": 20,
        "learning_rate": 5e-3,
        "warmup_steps": 2,
        "validate_every": 2,
        "validation_share": 0.25,
        "threads": 1,
        "seed": 3,
        "network": NETWORK,
        "loss": LossSettings(class_weights=(1.0,) * (2 if task is Task.HEART else 3), dice_weight=0.5),
        "heart_grid": GRID,
    }
    return TrainConfig(**fields | changes)  # type: ignore[arg-type]
