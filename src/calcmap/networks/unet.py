"""The comparator: a plain 2-D U-Net that sees the three slices as channels.

Shapes: ``n`` windows of a batch, ``c`` channels, ``h`` rows, ``w`` columns.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from calcmap.core.errors import ConfigError

UNET_LEVELS = 4
"""Halvings of the resolution, as in Ronneberger et al. 2015."""
UNET_STRIDE = 2**UNET_LEVELS
UNET_BASE_CHANNELS = 32


class UNet2d(nn.Module):
    """Class logits of the middle one of three adjacent slices, by an ordinary U-Net.

    Four times two 3 x 3 convolutions and a 2 x 2 maximum, two convolutions at the bottom, and the same way back with
    transposed convolutions and skip connections. Every 3 x 3 convolution keeps the size and is followed by batch norm
    and ReLU.

    Parameters
    ----------
    in_channels : int
        Channels of the input: three slices of one channel each.
    n_classes : int
        Output classes, background first.
    base_channels : int
        Channels at full resolution; they double with each level.

    Raises
    ------
    ConfigError
        Fewer than two classes, or no channel.

    Notes
    -----
    The paper names its comparator a U-Net and gives no layer sizes. It does give the cost: 10.1 s against 6.18 s on a
    CPU and 22.31 against 13.11 GB in training, 1.6 and 1.7 times that of the ConvLSTM. With 32 base channels (7.8
    million parameters) a 512 x 512 slice takes 48.3 thousand million multiplications, 1.6 times the 30.1 of
    `PublishedConvLstm`; with the original's 64 (31 million parameters) it takes 192.7, 6.4 times. So we took 32.

    Rows and columns that are no multiples of 16 are filled up by repeating the last one, and the result is cut back.
    Unlike the original, which loses a border at every convolution, the output is as large as the input.

    References
    ----------
    .. [1] Ronneberger et al., U-Net, MICCAI 2015.
    .. [2] Pieszko et al., Proc SPIE 2022;12032:120323A (time and memory of both networks).
    """

    def __init__(self, in_channels: int = 3, n_classes: int = 2, *, base_channels: int = UNET_BASE_CHANNELS) -> None:
        super().__init__()
        if n_classes < 2 or min(in_channels, base_channels) < 1:
            raise ConfigError(
                f"expected at least 2 classes and 1 channel, got {n_classes} classes, "
                f"{in_channels} input and {base_channels} base channels"
            )
        channels = [base_channels * 2**level for level in range(UNET_LEVELS + 1)]
        self.down = nn.ModuleList(
            _double_conv(before, after) for before, after in zip([in_channels, *channels], channels, strict=False)
        )
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(below, here, kernel_size=2, stride=2) for here, below in itertools.pairwise(channels)
        )
        self.up = nn.ModuleList(_double_conv(2 * here, here) for here in channels[:-1])
        self.head = nn.Conv2d(base_channels, n_classes, kernel_size=1)

    def forward(self, slices_nchw: Tensor) -> Tensor:
        """Return logits (n, n_classes, h, w) of the middle slice.

        Parameters
        ----------
        slices_nchw : Tensor
            Shape (n, in_channels, h, w), any h and w. The slices stand in the order +1, 0, -1: the neighbour nearer the
            head, the slice itself, the neighbour nearer the feet.

        Returns
        -------
        Tensor
            Unnormalised scores, shape (n, n_classes, h, w), same device and type as the input.
        """
        h, w = slices_nchw.shape[-2:]
        features = nn.functional.pad(slices_nchw, (0, -w % UNET_STRIDE, 0, -h % UNET_STRIDE), mode="replicate")
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else nn.functional.max_pool2d(features, 2))
            skips.append(features)  # (n, base_channels * 2**level, h / 2**level, w / 2**level)
        for level in reversed(range(UNET_LEVELS)):
            features = self.up[level](torch.cat([skips[level], self.enlarge[level](features)], dim=1))
        logits: Tensor = self.head(features)
        return logits[..., :h, :w]


def _double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (in_channels, out_channels):
        layers += [
            nn.Conv2d(before, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
