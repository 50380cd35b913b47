from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="BASELINES NOT TESTED: torch is not installed (train extra)")

from calcmap.benchmark import worker  # noqa: E402
from calcmap.benchmark.baselines import build_networks, window_of  # noqa: E402
from calcmap.benchmark.orders import Measurement, NetworkRun, WorkOrder  # noqa: E402
from calcmap.core.config import config_to_dict  # noqa: E402
from calcmap.core.errors import InputError  # noqa: E402
from calcmap.core.machine import usable_cores  # noqa: E402
from scored_chest import scored_chest, write_chest  # noqa: E402

pytestmark = pytest.mark.torch

PARAMETERS = {Measurement.CLSTM: 6_014_392 + 6_014_910, Measurement.UNET: 7_763_074 + 7_763_107}
"""Of the heart and the calcium network: as published for the ConvLSTM, from the layer table for the U-Net."""


@pytest.fixture
def order(tmp_path: Path) -> WorkOrder:
    study = write_chest(tmp_path / "chest")
    return WorkOrder(Measurement.CLSTM, study, tmp_path / "h", tmp_path / "c", tmp_path, repeats=1, slices=2)


@pytest.fixture
def _threads_kept() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_slices_are_timed_one_by_one(order: WorkOrder) -> None:
    run = worker.measure(order)
    assert isinstance(run, NetworkRun)
    assert len(run.seconds) == len(run.cpu_seconds) == 2
    assert min(run.seconds) > 0
    assert (run.slices_each, run.study_slices) == (1, scored_chest()[0].grid.shape_zyx[0])
    assert run.parameters == PARAMETERS[Measurement.CLSTM]
    assert run.engine.startswith("torch")


@pytest.mark.parametrize("baseline", PARAMETERS)
def test_networks_are_those_that_were_published(baseline: Measurement) -> None:
    networks = build_networks(baseline)
    assert sum(p.numel() for network in networks for p in network.parameters()) == PARAMETERS[baseline]
    assert not any(network.training for network in networks)
    window = torch.zeros(1, 3, 16, 16)
    with torch.inference_mode():
        assert [network(window).shape[1] for network in networks] == [2, 3]


def test_building_leaves_the_random_state_alone() -> None:
    state = torch.random.get_rng_state()
    build_networks(Measurement.CLSTM)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(("z", "expected"), [(0, [0.1, 0.0, 0.0]), (1, [0.2, 0.1, 0.0]), (2, [0.2, 0.2, 0.1])])
def test_a_window_is_the_upper_neighbour_the_slice_and_the_lower_one(z: int, expected: list[float]) -> None:
    ct_hu_zyx = np.array([0, 100, 200], dtype=np.int16)[:, None, None] * np.ones((1, 2, 4), dtype=np.int16)
    window = window_of(ct_hu_zyx, z)
    assert window.shape == (1, 3, 2, 4)
    assert window.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(window[0, :, 0, 0].numpy(), expected, atol=1e-6)


def test_hu_beyond_the_window_are_cut() -> None:
    ct_hu_zyx = np.array([[[-3024, 3071]]], dtype=np.int16)
    assert window_of(ct_hu_zyx, 0)[0, 1, 0].tolist() == [-1.0, 1.0]


@pytest.mark.usefixtures("_threads_kept")
def test_the_measuring_process_gives_torch_all_cores(order: WorkOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(order: WorkOrder) -> None:
        raise InputError("far enough")

    monkeypatch.setattr(worker, "measure", refuse)
    torch.set_num_threads(1)
    assert worker.main([json.dumps(config_to_dict(order)), "never-written.json"]) == worker.EXIT_REFUSED
    assert torch.get_num_threads() == usable_cores()
