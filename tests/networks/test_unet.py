from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch", reason="NETWORKS NOT TESTED: torch is not installed (train extra)")

from calcmap.core.errors import ConfigError  # noqa: E402
from calcmap.networks.unet import UNET_STRIDE, UNet2d  # noqa: E402
from networks.onnx_parity import largest_difference, settle_batch_norms  # noqa: E402

pytestmark = pytest.mark.torch

Noise = Callable[..., torch.Tensor]


@pytest.fixture
def noise() -> Noise:
    generator = torch.Generator().manual_seed(11)
    return lambda *shape: torch.randn(shape, generator=generator)


@pytest.mark.parametrize(("base_channels", "expected"), [(32, 7_763_107), (64, 31_037_763)])
def test_number_of_parameters_follows_from_the_layer_table(base_channels: int, expected: int) -> None:
    def double(before: int, after: int) -> int:  # two 3 x 3 convolutions without bias, two batch norms
        return 9 * before * after + 9 * after * after + 4 * after

    widths = [base_channels * factor for factor in (1, 2, 4, 8, 16)]
    down = sum(double(before, after) for before, after in zip([3, *widths], widths, strict=False))
    up = sum(4 * 2 * here * here + here + double(2 * here, here) for here in widths[:-1])
    network = UNet2d(3, 3, base_channels=base_channels)
    assert (
        sum(parameter.numel() for parameter in network.parameters()) == down + up + 3 * (base_channels + 1) == expected
    )


@pytest.mark.parametrize(("h", "w"), [(64, 64), (51, 45), (17, 16), (1, 5)])
def test_output_is_as_large_as_the_input_at_any_size(noise: Noise, h: int, w: int) -> None:
    assert UNet2d(3, 3, base_channels=4).eval()(noise(2, 3, h, w)).shape == (2, 3, h, w)


def test_filling_up_equals_repeating_the_last_row_and_column_beforehand(noise: Noise) -> None:
    torch.manual_seed(1)
    network = UNet2d(3, 2, base_channels=4).eval()
    slices = noise(1, 3, 30, 31)
    filled = torch.cat([slices, slices[:, :, -1:], slices[:, :, -1:]], dim=2)
    filled = torch.cat([filled, filled[..., -1:]], dim=3)
    assert filled.shape[-2] % UNET_STRIDE == filled.shape[-1] % UNET_STRIDE == 0
    with torch.no_grad():
        torch.testing.assert_close(network(slices), network(filled)[..., :30, :31])


def test_every_slice_matters(noise: Noise) -> None:
    network, slices = UNet2d(3, 2, base_channels=4).eval(), noise(1, 3, 32, 32)
    with torch.no_grad():
        before = network(slices)
        for changed in range(3):
            other = slices.clone()
            other[:, changed] += 1.0
            assert not torch.allclose(network(other), before)


def test_gradient_reaches_every_parameter(noise: Noise) -> None:
    network = UNet2d(3, 3, base_channels=4)
    network(noise(2, 3, 32, 32)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize(("in_channels", "n_classes", "base_channels"), [(0, 2, 4), (3, 1, 4), (3, 2, 0)])
def test_impossible_sizes_are_refused(in_channels: int, n_classes: int, base_channels: int) -> None:
    with pytest.raises(ConfigError, match="at least 2 classes"):
        UNet2d(in_channels, n_classes, base_channels=base_channels)


# torch.export itself still asks a question that torch has deprecated
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning")
def test_onnx_export_agrees_at_other_sizes_than_the_exported_one(noise: Noise) -> None:
    torch.manual_seed(3)
    network = settle_batch_norms(UNet2d(3, 3, base_channels=4), seed=5)
    sizes = [(1, 3, 32, 32), (3, 3, 33, 50)]
    difference = largest_difference(network, exported_at=noise(2, 3, 40, 47), run_at=[noise(*size) for size in sizes])
    assert difference < 1e-4
