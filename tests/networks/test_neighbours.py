from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="NETWORKS NOT TESTED: torch is not installed (train extra)")
for _name in ("onnx", "onnxscript"):
    pytest.importorskip(_name, reason=f"EXPORT NOT TESTED: {_name} is not installed (train extra)")

from calcmap.networks.calcmap_net import CalcMapNet, CalcMapNetConfig, count_parameters  # noqa: E402
from calcmap.networks.export import export_onnx  # noqa: E402
from calcmap.networks.neighbours import Neighbours  # noqa: E402
from calcmap.segmentation.engine import load_engine  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_net(neighbours: Neighbours | None = None, *, reach: int = 1) -> CalcMapNet:
    """Return a small network in inference mode with batch norms that are not the identity."""
    choice = {} if neighbours is None else {"neighbours": neighbours}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CalcMapNet(CalcMapNetConfig(2, 3, (4, 6, 8), lstm_level=1, lstm_channels=3, reach=reach, **choice))
        with torch.no_grad():
            network.train()(torch.randn(4, 2, 16, 16))
    return network.eval()


def slices(n: int) -> torch.Tensor:
    return torch.randn(n, 2, 16, 16, generator=torch.Generator().manual_seed(1))


def is_changed_by_neighbour(network: CalcMapNet, offset: int) -> bool:
    given = slices(7)
    other = given.clone()
    other[3 + offset] += 1.0
    with torch.inference_mode():
        return not torch.equal(network(given)[3], network(other)[3])


def test_the_convlstm_is_the_default_and_its_weights_keep_their_names() -> None:
    default, named = small_net(), small_net(Neighbours.CONVLSTM)
    assert list(default.state_dict()) == list(named.state_dict())
    assert any(name.startswith("neighbours.from_below.input_gates") for name in default.state_dict())
    for name, weights in default.state_dict().items():
        assert torch.equal(weights, named.state_dict()[name])


def test_one_slice_alone_sees_no_neighbour() -> None:
    network = small_net(Neighbours.NONE)
    assert not any(is_changed_by_neighbour(network, offset) for offset in (-1, 1))


@pytest.mark.parametrize("reach", [1, 2])
def test_concatenation_sees_the_reach_and_no_more(reach: int) -> None:
    network = small_net(Neighbours.CONCAT, reach=reach)
    assert [is_changed_by_neighbour(network, offset) for offset in range(-3, 4)] == [
        abs(offset) <= reach for offset in range(-3, 4)
    ]


def test_concatenation_tells_the_slice_below_from_the_one_above() -> None:
    network, given = small_net(Neighbours.CONCAT), slices(3)
    with torch.inference_mode():
        assert not torch.allclose(network(given)[1], network(given.flip(0))[1])


def test_without_recurrence_a_merge_alone_has_weights() -> None:
    # Merge at level 1 with 6 channels: 9 weights a pair of channels, and a batch norm's 2 a channel.
    rest = count_parameters(small_net(Neighbours.NONE)) - (9 * 6 * 6 + 2 * 6)
    assert count_parameters(small_net(Neighbours.CONCAT)) == rest + 9 * 18 * 6 + 2 * 6


@pytest.mark.parametrize("neighbours", [Neighbours.CONCAT, Neighbours.NONE])
def test_the_exported_file_agrees_with_torch_and_says_what_it_is(tmp_path: Path, neighbours: Neighbours) -> None:
    network, given = small_net(neighbours), slices(5)
    described = json.dumps({"neighbours": network.config.neighbours, "reach": network.config.reach})
    metadata = {"task": "calcium", "stride": "4", "network": described}
    export_onnx(network, tmp_path / "calcium.onnx", metadata=metadata)
    engine = load_engine(tmp_path / "calcium.onnx", task="calcium", threads=1)
    with torch.inference_mode():
        expected = network(given).numpy()
    np.testing.assert_allclose(engine.logits(given.numpy()), expected, atol=1e-4)
    assert json.loads(engine.metadata["network"])["neighbours"] == neighbours.value
