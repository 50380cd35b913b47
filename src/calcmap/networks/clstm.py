"""The published layout: a small ConvLSTM over three slices, guided by the first half of a DenseNet-121.

Shapes: ``n`` windows of a batch, ``c`` channels, ``h`` rows, ``w`` columns.
"""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor, nn

from calcmap.core.errors import ConfigError

N_SLICES = 3
"""Adjacent slices of one window (Miller et al. 2023)."""
MIDDLE_SLICE = 1
"""Place of the slice that is segmented among them."""

LSTM_CHANNELS = 3
LSTM_LAYERS = 2
LEAKY_SLOPE = 0.2

STEM_CHANNELS = 64
GROWTH_CHANNELS = 32
BOTTLENECK_FACTOR = 4
TRANSITION_FACTOR = 0.5
BLOCK_LAYERS = (6, 12)
"""The first two of DenseNet-121's four blocks of 6, 12, 24 and 16 layers (Huang et al. 2017, Table 1)."""
DENSE_STRIDE = 8
"""Resolution after the second dense block: stem convolution, stem pooling and one transition halve it three times."""


class Fusion(StrEnum):
    """How the ConvLSTM's and the DenseNet's logits become one."""

    ATTENTION = "attention"
    """``lstm * (1 - a) + dense * a`` with the attention map ``a``: the heart network."""
    MAXIMUM = "maximum"
    """The larger of the two, voxel by voxel and class by class: the calcium network."""


class PublishedConvLstm(nn.Module):
    """Class logits of the middle one of three adjacent slices, by the layout of Pieszko et al. 2022.

    A ConvLSTM of two layers and three channels walks over the three slices. Its last hidden state feeds a segmentation
    head and an attention head. The middle slice alone passes through the stem and the first two blocks of a
    DenseNet-121; a third head turns the 512 channels at 1/8 resolution into logits, which are enlarged bilinearly.

    Parameters
    ----------
    n_classes : int
        Output classes, background first: 2 in the heart network, 3 in the calcium network.
    in_channels : int
        Channels of one slice.
    fusion : Fusion, optional
        Left out, it is what was published: attention with two classes, the maximum with more.

    Raises
    ------
    ConfigError
        Fewer than two classes, or no channel.

    Notes
    -----
    The description fixes the ConvLSTM (1 to 3 channels, 3 x 3, two layers), the heads (two 3 x 3 convolutions with
    batch norm and LeakyReLU 0.2, then 1 x 1), the DenseNet part and the two fusions, and it gives the size: 6,014,910
    parameters with three classes, 6,014,392 with two. The counts settle what the words leave open:

    - one class costs 518 = 512 + 3 + 3, so the attention head has one map per class, and no 1 x 1 convolution a bias;
    - two 3 x 3 convolutions of 512 channels fit beside a DenseNet stem of one input channel, not of three;
    - of 6,014,910, the DenseNet takes 1,291,264, its head 4,722,176 and the two small heads 366, if convolutions that a
      batch norm follows have no bias; the 1,104 that remain are a ConvLSTM with one bias per gate and no peepholes.

    Other layouts share these counts: a batch norm behind the second dense block and biases in the wide head cost as
    much as that head's two batch norms, and a second bias per gate as much as the batch norms of the small heads. The
    description speaks of batch norm in the heads, and we gave all three one shape. The counts are blind to the
    following, which is our choice: heads and fusion work on logits, the attention is a sigmoid, the enlargement does
    not align corners, and all weights start from PyTorch's defaults. With `Fusion.MAXIMUM` the attention head is
    present, as the published count demands, but takes no part: it gets no gradient.

    References
    ----------
    .. [1] Pieszko et al., Proc SPIE 2022;12032:120323A.
    .. [2] Miller et al., J Nucl Med 2023;64:652-658.
    .. [3] Huang et al., Densely Connected Convolutional Networks, CVPR 2017, Table 1.
    .. [4] Shi et al., Convolutional LSTM Network, NIPS 2015.
    """

    def __init__(self, n_classes: int, in_channels: int = 1, *, fusion: Fusion | None = None) -> None:
        super().__init__()
        if n_classes < 2 or in_channels < 1:
            raise ConfigError(f"expected at least 2 classes and 1 channel, got {n_classes} and {in_channels}")
        self.fusion = fusion or (Fusion.ATTENTION if n_classes == 2 else Fusion.MAXIMUM)
        self.lstm = nn.ModuleList(
            PlainConvLstmCell(in_channels if layer == 0 else LSTM_CHANNELS, LSTM_CHANNELS)
            for layer in range(LSTM_LAYERS)
        )
        self.segment = _head(LSTM_CHANNELS, n_classes)
        self.attend = _head(LSTM_CHANNELS, n_classes)
        self.dense, dense_channels = _dense_trunk(in_channels)
        self.segment_dense = _head(dense_channels, n_classes)

    def forward(self, slices_nchw: Tensor) -> Tensor:
        """Return logits (n, n_classes, h, w) of the middle slice.

        Parameters
        ----------
        slices_nchw : Tensor
            Shape (n, 3 * in_channels, h, w); h and w at least 8, of any remainder. The slices stand in the order +1, 0,
            -1: the neighbour nearer the head, the slice itself, the neighbour nearer the feet.

        Returns
        -------
        Tensor
            Unnormalised scores, shape (n, n_classes, h, w), same device and type as the input.
        """
        slices = slices_nchw.chunk(N_SLICES, dim=1)  # three of (n, in_channels, h, w)
        hidden = self._walk(slices)
        lstm_logits = self.segment(hidden)
        coarse_logits = self.segment_dense(self.dense(slices[MIDDLE_SLICE]))  # (n, n_classes, h / 8, w / 8)
        dense_logits = nn.functional.interpolate(
            coarse_logits, size=slices_nchw.shape[-2:], mode="bilinear", align_corners=False
        )
        if self.fusion is Fusion.MAXIMUM:
            return torch.maximum(lstm_logits, dense_logits)
        return fuse_by_attention(lstm_logits, dense_logits, attention_nchw=torch.sigmoid(self.attend(hidden)))

    def _walk(self, slices: tuple[Tensor, ...]) -> Tensor:
        """Return the last layer's hidden state (n, 3, h, w) after the last slice."""
        sequence = list(slices)
        for cell in self.lstm:
            n, _, h, w = sequence[0].shape
            hidden = memory = sequence[0].new_zeros((n, LSTM_CHANNELS, h, w))
            passed_on = []
            for features in sequence:
                hidden, memory = cell(features, hidden, memory)
                passed_on.append(hidden)
            sequence = passed_on
        return sequence[-1]


class PlainConvLstmCell(nn.Module):
    """One step of a convolutional LSTM without peepholes, one 3 x 3 convolution for the four gates."""

    def __init__(self, in_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(in_channels + hidden_channels, 4 * hidden_channels, kernel_size=3, padding=1)

    def forward(self, features_nchw: Tensor, hidden_nchw: Tensor, memory_nchw: Tensor) -> tuple[Tensor, Tensor]:
        """Return hidden state and memory after one more slice, each (n, hidden_channels, h, w)."""
        gates = self.gates(torch.cat([features_nchw, hidden_nchw], dim=1))
        in_gate, forget_gate, out_gate, candidate = gates.chunk(4, dim=1)
        memory = torch.sigmoid(forget_gate) * memory_nchw + torch.sigmoid(in_gate) * torch.tanh(candidate)
        return torch.sigmoid(out_gate) * torch.tanh(memory), memory


class DenseLayer(nn.Module):
    """A DenseNet layer: its input with ``GROWTH_CHANNELS`` new channels behind it."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        bottleneck = BOTTLENECK_FACTOR * GROWTH_CHANNELS
        self.grow = nn.Sequential(
            *_norm_relu_conv(in_channels, bottleneck, kernel_size=1),
            *_norm_relu_conv(bottleneck, GROWTH_CHANNELS, kernel_size=3),
        )

    def forward(self, features_nchw: Tensor) -> Tensor:
        """Return (n, in_channels + GROWTH_CHANNELS, h, w)."""
        return torch.cat([features_nchw, self.grow(features_nchw)], dim=1)


def fuse_by_attention(lstm_nchw: Tensor, dense_nchw: Tensor, *, attention_nchw: Tensor) -> Tensor:
    """Return ``lstm * (1 - a) + dense * a``: where the attention is 1, the DenseNet alone speaks."""
    return torch.lerp(lstm_nchw, dense_nchw, attention_nchw)


def _head(channels: int, n_classes: int) -> nn.Sequential:
    """Return two 3 x 3 convolutions of ``channels`` and a 1 x 1 convolution to one map per class."""
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(channels, n_classes, kernel_size=1, bias=False))


def _dense_trunk(in_channels: int) -> tuple[nn.Sequential, int]:
    """Return DenseNet-121 from the stem through its second block, and the number of channels that leave it."""
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, STEM_CHANNELS, kernel_size=7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(STEM_CHANNELS),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    ]
    channels = STEM_CHANNELS
    for block, n_layers in enumerate(BLOCK_LAYERS):
        if block > 0:
            kept = int(channels * TRANSITION_FACTOR)
            layers += [*_norm_relu_conv(channels, kept, kernel_size=1), nn.AvgPool2d(kernel_size=2)]
            channels = kept
        for _ in range(n_layers):
            layers.append(DenseLayer(channels))
            channels += GROWTH_CHANNELS
    return nn.Sequential(*layers), channels


def _norm_relu_conv(in_channels: int, out_channels: int, *, kernel_size: int) -> list[nn.Module]:
    return [
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(in_channels, out_channels, kernel_size=kernel_size, padding=kernel_size // 2, bias=False),
    ]
