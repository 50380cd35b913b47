"""The comparators as networks of a stack: every slice seen in a window with its two neighbours.

Shapes: ``s`` consecutive slices of one scan, ``c`` channels, ``h`` rows, ``w`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from calcmap.core.errors import ConfigError
from calcmap.networks.calcmap_net import CalcMapNet
from calcmap.networks.clstm import DENSE_STRIDE, N_SLICES, PublishedConvLstm
from calcmap.networks.unet import UNET_BASE_CHANNELS, UNET_STRIDE, UNet2d

OUTSIDE = -1.0
"""What a window holds outside the heart: the lowest HU of the calcium network's window."""


class Comparator(StrEnum):
    """A network that `CalcMapNet` is compared with."""

    CLSTM = "clstm"
    UNET = "unet"


@dataclass(frozen=True)
class WindowedNetConfig:
    """Size of a `WindowedNet`.

    Parameters
    ----------
    kind : Comparator
        Which network sees the windows.
    in_channels : int
        Channels of one slice as `CalcMapNet` gets them: HU, and from two on the heart mask.
    n_classes : int
        Output classes, background first.
    base_channels : int
        Of the U-Net, at full resolution; the published layout has one size.

    Raises
    ------
    ConfigError
        No channel, or fewer than two classes.
    """

    kind: Comparator
    in_channels: int
    n_classes: int
    base_channels: int = UNET_BASE_CHANNELS

    def __post_init__(self) -> None:
        if min(self.in_channels, self.base_channels) < 1 or self.n_classes < 2:
            raise ConfigError(
                f"expected at least 1 channel and 2 classes, got {self.in_channels} input and {self.base_channels} "
                f"base channels and {self.n_classes} classes"
            )

    @property
    def stride(self) -> int:
        """Rows and columns are multiples of this."""
        return UNET_STRIDE if self.kind is Comparator.UNET else DENSE_STRIDE

    @property
    def reach(self) -> int:
        """Neighbours on each side that a slice's logits depend on."""
        return N_SLICES // 2


class WindowedNet(nn.Module):
    """Class logits of every slice of a stack, each from a window of three slices of HU.

    Takes what `CalcMapNet` takes and returns the same shapes, so that training, export and serving do not tell them
    apart. Of the channels it uses what the published calcium network used: HU, and nothing outside the heart. A slice
    at the end of the stack takes itself for the neighbour that is missing.

    Parameters
    ----------
    config : WindowedNetConfig
        Which network, and its size.
    """

    def __init__(self, config: WindowedNetConfig) -> None:
        super().__init__()
        self.config = config
        self.window: nn.Module = (
            UNet2d(N_SLICES, config.n_classes, base_channels=config.base_channels)
            if config.kind is Comparator.UNET
            else PublishedConvLstm(config.n_classes)
        )

    def forward(self, slices_schw: Tensor) -> Tensor:
        """Return logits (s, n_classes, h, w) of slices (s, in_channels, h, w); h and w multiples of the stride."""
        hu = slices_schw[:, :1]
        if self.config.in_channels > 1:
            heart = slices_schw[:, 1:2]
            hu = hu * heart + OUTSIDE * (1.0 - heart)
        above = torch.cat([hu[1:], hu[-1:]], dim=0)
        below = torch.cat([hu[:1], hu[:-1]], dim=0)
        return self.window(torch.cat([above, hu, below], dim=1))  # type: ignore[no-any-return]


StackNet = CalcMapNet | WindowedNet
"""A network of stacks: whatever can be trained, exported and served."""
