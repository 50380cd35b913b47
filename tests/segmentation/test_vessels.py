from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.errors import ModelError
from calcmap.core.volume import BoolArray, Label, UInt8Array
from calcmap.scoring.agatston import VesselCode
from calcmap.segmentation.vessels import N_FEATURES, VesselModel, features, load_vessel_model, vessel_map


def ball(radius: int = 10) -> BoolArray:
    z, y, x = np.meshgrid(*(np.arange(2 * radius + 5) - radius - 2,) * 3, indexing="ij", sparse=True)
    return np.asarray(z**2 + y**2 + x**2 <= radius**2)


def with_calcium(heart: BoolArray, *at_zyx: tuple[int, int, int]) -> UInt8Array:
    labels = heart.astype(np.uint8) * np.uint8(Label.HEART)
    for place in at_zyx:
        labels[place] = Label.CORONARY
    return labels


def test_features_are_all_products_up_to_the_third_degree() -> None:
    found = features(np.array([[2.0, -1.0, 0.5]]))[0]
    expected = sorted(2.0**i * (-1.0) ** j * 0.5**k for i in range(4) for j in range(4 - i) for k in range(4 - i - j))
    assert sorted(found) == pytest.approx(expected)
    assert found[0] == 1


def test_far_outside_is_as_the_border() -> None:
    np.testing.assert_array_equal(features(np.array([[9.0, -9.0, 0.0]])), features(np.array([[2.0, -2.0, 0.0]])))


def test_probabilities_sum_to_one_however_large_the_weights() -> None:
    weights = 500 * np.random.default_rng(0).standard_normal((N_FEATURES, 4))
    probability = VesselModel(weights).probabilities(np.random.default_rng(1).uniform(-2, 2, (50, 3)))
    np.testing.assert_allclose(probability.sum(axis=1), 1)


def test_only_coronary_voxels_have_a_vessel() -> None:
    heart = ball()
    labels = with_calcium(heart, (12, 5, 8))
    labels[12, 12, 12] = Label.NONCORONARY
    codes = vessel_map(labels, heart, load_vessel_model())
    assert codes[12, 5, 8] in [*VesselCode][1:]
    assert np.count_nonzero(codes) == 1


def test_without_calcium_or_heart_there_is_no_vessel() -> None:
    heart = ball()
    assert not vessel_map(with_calcium(heart), heart, load_vessel_model()).any()
    assert not vessel_map(with_calcium(heart, (12, 5, 8)), np.zeros_like(heart), load_vessel_model()).any()


@pytest.mark.parametrize(
    ("place", "vessel"),
    # of a heart of radius 10 in the middle of 25 voxels: rows run to the back, columns to the patient's left
    [((13, 7, 3), VesselCode.RCA), ((13, 5, 14), VesselCode.LAD), ((13, 16, 20), VesselCode.LCX)],
    ids=["right groove", "front, above the septum", "left groove at the back"],
)
def test_the_shipped_model_knows_the_grooves(place: tuple[int, int, int], vessel: VesselCode) -> None:
    heart = ball()
    assert vessel_map(with_calcium(heart, place), heart, load_vessel_model())[place] == vessel


def test_the_map_follows_the_heart_wherever_it_lies_and_however_fine_the_grid_is() -> None:
    heart, model = ball(), load_vessel_model()
    codes = vessel_map(with_calcium(heart, (13, 7, 3)), heart, model)
    finer = np.repeat(heart, 2, axis=0)
    twice = vessel_map(np.repeat(with_calcium(heart, (13, 7, 3)), 2, axis=0), finer, model)
    np.testing.assert_array_equal(twice, np.repeat(codes, 2, axis=0))
    moved = np.pad(heart, ((3, 0), (5, 0), (0, 7)))
    there = vessel_map(np.pad(with_calcium(heart, (13, 7, 3)), ((3, 0), (5, 0), (0, 7))), moved, model)
    np.testing.assert_array_equal(there[3:, 5:, :-7], codes)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"weights": "x"}', json.dumps({"weights": [[0.0] * 4] * 3}), '{"weights": [[1, 2], [3]]}'],
)
def test_what_is_no_vessel_model_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "vessels.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match="vessel model"):
        load_vessel_model(path)


def test_a_missing_vessel_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read the vessel model"):
        load_vessel_model(tmp_path / "none.json")
