"""Random crops of samples: what one training step sees, a pure function of the seed and the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from calcmap.core.errors import ConfigError
from calcmap.core.volume import BoolArray, Float32Array, Int16Array, UInt8Array
from calcmap.segmentation.calcium_input import (
    CANDIDATE_HU,
    HeartFrame,
    calcium_network_input,
    grow_mask,
    heart_frame,
)
from calcmap.segmentation.heart_grid import AIR_HU, heart_network_input
from calcmap.training.appearance import spread_target, vary_hu, vary_scanner
from calcmap.training.config import AugmentationSettings, TrainConfig
from calcmap.training.samples import IGNORED, CalciumSample, HeartSample, SampleFacts

LOSS_REACH_MM = 6.0
"""Calcium: voxels up to this far outside the heart take part in the loss, since a predicted heart may be too large."""
POSITIVE_SHARE = 0.75
"""Share of calcium crops that are laid over calcium, where a case has some."""


@dataclass(frozen=True, eq=False)
class Crop:
    """Input and truth of one stack of slices.

    Parameters
    ----------
    input_schw : Tensor of float, shape (s, channels, h, w)
        What the network sees.
    target_schw : Tensor of float, shape (s, classes, h, w)
        Share of each class.
    mask_shw : Tensor of float, shape (s, h, w)
        1 where the loss is taken.
    """

    input_schw: Tensor
    target_schw: Tensor
    mask_shw: Tensor


def draw_cases(
    facts: Sequence[SampleFacts], n: int, *, site_weights: dict[str, float], rng: np.random.Generator
) -> list[int]:
    """Return indices of ``n`` cases, drawn with replacement: categories equally often, sites by their weights.

    A category whose sites all weigh nothing is never drawn.

    Raises
    ------
    ConfigError
        Every case's site weighs nothing.
    """
    weights = np.array([site_weights.get(fact.site, 1.0) for fact in facts], dtype=np.float64)
    categories = np.array([fact.category for fact in facts])
    if weights.sum() <= 0:
        raise ConfigError("site_weights give every case the weight 0")
    for category in np.unique(categories):
        total = weights[categories == category].sum()
        if total > 0:
            weights[categories == category] /= total
    return [int(i) for i in rng.choice(len(facts), size=n, p=weights / weights.sum())]


def heart_crop(sample: HeartSample, config: TrainConfig, rng: np.random.Generator) -> Crop:
    """Return a deformed stack of coarse slices and its heart share."""
    theta = _random_affine(sample.ct_hu_zyx.shape, config, rng)
    size = (1, 1, config.slices, config.crop_px, config.crop_px)
    sampling_grid = functional.affine_grid(theta, list(size), align_corners=False)
    # Air (-1000) is outside: padding with zeros, so the offset is taken off and put back.
    hu = _warp(sample.ct_hu_zyx.astype(np.float32) + 1000.0, sampling_grid) - 1000.0
    heart = torch.from_numpy(_warp(sample.heart_zyx.astype(np.float32) / 255.0, sampling_grid)).clamp(0, 1)
    noisy = _cut_field(vary_hu(hu, config.augmentation, rng), config.augmentation, rng)
    return Crop(
        input_schw=torch.from_numpy(heart_network_input(noisy)),
        target_schw=torch.stack([1.0 - heart, heart], dim=1),
        mask_shw=torch.ones_like(heart),
    )


def calcium_crop(sample: CalciumSample, config: TrainConfig, rng: np.random.Generator) -> Crop:
    """Return native slices inside a heart mask that is a little wrong, and the calcium among their candidates."""
    box = _calcium_box(sample, config, rng)
    native = sample.ct_hu_zyx[box].astype(np.float32)
    rescanned = vary_scanner(native, config.augmentation, rng)
    target = spread_target(sample.target_zyx[box], native, rescanned)
    ct_hu = np.rint(vary_hu(rescanned, config.augmentation, rng)).astype(np.int16)
    moved, frame = _moved_heart(sample, config.augmentation, rng)
    heart = _widened(moved[box], config.augmentation, sample.spacing_mm_zyx, rng)
    channels = calcium_network_input(ct_hu, heart, frame.seen_from(tuple(part.start for part in box)))
    within = sample.heart_zyx[box] if config.network.sees_heart else np.ones_like(heart)
    mask = calcium_loss_mask(ct_hu, within, target, spacing_mm_zyx=sample.spacing_mm_zyx)
    return Crop(
        input_schw=_pad(torch.from_numpy(channels[:, : config.in_channels]), config.crop_px, mode="replicate"),
        target_schw=_pad(_one_hot(target, config.n_classes), config.crop_px),
        mask_shw=_pad(torch.from_numpy(mask), config.crop_px),
    )


def calcium_loss_mask(
    ct_hu_zyx: Int16Array, heart_zyx: BoolArray, target_zyx: UInt8Array, *, spacing_mm_zyx: tuple[float, float, float]
) -> Float32Array:
    """Return 1 for voxels dense enough to count, in or near the heart, whose reader was sure; 0 elsewhere."""
    near_heart = grow_mask(heart_zyx, reach_mm=LOSS_REACH_MM, spacing_mm_zyx=spacing_mm_zyx)
    counts = (ct_hu_zyx >= CANDIDATE_HU) & near_heart & (target_zyx != IGNORED)
    return np.asarray(counts, dtype=np.float32)


def _random_affine(shape_zyx: tuple[int, ...], config: TrainConfig, rng: np.random.Generator) -> Tensor:
    """Return the 3-D sampling transform of a heart crop: a stretch of slices, turned, scaled and shifted in plane."""
    vary = config.augmentation
    angle = np.deg2rad(rng.uniform(-vary.rotation_degrees, vary.rotation_degrees))
    scale = 1.0 + rng.uniform(-vary.scale, vary.scale)
    slice_scale = 1.0 + rng.uniform(-vary.slice_scale, vary.slice_scale)
    shift_y, shift_x = rng.uniform(-vary.shift_px, vary.shift_px, size=2) * 2.0 / config.crop_px
    n_slices = shape_zyx[0]
    extent = config.slices * slice_scale / n_slices
    centre = rng.uniform(-1.0 + extent / 2, 1.0 - extent / 2) if extent < 1.0 else 0.0
    cos, sin = float(np.cos(angle)) * scale, float(np.sin(angle)) * scale
    return torch.tensor(
        [[[cos, -sin, 0.0, shift_x], [sin, cos, 0.0, shift_y], [0.0, 0.0, extent, centre]]], dtype=torch.float32
    )


def _cut_field(hu_zyx: Float32Array, vary: AugmentationSettings, rng: np.random.Generator) -> Float32Array:
    """Return a crop of which half keep only a round field of view, air around it."""
    share = rng.uniform(0.0, vary.field_cut) if rng.random() < 0.5 else 0.0
    if share == 0.0:
        return hu_zyx
    n_rows, n_columns = hu_zyx.shape[1:]
    y, x = np.ogrid[-1.0 : 1.0 : n_rows * 1j, -1.0 : 1.0 : n_columns * 1j]
    return np.where(y**2 + x**2 <= (1.0 - share) ** 2, hu_zyx, np.float32(AIR_HU))


def _warp(values_zyx: Float32Array, sampling_grid: Tensor) -> Float32Array:
    warped = functional.grid_sample(torch.from_numpy(values_zyx)[None, None], sampling_grid, align_corners=False)
    return np.asarray(warped[0, 0].numpy(), dtype=np.float32)


def _moved_heart(
    sample: CalciumSample, vary: AugmentationSettings, rng: np.random.Generator
) -> tuple[BoolArray, HeartFrame]:
    """Return the reference heart shifted by a few mm, and its frame."""
    shift = [round(rng.uniform(-vary.heart_shift_mm, vary.heart_shift_mm) / mm) for mm in sample.spacing_mm_zyx]
    frame = heart_frame(sample.heart_zyx)
    moved = _shifted(sample.heart_zyx, shift)
    return moved, frame.seen_from((-shift[0], -shift[1], -shift[2]))


def _shifted(mask_zyx: BoolArray, shift_zyx: list[int]) -> BoolArray:
    """Return a mask moved by whole voxels; what leaves the box is gone, and nothing comes in."""
    moved = np.zeros_like(mask_zyx)
    to = tuple(slice(max(by, 0), n + min(by, 0)) for by, n in zip(shift_zyx, mask_zyx.shape, strict=True))
    of = tuple(slice(max(-by, 0), n + min(-by, 0)) for by, n in zip(shift_zyx, mask_zyx.shape, strict=True))
    moved[to] = mask_zyx[of]
    return moved


def _widened(
    heart_zyx: BoolArray,
    vary: AugmentationSettings,
    spacing_mm_zyx: tuple[float, float, float],
    rng: np.random.Generator,
) -> BoolArray:
    """Return the heart mask widened or narrowed by up to half the shift."""
    change_mm = rng.uniform(-vary.heart_shift_mm, vary.heart_shift_mm) / 2
    if change_mm >= 0:
        return grow_mask(heart_zyx, reach_mm=change_mm, spacing_mm_zyx=spacing_mm_zyx)
    return ~grow_mask(~heart_zyx, reach_mm=-change_mm, spacing_mm_zyx=spacing_mm_zyx)


def _calcium_box(sample: CalciumSample, config: TrainConfig, rng: np.random.Generator) -> tuple[slice, slice, slice]:
    """Return where a crop is cut: over a random calcium voxel, or anywhere over the heart."""
    calcium = np.argwhere((sample.target_zyx == 1) | (sample.target_zyx == 2))
    use_calcium = len(calcium) > 0 and rng.random() < POSITIVE_SHARE
    centres = calcium if use_calcium else np.argwhere(sample.heart_zyx[:, ::4, ::4]) * np.array([1, 4, 4])
    if len(centres) == 0:  # a heart so small that every fourth row and column misses it
        centres = np.argwhere(sample.heart_zyx)
    centre = centres[rng.integers(len(centres))]
    sizes = (config.slices, config.crop_px, config.crop_px)
    box = []
    for c, size, n in zip(centre, sizes, sample.ct_hu_zyx.shape, strict=True):
        start = int(c) - int(rng.integers(size // 4, size - size // 4)) if size > 3 else int(c) - size // 2
        start = min(max(start, 0), max(n - size, 0))
        box.append(slice(start, min(start + size, n)))
    return box[0], box[1], box[2]


def _one_hot(target_zyx: UInt8Array, n_classes: int) -> Tensor:
    target = torch.from_numpy(np.where(target_zyx == IGNORED, 0, target_zyx).astype(np.int64))
    return functional.one_hot(target, n_classes).permute(0, 3, 1, 2).float()


def _pad(values: Tensor, size_px: int, *, mode: str = "constant") -> Tensor:
    """Return the stack padded to ``size_px`` rows and columns: with zeros, or as serving does with its border."""
    return functional.pad(values, (0, size_px - values.shape[-1], 0, size_px - values.shape[-2]), mode=mode)
