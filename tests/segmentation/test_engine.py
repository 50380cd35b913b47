from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calcmap.core.errors import ModelError
from calcmap.segmentation import engine
from calcmap.segmentation.engine import (
    CALCIUM_FILE,
    HEART_FILE,
    MAX_PART_SLICES,
    MIN_PART_SLICES,
    Engine,
    load_engine,
    shipped_weights,
)
from stub_networks import METADATA, calcium_weights, heart_weights, network_file, write_networks


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_networks(tmp_path_factory.mktemp("networks"))


def test_an_engine_knows_its_file(networks: Path) -> None:
    path = networks / "heart.onnx"
    loaded = load_engine(path, task="heart")
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.metadata == METADATA["heart"]


@pytest.mark.parametrize(("h", "w"), [(4, 8), (5, 7), (1, 1)])
def test_logits_have_the_size_of_the_slices(networks: Path, h: int, w: int) -> None:
    slices = np.random.default_rng(0).random((3, 5, h, w), dtype=np.float32)
    found = load_engine(networks / "calcium.onnx", task="calcium", threads=1).logits(slices)
    weights, biases = calcium_weights()
    assert found.shape == (3, 3, h, w)
    np.testing.assert_allclose(
        found, np.einsum("kc,schw->skhw", weights, slices) + biases[:, None, None], rtol=1e-4, atol=1e-2
    )


def test_a_network_for_the_other_task_is_refused(networks: Path) -> None:
    with pytest.raises(ModelError, match="is made for task 'heart', expected 'calcium'"):
        load_engine(networks / "heart.onnx", task="calcium")


@pytest.mark.parametrize(("task", "key"), [("heart", "stride"), ("heart", "heart_grid"), ("calcium", "network")])
def test_a_network_that_does_not_describe_itself_is_refused(tmp_path: Path, task: str, key: str) -> None:
    weights, biases = heart_weights()
    metadata = {name: value for name, value in METADATA[task].items() if name != key}
    (tmp_path / "a.onnx").write_bytes(network_file(weights, biases, metadata=metadata))
    with pytest.raises(ModelError, match=f"does not say {key}"):
        load_engine(tmp_path / "a.onnx", task=task)


def test_a_network_of_nobody_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(network_file(*heart_weights(), metadata={}))
    with pytest.raises(ModelError, match="is made for task None"):
        load_engine(tmp_path / "a.onnx", task="heart")


@pytest.mark.parametrize("content", [b"", b"no network at all", b"\x08\x08" * 50])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "heart.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"heart\.onnx is not a network that ONNX Runtime can load"):
        load_engine(tmp_path / "heart.onnx", task="heart")


def test_half_a_file_is_refused(networks: Path, tmp_path: Path) -> None:
    content = (networks / "heart.onnx").read_bytes()
    (tmp_path / "heart.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError):
        load_engine(tmp_path / "heart.onnx", task="heart")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read the heart network .*: No such file"):
        load_engine(tmp_path / "heart.onnx", task="heart")


@pytest.mark.parametrize(
    ("task", "name", "channels", "classes"), [("heart", HEART_FILE, 1, 2), ("calcium", CALCIUM_FILE, 5, 3)]
)
def test_the_shipped_networks_are_for_their_tasks(task: str, name: str, channels: int, classes: int) -> None:
    loaded = load_engine(shipped_weights(name), task=task, threads=1)
    logits = loaded.logits(np.zeros((1, channels, 20, 24), dtype=np.float32))
    assert logits.shape == (1, classes, 20, 24)


def test_a_package_without_weights_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.resources, "files", lambda package: tmp_path)
    with pytest.raises(ModelError, match=r"holds no weights/heart\.onnx"):
        shipped_weights("heart.onnx")


@pytest.mark.parametrize(("task", "name", "channels"), [("heart", HEART_FILE, 1), ("calcium", CALCIUM_FILE, 5)])
@pytest.mark.parametrize("threads", [2, 3])
def test_a_stack_run_in_parts_has_the_logits_of_the_whole_stack(
    task: str, name: str, channels: int, threads: int
) -> None:
    slices = np.random.default_rng(1).standard_normal((13, channels, 20, 33), dtype=np.float32)
    path = shipped_weights(name)
    whole = load_engine(path, task=task, threads=1).logits(slices)
    np.testing.assert_array_equal(load_engine(path, task=task, threads=threads).logits(slices), whole)


def test_a_stack_run_in_parts_gives_the_same_bits_each_time() -> None:
    slices = np.random.default_rng(2).standard_normal((9, 5, 32, 32), dtype=np.float32)
    loaded = load_engine(shipped_weights(CALCIUM_FILE), task="calcium", threads=2)
    first = loaded.logits(slices)
    for _ in range(5):
        np.testing.assert_array_equal(loaded.logits(slices), first)


@given(n_slices=st.integers(1, 300), threads=st.integers(1, 9))
def test_parts_cover_every_slice_once_and_are_neither_tiny_nor_huge(n_slices: int, threads: int) -> None:
    parts = Engine(None, "", {}, threads=threads, reach=1)._parts(n_slices)
    assert [index for first, last in parts for index in range(first, last)] == list(range(n_slices))
    sizes = [last - first for first, last in parts]
    assert min(sizes) >= min(MIN_PART_SLICES, n_slices)
    assert max(sizes) <= MAX_PART_SLICES


def test_a_network_that_does_not_say_how_far_it_looks_gets_the_whole_stack() -> None:
    assert Engine(None, "", {}, threads=4)._parts(60) == [(0, 60)]
