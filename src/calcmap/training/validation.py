"""How good a network is on held-out samples: one number, higher is better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from calcmap.core.volume import BoolArray, Float64Array, Grid, UInt8Array, Volume
from calcmap.evaluation.agreement import concordance_correlation
from calcmap.networks.windows import StackNet
from calcmap.scoring.agatston import score_mask
from calcmap.scoring.rules import get_profile
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
        Higher is better. Heart: mean Dice of the samples, 0 to 1. Calcium, -0.5 to 1: the mean of

        - Lin's concordance correlation of log(1 + Agatston score), truth against found, which is what the network is
          for, but of some twenty scans hangs on the few near 0;
        - the F1 of the two calcium classes over candidate voxels of all samples together; a sample with n candidates
          weighs as the square root of n, so that one heavily calcified case does not decide alone.

    Notes
    -----
    The score is the clinical one, in or near the reader's heart. What a reader was unsure of counts on neither side.
    """
    network.eval()
    with torch.inference_mode():
        if isinstance(samples[0], HeartSample):
            return float(np.mean([_heart_dice(network, s) for s in samples if isinstance(s, HeartSample)]))
        return _calcium_agreement(network, [sample for sample in samples if isinstance(sample, CalciumSample)])


def _calcium_agreement(network: StackNet, samples: Sequence[CalciumSample]) -> float:
    counts, scores = np.zeros((3, 3)), []
    for sample in samples:
        found = _found_calcium(network, sample)
        counts += _calcium_counts(found, sample)
        scores.append((_agatston(sample.target_zyx, sample), _agatston(found, sample)))
    concordance = concordance_correlation(*np.log1p(np.array(scores)).T)
    return 0.5 * (_mean_f1(counts) + (concordance or 0.0))


def _heart_dice(network: StackNet, sample: HeartSample) -> float:
    logits = network(torch.from_numpy(heart_network_input(sample.ct_hu_zyx.astype(np.float32))).to(_device(network)))
    found = (logits[:, 1] > logits[:, 0]).cpu().numpy()
    truth = sample.heart_zyx >= 128
    return float(2.0 * (found & truth).sum() / max(1, found.sum() + truth.sum()))


def _found_calcium(network: StackNet, sample: CalciumSample) -> UInt8Array:
    """Return the class of each voxel of a sample's box."""
    channels = calcium_network_input(sample.ct_hu_zyx, sample.heart_zyx, heart_frame(sample.heart_zyx))
    own = torch.from_numpy(channels[:, : network.config.in_channels])  # without the heart: HU alone
    slices_schw = _pad_to_stride(own, network.config.stride).to(_device(network))
    n_rows, n_columns = sample.ct_hu_zyx.shape[1:]
    found = network(slices_schw).argmax(dim=1)[:, :n_rows, :n_columns]
    return np.asarray(found.cpu().numpy(), dtype=np.uint8)


def _calcium_counts(found_zyx: UInt8Array, sample: CalciumSample) -> Float64Array:
    """Return the 3 x 3 table of true and found class over a sample's n candidate voxels, over the root of n."""
    inside = _counted(sample)
    if not inside.any():
        return np.zeros((3, 3))
    pairs = 3 * sample.target_zyx[inside].astype(np.int64) + found_zyx[inside]
    table = np.bincount(pairs, minlength=9).reshape(3, 3).astype(np.float64)
    return np.asarray(table / np.sqrt(table.sum()))


def _agatston(classes_zyx: UInt8Array, sample: CalciumSample) -> float:
    """Return the clinical Agatston score of the voxels of class 1 where the loss is taken."""
    z_mm, y_mm, x_mm = sample.spacing_mm_zyx
    volume = Volume(sample.ct_hu_zyx, Grid(sample.ct_hu_zyx.shape, np.diag([x_mm, y_mm, z_mm, 1.0])))
    coronary = (classes_zyx == 1) & _counted(sample)
    return score_mask(volume, coronary, rule=get_profile("clinical")).coronary.agatston


def _counted(sample: CalciumSample) -> BoolArray:
    mask = calcium_loss_mask(
        sample.ct_hu_zyx, sample.heart_zyx, sample.target_zyx, spacing_mm_zyx=sample.spacing_mm_zyx
    )
    return mask > 0


def _device(network: StackNet) -> torch.device:
    return next(network.parameters(), torch.empty(0)).device


def _mean_f1(table: Float64Array) -> float:
    f1 = [2.0 * table[c, c] / max(1e-9, table[c].sum() + table[:, c].sum()) for c in (1, 2)]
    return float(np.mean(f1))


def _pad_to_stride(values: torch.Tensor, stride: int) -> torch.Tensor:
    rows, columns = values.shape[-2:]
    # as the serving engine pads: no edge appears that the scan does not have
    return functional.pad(values, (0, -columns % stride, 0, -rows % stride), mode="replicate")
