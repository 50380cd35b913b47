from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="NETWORKS NOT TESTED: torch is not installed (train extra)")

from torch import Tensor, nn  # noqa: E402

from calcmap.core.errors import ConfigError  # noqa: E402
from calcmap.networks.calcmap_net import count_parameters  # noqa: E402
from calcmap.networks.windows import Comparator, WindowedNet, WindowedNetConfig  # noqa: E402

pytestmark = pytest.mark.torch


class Seen(nn.Module):
    """Keeps the windows that it is shown."""

    def forward(self, windows_nchw: Tensor) -> Tensor:
        self.windows = windows_nchw
        return windows_nchw[:, :2]


def shown(slices_schw: Tensor) -> Tensor:
    network = WindowedNet(WindowedNetConfig(Comparator.UNET, slices_schw.shape[1], 2, base_channels=1))
    network.window = Seen()
    network(slices_schw)
    return network.window.windows


def stack(*hu: float, heart: float = 1.0) -> Tensor:
    """Return slices of one HU each, with a heart everywhere or nowhere and three coordinates."""
    slices = torch.zeros(len(hu), 5, 16, 16)
    slices[:, 0] = torch.tensor(hu)[:, None, None]
    slices[:, 1] = heart
    return slices


def test_a_window_holds_the_slice_above_the_slice_and_the_slice_below() -> None:
    windows = shown(stack(0.1, 0.2, 0.3, 0.4))
    expected = [[0.2, 0.1, 0.1], [0.3, 0.2, 0.1], [0.4, 0.3, 0.2], [0.4, 0.4, 0.3]]
    torch.testing.assert_close(windows[:, :, 0, 0], torch.tensor(expected))


def test_outside_the_heart_a_window_is_as_dark_as_can_be() -> None:
    assert (shown(stack(0.5, 0.5, heart=0.0)) == -1).all()


def test_the_heart_network_sees_everything() -> None:
    torch.testing.assert_close(shown(stack(0.5)[:, :1])[0, :, 0, 0], torch.full((3,), 0.5))


@pytest.mark.parametrize(
    ("kind", "n_classes", "parameters", "stride"),
    # the published counts (Pieszko et al. 2022); the U-Net's summed by hand over its layers
    [(Comparator.CLSTM, 2, 6_014_392, 8), (Comparator.CLSTM, 3, 6_014_910, 8), (Comparator.UNET, 3, 7_763_107, 16)],
)
def test_sizes_are_those_of_the_networks_inside(kind: Comparator, n_classes: int, parameters: int, stride: int) -> None:
    network = WindowedNet(WindowedNetConfig(kind, 5, n_classes))
    assert count_parameters(network) == parameters
    assert (network.config.stride, network.config.reach) == (stride, 1)


@pytest.mark.parametrize("kind", list(Comparator))
def test_every_slice_gets_logits_of_its_own_size(kind: Comparator) -> None:
    network = WindowedNet(WindowedNetConfig(kind, 5, 3, base_channels=2)).eval()
    with torch.inference_mode():
        assert network(torch.randn(4, 5, 32, 48)).shape == (4, 3, 32, 48)


@pytest.mark.parametrize(("channels", "classes", "base"), [(0, 2, 8), (1, 1, 8), (1, 2, 0)])
def test_sizes_that_make_no_sense_are_refused(channels: int, classes: int, base: int) -> None:
    with pytest.raises(ConfigError, match="expected at least 1 channel and 2 classes"):
        WindowedNetConfig(Comparator.UNET, channels, classes, base)
