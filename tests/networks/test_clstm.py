from __future__ import annotations

import time
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch", reason="NETWORKS NOT TESTED: torch is not installed (train extra)")

from calcmap.core.errors import ConfigError  # noqa: E402
from calcmap.networks import clstm  # noqa: E402
from calcmap.networks.clstm import Fusion, PlainConvLstmCell, PublishedConvLstm, fuse_by_attention  # noqa: E402
from networks.onnx_parity import largest_difference, settle_batch_norms  # noqa: E402

pytestmark = pytest.mark.torch

Noise = Callable[..., torch.Tensor]

PARAMETERS_PUBLISHED = {2: 6_014_392, 3: 6_014_910}
"""Pieszko et al. 2022; STACK.md, "The published network's cost"."""


@pytest.fixture
def noise() -> Noise:
    generator = torch.Generator().manual_seed(7)
    return lambda *shape: torch.randn(shape, generator=generator)


def n_trainable(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_has_exactly_the_published_number_of_parameters(n_classes: int) -> None:
    assert n_trainable(PublishedConvLstm(n_classes)) == PARAMETERS_PUBLISHED[n_classes]


def test_parts_have_the_sizes_counted_by_hand() -> None:
    network = PublishedConvLstm(3)
    # two cells: four gates of 3 channels, 3 x 3 taps, from (1 + 3) and (3 + 3) channels, one bias each
    assert n_trainable(network.lstm) == (12 * 4 * 9 + 12) + (12 * 6 * 9 + 12) == 1_104
    assert n_trainable(network.segment) == n_trainable(network.attend) == 2 * (3 * 3 * 9 + 6) + 3 * 3 == 183
    assert n_trainable(network.segment_dense) == 2 * (512 * 512 * 9 + 1024) + 512 * 3 == 4_722_176
    assert n_trainable(network.dense) == 1_291_264


def test_dense_part_ends_with_512_channels_at_an_eighth(noise: Noise) -> None:
    features = PublishedConvLstm(2).eval().dense(noise(1, 1, 64, 48))
    assert features.shape == (1, 512, 64 // clstm.DENSE_STRIDE, 48 // clstm.DENSE_STRIDE)


@pytest.mark.parametrize(("n_classes", "h", "w"), [(2, 64, 64), (3, 51, 45), (2, 8, 8), (3, 33, 70)])
def test_output_is_as_large_as_the_input_at_any_size(noise: Noise, n_classes: int, h: int, w: int) -> None:
    assert PublishedConvLstm(n_classes).eval()(noise(2, 3, h, w)).shape == (2, n_classes, h, w)


def test_heart_network_fuses_by_attention_and_calcium_network_by_maximum() -> None:
    assert PublishedConvLstm(2).fusion is Fusion.ATTENTION
    assert PublishedConvLstm(3).fusion is Fusion.MAXIMUM
    assert PublishedConvLstm(3, fusion=Fusion.ATTENTION).fusion is Fusion.ATTENTION


def test_attention_zero_gives_the_lstm_one_the_dense_and_a_quarter_a_blend() -> None:
    lstm, dense = torch.tensor([2.0, 2.0, 2.0]), torch.tensor([10.0, 10.0, 10.0])
    fused = fuse_by_attention(lstm, dense, attention_nchw=torch.tensor([0.0, 1.0, 0.25]))
    assert fused.tolist() == [2.0, 10.0, 4.0]  # 2 * 0.75 + 10 * 0.25


class Constant(torch.nn.Module):
    """A head that answers one number everywhere, with the size of its input."""

    def __init__(self, value: float, n_classes: int) -> None:
        super().__init__()
        self.value, self.n_classes = value, n_classes

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        n, _, h, w = features.shape
        return features.new_full((n, self.n_classes, h, w), self.value)


def with_constant_heads(n_classes: int, *, lstm: float, dense: float, attention_logit: float) -> PublishedConvLstm:
    network = PublishedConvLstm(n_classes).eval()
    network.segment = Constant(lstm, n_classes)
    network.segment_dense = Constant(dense, n_classes)
    network.attend = Constant(attention_logit, n_classes)
    return network


@pytest.mark.parametrize(("lstm", "dense"), [(-1.0, 2.0), (2.0, -1.0)])
def test_calcium_logit_is_the_larger_of_the_two(noise: Noise, lstm: float, dense: float) -> None:
    network = with_constant_heads(3, lstm=lstm, dense=dense, attention_logit=0.0)
    assert (network(noise(1, 3, 32, 32)) == 2.0).all()


@pytest.mark.parametrize(("attention_logit", "expected"), [(-100.0, -1.0), (100.0, 2.0), (0.0, 0.5)])
def test_heart_logit_moves_from_lstm_to_dense_with_the_attention(
    noise: Noise, attention_logit: float, expected: float
) -> None:
    network = with_constant_heads(2, lstm=-1.0, dense=2.0, attention_logit=attention_logit)
    torch.testing.assert_close(network(noise(1, 3, 32, 32)), torch.full((1, 2, 32, 32), expected))


def test_dense_part_sees_the_middle_slice_only(noise: Noise) -> None:
    network = PublishedConvLstm(3).eval()
    seen = []
    network.dense.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    slices = noise(1, 3, 32, 32)
    network(slices)
    assert torch.equal(seen[0], slices[:, 1:2])


def test_each_of_the_three_slices_and_their_order_matter(noise: Noise) -> None:
    network = PublishedConvLstm(2).eval()
    slices = noise(1, 3, 32, 32)
    with torch.no_grad():
        before = network(slices)
        for changed in range(3):
            other = slices.clone()
            other[:, changed] += 1.0
            assert not torch.allclose(network(other), before, atol=1e-6)
        assert not torch.allclose(network(slices.flip(1)), before, atol=1e-6)


def test_cell_step_follows_the_convlstm_equations() -> None:
    cell = PlainConvLstmCell(1, 1)
    with torch.no_grad():
        cell.gates.weight.zero_()
        cell.gates.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 100.0]))  # gates half open, candidate tanh(100) = 1
        hidden, memory = cell(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.6))
    assert memory.item() == pytest.approx(0.5 * 0.6 + 0.5 * 1.0)
    assert hidden.item() == pytest.approx(0.5 * 0.664037, abs=1e-6)  # tanh(0.8)


def test_gradient_reaches_every_parameter_of_the_heart_network(noise: Noise) -> None:
    network = PublishedConvLstm(2)
    network(noise(2, 3, 32, 32)).square().mean().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_gradient_reaches_all_of_the_calcium_network_but_the_idle_attention_head(noise: Noise) -> None:
    network = PublishedConvLstm(3)
    network(noise(2, 3, 32, 32)).square().mean().backward()
    silent = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is None}
    assert silent == {"attend"}


def test_one_window_of_64_by_64_takes_less_than_a_second_on_a_cpu(noise: Noise) -> None:
    network, slices = PublishedConvLstm(3).eval(), noise(1, 3, 64, 64)
    seconds = []
    with torch.no_grad():
        for _ in range(3):
            start = time.perf_counter()
            network(slices)
            seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1.0  # the best of three: other processes may take the core


@pytest.mark.parametrize(("n_classes", "in_channels"), [(1, 1), (3, 0)])
def test_impossible_sizes_are_refused(n_classes: int, in_channels: int) -> None:
    with pytest.raises(ConfigError, match="at least 2 classes"):
        PublishedConvLstm(n_classes, in_channels)


# torch.export itself still asks a question that torch has deprecated
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning")
def test_onnx_export_agrees_at_other_sizes_than_the_exported_one(monkeypatch: pytest.MonkeyPatch, noise: Noise) -> None:
    # Every kind of layer is kept; fewer of them, because exporting all 18 dense layers takes half a minute. The maximum
    # differs from the attention by one elementary operation and is left out for the same reason.
    monkeypatch.setattr(clstm, "BLOCK_LAYERS", (1, 1))
    torch.manual_seed(3)
    network = settle_batch_norms(PublishedConvLstm(2, fusion=Fusion.ATTENTION), seed=5)
    sizes = [(1, 3, 32, 32), (3, 3, 33, 50)]
    difference = largest_difference(network, exported_at=noise(2, 3, 40, 48), run_at=[noise(*size) for size in sizes])
    assert difference < 1e-4
