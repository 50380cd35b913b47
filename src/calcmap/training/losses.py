"""Losses on masked, class-weighted voxels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def focal_loss(
    logits_sch: Tensor, target_sh: Tensor, *, gamma: float, class_weights_c: Tensor, mask_sh: Tensor
) -> Tensor:
    """Return the mean focal loss over the voxels of a mask; 0 with a zero gradient where the mask is empty.

    Each class contributes ``-weight * (1 - p)**gamma * share * log(p)``.

    Parameters
    ----------
    logits_sch : Tensor, shape (s, classes, ...)
        Raw network output.
    target_sh : Tensor of float, shape (s, classes, ...)
        Share of each class in each voxel; sums to 1 over classes.
    gamma : float
        Focusing exponent; 0 is cross-entropy.
    class_weights_c : Tensor, shape (classes,)
        Weight of each class.
    mask_sh : Tensor of float, shape (s, ...)
        Weight of each voxel; 0 leaves it out.

    Returns
    -------
    Tensor
        Scalar, 0 for a sure and right network.

    References
    ----------
    .. [1] Lin et al., IEEE Trans Pattern Anal Mach Intell 2020;42:318-327.
    """
    log_prob = functional.log_softmax(logits_sch, dim=1)
    weights = class_weights_c.view(1, -1, *([1] * (logits_sch.dim() - 2)))
    per_class = -weights * (1.0 - log_prob.exp()) ** gamma * target_sh * log_prob
    return (per_class.sum(dim=1) * mask_sh).sum() / mask_sh.sum().clamp(min=1.0)


def soft_dice_loss(logits_sch: Tensor, target_sh: Tensor) -> Tensor:
    """Return 1 minus the soft Dice of class 1 over a whole crop.

    One voxel's worth is added to both sides of the fraction, so that a crop without the class costs nothing when none
    is found.

    Parameters
    ----------
    logits_sch : Tensor, shape (s, classes, ...)
        Raw network output.
    target_sh : Tensor of float, shape (s, ...)
        Share of class 1 in each voxel, 0 to 1.

    Returns
    -------
    Tensor
        Scalar, 0 (equal) to almost 1 (no overlap).

    References
    ----------
    .. [1] Milletari et al., 3DV 2016:565-571, here without squares in the denominator.
    """
    prob = torch.softmax(logits_sch, dim=1)[:, 1]
    overlap = 2.0 * (prob * target_sh).sum() + 1.0
    return 1.0 - overlap / (prob.sum() + target_sh.sum() + 1.0)
