from __future__ import annotations

import copy
import logging
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="EXPORT NOT TESTED: torch is not installed (train extra)")
for _name in ("onnx", "onnxscript"):
    pytest.importorskip(_name, reason=f"EXPORT NOT TESTED: {_name} is not installed (train extra)")

from calcmap.core.errors import ModelError, OutputError  # noqa: E402
from calcmap.networks import export  # noqa: E402
from calcmap.networks.calcmap_net import CalcMapNet, CalcMapNetConfig  # noqa: E402
from calcmap.segmentation.engine import Engine, load_engine  # noqa: E402

pytestmark = pytest.mark.torch

METADATA = {"task": "heart", "stride": "4", "heart_grid": "{}", "note": "für den Test"}


@pytest.fixture(scope="module")
def network() -> CalcMapNet:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = CalcMapNet(CalcMapNetConfig(1, 2, level_channels=(4, 6, 8), lstm_level=1, lstm_channels=3))
        with torch.no_grad():
            network(torch.randn(4, 1, 16, 16))  # batch norms that are not the identity
    return network.eval()


@pytest.fixture(scope="module")
def exported(network: CalcMapNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the only file that is really exported here: the exporter takes seconds."""
    path = tmp_path_factory.mktemp("export") / "new" / "heart.onnx"
    export.export_onnx(network, path, metadata=METADATA)
    return path


@pytest.fixture(scope="module")
def engine(exported: Path) -> Engine:
    return load_engine(exported, task="heart", threads=1)


def expected_logits(network: CalcMapNet, slices_schw: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(slices_schw)).numpy()


@pytest.mark.parametrize(("n_slices", "h", "w"), [(1, 4, 4), (3, 8, 8), (6, 12, 20)])
def test_the_file_agrees_with_torch_at_any_size(
    network: CalcMapNet, engine: Engine, n_slices: int, h: int, w: int
) -> None:
    slices = np.random.default_rng(2).standard_normal((n_slices, 1, h, w), dtype=np.float32)
    expected = expected_logits(network, slices)
    assert expected.std() > 0.01
    np.testing.assert_allclose(engine.logits(slices), expected, atol=1e-4)


def test_sizes_between_strides_are_filled_up_by_repeating_the_border(network: CalcMapNet, engine: Engine) -> None:
    slices = np.random.default_rng(3).standard_normal((2, 1, 6, 11), dtype=np.float32)
    filled = np.pad(slices, ((0, 0), (0, 0), (0, 2), (0, 1)), mode="edge")
    np.testing.assert_allclose(engine.logits(slices), expected_logits(network, filled)[:, :, :6, :11], atol=1e-4)


def test_the_file_carries_its_metadata(engine: Engine) -> None:
    assert engine.metadata == METADATA


def test_no_part_file_is_left(exported: Path) -> None:
    assert [path.name for path in exported.parent.iterdir()] == ["heart.onnx"]


def test_the_log_level_of_torch_is_put_back() -> None:
    log = logging.getLogger("torch.onnx")
    before = log.level
    with export._quiet_exporter():
        assert log.level == logging.ERROR
    assert log.level == before


def test_a_file_that_disagrees_with_torch_is_not_written(
    network: CalcMapNet, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    model = onnx.load(exported)
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.head.bias += 0.01
    monkeypatch.setattr(export, "_to_onnx", lambda _: model)
    with pytest.raises(ModelError, match=r"differ from torch by 0\.01, expected at most 0\.001"):
        export.export_onnx(other, tmp_path / "a.onnx", metadata=METADATA)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(
    network: CalcMapNet, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    model = onnx.load(exported)
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setattr(export, "_to_onnx", lambda _: model)
    with pytest.raises(OutputError, match="cannot write"):
        export.export_onnx(network, tmp_path / "file" / "a.onnx", metadata=METADATA)
