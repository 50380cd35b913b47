"""Losses on masked, class-weighted voxels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def focal_loss(
    logits_sch: Tensor, target_sh: Tensor, *, gamma: float, class_weights_c: Tensor, mask_sh: Tensor
) -> Tensor:
    """Return the mean focal loss over the voxels of a mask; 0 with a zero gradient where the mask is empty.

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
        Scalar.

    References
    ----------
    .. [1] Lin et al., IEEE Trans Pattern Anal Mach Intell 2020;42:318-327.
    """
    log_prob = functional.log_softmax(logits_sch, dim=1)
    weights = class_weights_c.view(1, -1, *([1] * (logits_sch.dim() - 2)))
    per_class = -weights * (1.0 - log_prob.exp()) ** gamma * target_sh * log_prob
    return (per_class.sum(dim=1) * mask_sh).sum() / mask_sh.sum().clamp(min=1.0)


def soft_dice_loss(logits_sch: Tensor, target_sh: Tensor) -> Tensor:
    """Return 1 minus the soft Dice of class 1 over a whole crop; ``target_sh`` is that class's share per voxel."""
    prob = torch.softmax(logits_sch, dim=1)[:, 1]
    overlap = 2.0 * (prob * target_sh).sum() + 1.0
    return 1.0 - overlap / (prob.sum() + target_sh.sum() + 1.0)
