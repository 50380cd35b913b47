"""How good a network is on held-out samples: one number, higher is better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from calcmap.networks.windows import StackNet
from calcmap.segmentation.calcium_input import calcium_network_input, heart_frame
from calcmap.segmentation.heart_grid import heart_network_input
from calcmap.training.crops import calcium_loss_mask
from calcmap.training.samples import CalciumSample, HeartSample


def validate(network: StackNet, samples: Sequence[HeartSample | CalciumSample]) -> float:
    """Return how good a network is on held-out samples.

    Parameters
    ----------
    network : StackNet
        Left in evaluation mode.
    samples : sequence of HeartSample or of CalciumSample
        All of one kind, at least one.

    Returns
    -------
    float
        0 to 1, higher is better. Heart: mean Dice of the samples. Calcium: mean F1 of the two calcium classes over
        candidate voxels of all samples together; a sample with n candidates weighs as the square root of n, so that
        one heavily calcified case does not decide alone.
    """
    network.eval()
    with torch.inference_mode():
        if isinstance(samples[0], HeartSample):
            return float(np.mean([_heart_dice(network, s) for s in samples if isinstance(s, HeartSample)]))
        counts = sum(_calcium_counts(network, s) for s in samples if isinstance(s, CalciumSample))
        return _mean_f1(np.asarray(counts))


def _heart_dice(network: StackNet, sample: HeartSample) -> float:
    logits = network(torch.from_numpy(heart_network_input(sample.ct_hu_zyx.astype(np.float32))).to(_device(network)))
    found = (logits[:, 1] > logits[:, 0]).cpu().numpy()
    truth = sample.heart_zyx >= 128
    return float(2.0 * (found & truth).sum() / max(1, found.sum() + truth.sum()))


def _calcium_counts(network: StackNet, sample: CalciumSample) -> np.ndarray:
    """Return the 3 x 3 table of true and found class over a sample's n candidate voxels, over the root of n."""
    mask = calcium_loss_mask(
        sample.ct_hu_zyx, sample.heart_zyx, sample.target_zyx, spacing_mm_zyx=sample.spacing_mm_zyx
    )
    if not mask.any():
        return np.zeros((3, 3))
    channels = calcium_network_input(sample.ct_hu_zyx, sample.heart_zyx, heart_frame(sample.heart_zyx))
    slices_schw = _pad_to_stride(torch.from_numpy(channels), network.config.stride).to(_device(network))
    found = network(slices_schw).argmax(dim=1).cpu().numpy()
    n_rows, n_columns = sample.ct_hu_zyx.shape[1:]
    inside = mask > 0
    pairs = 3 * sample.target_zyx[inside].astype(np.int64) + found[:, :n_rows, :n_columns][inside]
    table = np.bincount(pairs, minlength=9).reshape(3, 3).astype(np.float64)
    return np.asarray(table / np.sqrt(table.sum()))


def _device(network: StackNet) -> torch.device:
    return next(network.parameters(), torch.empty(0)).device


def _mean_f1(table: np.ndarray) -> float:
    f1 = [2.0 * table[c, c] / max(1e-9, table[c].sum() + table[:, c].sum()) for c in (1, 2)]
    return float(np.mean(f1))


def _pad_to_stride(values: torch.Tensor, stride: int) -> torch.Tensor:
    rows, columns = values.shape[-2:]
    # as the serving engine pads: no edge appears that the scan does not have
    return functional.pad(values, (0, -columns % stride, 0, -rows % stride), mode="replicate")
