"""CalcMap's own network: every slice encoded once, a convolutional LSTM over its neighbours, a light decoder.

Shapes: ``s`` consecutive slices of one scan, ``c`` channels, ``h`` rows, ``w`` columns. The slice axis takes the place
of the batch axis, because every layer but the ConvLSTM looks at one slice at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from calcmap.core.errors import ConfigError
from calcmap.networks.neighbours import Neighbours


@dataclass(frozen=True)
class CalcMapNetConfig:
    """Size of a `CalcMapNet`.

    Parameters
    ----------
    in_channels : int
        Channels of one slice.
    n_classes : int
        Output classes, background first.
    level_channels : tuple of int
        Channels at full resolution, 1/2, 1/4, ...; their number is the depth.
    lstm_level : int
        Level whose features the ConvLSTM passes between slices (0 is full resolution).
    lstm_channels : int
        Hidden channels of each direction; of a ConvLSTM alone.
    reach : int
        Neighbours on each side that a slice sees, if any; 1 is the three slices of Miller et al. 2023.
    neighbours : Neighbours
        How it sees them; the other ways than the ConvLSTM are there to show what that one is worth.
    """

    in_channels: int
    n_classes: int
    level_channels: tuple[int, ...] = (8, 16, 32, 48, 64)
    lstm_level: int = 2
    lstm_channels: int = 16
    reach: int = 1
    neighbours: Neighbours = Neighbours.CONVLSTM

    def __post_init__(self) -> None:
        if not 0 <= self.lstm_level < len(self.level_channels):
            raise ConfigError(f"lstm_level is {self.lstm_level}, expected 0 to {len(self.level_channels) - 1}")
        if min(self.in_channels, self.n_classes, self.lstm_channels, self.reach, *self.level_channels) < 1:
            raise ConfigError("channels, classes and reach must be at least 1")

    @property
    def stride(self) -> int:
        """Rows and columns must be multiples of this."""
        return int(2 ** (len(self.level_channels) - 1))


class CalcMapNet(nn.Module):
    """Class logits of every slice of a stack.

    The encoder sees each slice alone, down to ``lstm_level``. There two ConvLSTMs, one coming from below and one from
    above, walk over the neighbours and arrive at the slice; what they carry is merged with the slice's own features
    (`Neighbours` names the other ways).
    Deeper levels and the decoder work on the merged features. A slice at the end of the stack takes itself for the
    neighbour that is missing.

    Parameters
    ----------
    config : CalcMapNetConfig
        Size of the network.

    Notes
    -----
    Like the published network it reads three adjacent slices through a ConvLSTM. It differs in that features, not
    pixels, enter the recurrence: neighbouring windows share two of three slices, so a stack of ``s`` slices costs
    ``s`` encoder passes instead of ``3 s``.
    """

    def __init__(self, config: CalcMapNetConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.level_channels
        self.down = nn.ModuleList(
            _double_conv(
                config.in_channels if level == 0 else channels[level - 1],
                channels[level],
                first_stride=min(level, 1) + 1,
            )
            for level in range(len(channels))
        )
        self.neighbours = _neighbour_block(config)
        self.up = nn.ModuleList(
            _conv(channels[level + 1] + channels[level], channels[level]) for level in range(len(channels) - 1)
        )
        self.head = nn.Conv2d(channels[0], config.n_classes, kernel_size=1)

    def forward(self, slices_schw: Tensor) -> Tensor:
        """Return logits (s, n_classes, h, w) of slices (s, in_channels, h, w); h and w multiples of the stride."""
        skips: list[Tensor] = []
        features = slices_schw
        for level, block in enumerate(self.down):
            features = block(features)  # (s, channels[level], h / 2**level, w / 2**level)
            if level == self.config.lstm_level:
                features = self.neighbours(features)
            skips.append(features)
        for level in reversed(range(len(skips) - 1)):
            features = nn.functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = self.up[level](torch.cat([features, skips[level]], dim=1))
        return self.head(features)  # type: ignore[no-any-return]


class NeighbourConvLstm(nn.Module):
    """Features of each slice merged with what two ConvLSTMs carry to it from below and from above.

    The part of the gates that depends on a slice alone is computed once per slice and shared by every window it
    stands in.

    Parameters
    ----------
    channels : int
        Channels of the features, in and out.
    hidden : int
        Hidden channels of each direction.
    reach : int
        Neighbours on each side; slices farther away do not change the output.
    """

    def __init__(self, channels: int, hidden: int, *, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.from_below = ConvLstmCell(channels, hidden)
        self.from_above = ConvLstmCell(channels, hidden)
        self.merge = _conv(channels + 2 * hidden, channels)

    def forward(self, features_schw: Tensor) -> Tensor:
        """Return merged features, shape of ``features_schw``."""
        below = self._walk(self.from_below, features_schw, step=-1)
        above = self._walk(self.from_above, features_schw, step=+1)
        return self.merge(torch.cat([features_schw, below, above], dim=1))  # type: ignore[no-any-return]

    def _walk(self, cell: ConvLstmCell, features_schw: Tensor, *, step: int) -> Tensor:
        """Return the hidden state on arrival at each slice after a walk that began ``reach`` slices away."""
        gates_schw = cell.input_gates(features_schw)
        hidden, memory = cell.first(_shift(gates_schw, step * self.reach))
        for distance in reversed(range(self.reach)):
            hidden, memory = cell.next(_shift(gates_schw, step * distance), hidden, memory)
        return hidden


class NeighbourConcat(nn.Module):
    """Features of each slice merged with those of its neighbours by one convolution, without recurrence.

    Parameters
    ----------
    channels : int
        Channels of the features, in and out.
    reach : int
        Neighbours on each side; with 0 the convolution sees the slice alone, and the network is as deep as the others.
    """

    def __init__(self, channels: int, *, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.merge = _conv((2 * reach + 1) * channels, channels)

    def forward(self, features_schw: Tensor) -> Tensor:
        """Return merged features, shape of ``features_schw``."""
        seen = [_shift(features_schw, offset) for offset in range(-self.reach, self.reach + 1)]
        return self.merge(torch.cat(seen, dim=1))  # type: ignore[no-any-return]


class ConvLstmCell(nn.Module):
    """A convolutional LSTM cell without peepholes, its input gates kept apart.

    Parameters
    ----------
    channels : int
        Channels of what comes in.
    hidden : int
        Channels of hidden state and memory.

    Notes
    -----
    Peepholes are left out, as most public code does. The forget gate starts at a bias of one, so that memory is kept
    until training says otherwise (our choice, a common one).

    References
    ----------
    .. [1] Shi et al., Adv Neural Inf Process Syst 2015;28:802-810.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.input_gates = nn.Conv2d(channels, 4 * hidden, kernel_size=3, padding=1)
        self.hidden_gates = nn.Conv2d(hidden, 4 * hidden, kernel_size=3, padding=1, bias=False)
        if self.input_gates.bias is not None:  # always there; said for the type checker
            nn.init.ones_(self.input_gates.bias[hidden : 2 * hidden])

    def first(self, gates_schw: Tensor) -> tuple[Tensor, Tensor]:
        """Return hidden state and memory after one slice, from empty ones."""
        in_gate, _, out_gate, candidate = gates_schw.chunk(4, dim=1)
        memory = torch.sigmoid(in_gate) * torch.tanh(candidate)
        return torch.sigmoid(out_gate) * torch.tanh(memory), memory

    def next(self, gates_schw: Tensor, hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return hidden state and memory after one more slice."""
        in_gate, forget_gate, out_gate, candidate = (gates_schw + self.hidden_gates(hidden)).chunk(4, dim=1)
        memory = torch.sigmoid(forget_gate) * memory + torch.sigmoid(in_gate) * torch.tanh(candidate)
        return torch.sigmoid(out_gate) * torch.tanh(memory), memory


def _neighbour_block(config: CalcMapNetConfig) -> nn.Module:
    channels = config.level_channels[config.lstm_level]
    match config.neighbours:
        case Neighbours.CONVLSTM:
            return NeighbourConvLstm(channels, config.lstm_channels, reach=config.reach)
        case Neighbours.CONCAT:
            return NeighbourConcat(channels, reach=config.reach)
        case Neighbours.NONE:
            return NeighbourConcat(channels, reach=0)


def _shift(values_schw: Tensor, offset: int) -> Tensor:
    """Return the values of the slice ``offset`` away (negative: below), the end slices repeated."""
    if offset == 0:
        return values_schw
    if offset < 0:
        first = values_schw[:1].expand(-offset, -1, -1, -1)
        return torch.cat([first, values_schw], dim=0)[:offset]
    last = values_schw[-1:].expand(offset, -1, -1, -1)
    return torch.cat([values_schw, last], dim=0)[offset:]


def _double_conv(in_channels: int, out_channels: int, *, first_stride: int) -> nn.Sequential:
    return nn.Sequential(_conv(in_channels, out_channels, stride=first_stride), _conv(out_channels, out_channels))


def _conv(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, stride=stride, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
