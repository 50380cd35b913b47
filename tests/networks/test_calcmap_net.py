from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="NETWORKS NOT TESTED: torch is not installed (train extra)")

from calcmap.core.errors import ConfigError  # noqa: E402
from calcmap.networks.calcmap_net import (  # noqa: E402
    CalcMapNet,
    CalcMapNetConfig,
    ConvLstmCell,
    count_parameters,
)

pytestmark = pytest.mark.torch

SMALL = CalcMapNetConfig(in_channels=2, n_classes=3, level_channels=(4, 6, 8), lstm_level=1, lstm_channels=3)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_net(*, reach: int = 1, seed: int = 0) -> CalcMapNet:
    """Return a small network in inference mode with batch norms that are not the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = CalcMapNet(CalcMapNetConfig(2, 3, (4, 6, 8), lstm_level=1, lstm_channels=3, reach=reach))
        network.train()
        with torch.no_grad():
            network(torch.randn(4, 2, 16, 16))
    return network.eval()


def noise(n_slices: int, *, side: int = 16, seed: int = 1) -> torch.Tensor:
    return torch.randn(n_slices, 2, side, side, generator=torch.Generator().manual_seed(seed))


def logits_of(network: CalcMapNet, slices_schw: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network(slices_schw)


@pytest.mark.parametrize(("n_slices", "h", "w"), [(1, 4, 4), (2, 8, 16), (5, 20, 12)])
def test_every_slice_gets_logits_of_its_own_size(n_slices: int, h: int, w: int) -> None:
    assert logits_of(small_net(), torch.zeros(n_slices, 2, h, w)).shape == (n_slices, 3, h, w)


def test_number_of_parameters_follows_from_the_layer_table() -> None:
    # Encoder (18 + 4) + (36 + 4) and (54 + 6) + (81 + 6); each LSTM 108 + 4 + 36; merge 135 + 6; decoder 90 + 4;
    # head 4 + 2.
    network = CalcMapNet(CalcMapNetConfig(1, 2, level_channels=(2, 3), lstm_level=1, lstm_channels=1))
    assert count_parameters(network) == 62 + 147 + 2 * 148 + 141 + 94 + 6


@pytest.mark.parametrize("reach", [1, 2])
def test_slices_beyond_the_reach_do_not_matter(reach: int) -> None:
    network, slices = small_net(reach=reach), noise(7)
    changed = slices.clone()
    changed[: 3 - reach] += 5.0
    changed[3 + reach + 1 :] -= 5.0
    torch.testing.assert_close(logits_of(network, changed)[3], logits_of(network, slices)[3], rtol=0, atol=0)


@pytest.mark.parametrize("neighbour", [2, 4])
def test_both_neighbours_matter(neighbour: int) -> None:
    network, slices = small_net(), noise(7)
    changed = slices.clone()
    changed[neighbour] += 1.0
    assert not torch.allclose(logits_of(network, changed)[3], logits_of(network, slices)[3])


def test_end_slices_take_themselves_for_the_missing_neighbour() -> None:
    network, slices = small_net(), noise(3)
    repeated = torch.cat([slices[:1], slices, slices[-1:]])
    torch.testing.assert_close(logits_of(network, repeated)[1:-1], logits_of(network, slices), rtol=0, atol=1e-6)


def test_a_single_slice_is_its_own_neighbours() -> None:
    network, one = small_net(), noise(1)
    torch.testing.assert_close(logits_of(network, one.repeat(3, 1, 1, 1))[1:2], logits_of(network, one))


@pytest.mark.parametrize("reach", [1, 2])
def test_a_run_of_slices_gets_the_logits_of_the_whole_stack(reach: int) -> None:
    network, slices = small_net(reach=reach), noise(9)
    run = logits_of(network, slices[2:8])
    torch.testing.assert_close(run[reach:-reach], logits_of(network, slices)[2 + reach : 8 - reach], rtol=0, atol=1e-6)


def test_a_walk_from_below_is_not_a_walk_from_above() -> None:
    network, slices = small_net(), noise(3)
    assert not torch.allclose(logits_of(network, slices.flip(0)).flip(0), logits_of(network, slices))


def test_the_cell_follows_the_published_equations() -> None:
    # Shi 2015 without peepholes on one pixel, where only the centre of each 3 x 3 kernel acts.
    torch.manual_seed(3)
    cell = ConvLstmCell(1, 1)
    w_x, w_h = cell.input_gates.weight[:, 0, 1, 1].tolist(), cell.hidden_gates.weight[:, 0, 1, 1].tolist()
    b = cell.input_gates.bias.tolist()

    def sigmoid(value: float) -> float:
        return 1.0 / (1.0 + float(np.exp(-value)))

    hidden, memory = 0.0, 0.0
    for x in (0.7, -1.3):
        i, f, o, g = (w_x[k] * x + w_h[k] * hidden + b[k] for k in range(4))
        memory = sigmoid(f) * memory + sigmoid(i) * float(np.tanh(g))
        hidden = sigmoid(o) * float(np.tanh(memory))
    with torch.no_grad():
        first = cell.first(cell.input_gates(torch.full((1, 1, 1, 1), 0.7)))
        found_hidden, found_memory = cell.next(cell.input_gates(torch.full((1, 1, 1, 1), -1.3)), *first)
    assert (found_hidden.item(), found_memory.item()) == pytest.approx((hidden, memory), abs=1e-6)


def test_the_forget_gate_starts_open() -> None:
    assert ConvLstmCell(2, 3).input_gates.bias[3:6].tolist() == [1.0, 1.0, 1.0]


def test_gradient_reaches_every_parameter() -> None:
    network = CalcMapNet(SMALL)
    network(noise(4)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_it_learns_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    network, slices = CalcMapNet(SMALL), noise(3)
    target = (slices[:, 0] > 0.5).long() + (slices[:, 1] > 1.0).long()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(slices), target)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    assert (network(slices).argmax(dim=1) == target).float().mean() > 0.97


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lstm_level": 3}, "lstm_level is 3, expected 0 to 2"),
        ({"lstm_level": -1}, "lstm_level is -1"),
        ({"reach": 0}, "at least 1"),
        ({"n_classes": 0}, "at least 1"),
        ({"level_channels": (4, 0, 8)}, "at least 1"),
    ],
)
def test_impossible_sizes_are_refused(changes: dict[str, object], message: str) -> None:
    fields = {"in_channels": 2, "n_classes": 3, "level_channels": (4, 6, 8), "lstm_level": 1} | changes
    with pytest.raises(ConfigError, match=message):
        CalcMapNetConfig(**fields)  # type: ignore[arg-type]


def test_stride_is_one_halving_a_level() -> None:
    assert SMALL.stride == 4
    assert CalcMapNetConfig(1, 2, level_channels=(4,), lstm_level=0).stride == 1
