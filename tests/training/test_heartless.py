"""A calcium network that is not told where the heart is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: torch is not installed (train extra)")

from calcmap.core.config import config_from_dict, config_to_dict  # noqa: E402
from calcmap.core.errors import ConfigError  # noqa: E402
from calcmap.networks.neighbours import Neighbours  # noqa: E402
from calcmap.training import exporting  # noqa: E402
from calcmap.training.checkpoint import BEST, Progress, save_checkpoint  # noqa: E402
from calcmap.training.config import NetworkSettings, Task, TrainConfig  # noqa: E402
from calcmap.training.crops import calcium_crop  # noqa: E402
from calcmap.training.loop import build_network  # noqa: E402
from calcmap.training.samples import CalciumSample, SampleFacts, make_calcium_sample  # noqa: E402
from calcmap.training.validation import validate  # noqa: E402
from training.small_cases import NETWORK, STILL, small_case, small_config  # noqa: E402

pytestmark = pytest.mark.torch

HEARTLESS = replace(NETWORK, sees_heart=False)


@pytest.fixture(scope="module")
def sample() -> CalciumSample:
    return make_calcium_sample(*small_case(), SampleFacts("a", "a", "test", 1), unsure_zyx=[])


def config(network: NetworkSettings) -> TrainConfig:
    return small_config(Task.CALCIUM, network=network, slices=10, crop_px=28, augmentation=STILL)


def test_its_crops_hold_hu_alone_the_same_as_with_the_heart(sample: CalciumSample) -> None:
    with_heart, without = (
        calcium_crop(sample, config(network), np.random.default_rng(4)) for network in (NETWORK, HEARTLESS)
    )
    assert without.input_schw.shape[1] == 1
    assert torch.equal(without.input_schw, with_heart.input_schw[:, :1])
    assert torch.equal(without.target_schw, with_heart.target_schw)


def test_it_learns_from_dense_voxels_far_from_the_heart(sample: CalciumSample) -> None:
    ct_hu_zyx = sample.ct_hu_zyx.copy()
    ct_hu_zyx[0, 0, 0] = 500  # a rib: 16 mm from the heart
    ribbed = replace(sample, ct_hu_zyx=ct_hu_zyx)
    n_counted = [
        int(calcium_crop(ribbed, config(network), np.random.default_rng(4)).mask_shw.sum())
        for network in (NETWORK, HEARTLESS)
    ]
    assert n_counted == [6, 7]  # two coronary and four noncoronary voxels, and the rib


def test_it_is_validated_on_hu_alone(sample: CalciumSample) -> None:
    assert np.isfinite(validate(build_network(config(HEARTLESS)), [sample]))


def test_a_heart_network_cannot_do_without_the_heart() -> None:
    with pytest.raises(ConfigError, match="sees_heart is false, which only a calcium network can be"):
        small_config(Task.HEART, network=HEARTLESS)


@pytest.mark.parametrize("network", [NETWORK, HEARTLESS, replace(NETWORK, neighbours=Neighbours.NONE)])
def test_the_network_file_says_what_the_network_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: NetworkSettings
) -> None:
    caught: dict[str, str] = {}
    monkeypatch.setattr(exporting, "export_onnx", lambda network, path, *, metadata: caught.update(metadata))
    settings = config(network)
    built = build_network(settings)
    optimizer = torch.optim.AdamW(built.parameters())
    save_checkpoint(tmp_path / BEST, network=built, optimizer=optimizer, progress=Progress(1, 0.5, 1), config=settings)
    exporting.export_run(tmp_path)
    described = json.loads(caught["network"])
    assert json.loads(caught["sees_heart"]) is network.sees_heart
    assert (described["neighbours"], described["in_channels"]) == (
        network.neighbours.value,
        5 if network.sees_heart else 1,
    )


def test_settings_of_before_there_was_a_choice_mean_what_they_did() -> None:
    table = {name: value for name, value in config_to_dict(config(NETWORK)).items() if value is not None}
    for name in ("neighbours", "sees_heart"):
        del table["network"][name]
    assert config_from_dict(table, TrainConfig, where="an old checkpoint") == config(NETWORK)
