from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calcmap.core.errors import ModelError
from calcmap.core.volume import BoolArray, Float32Array, Label, Volume
from calcmap.evaluation.overlap import dice
from calcmap.segmentation.calcium_input import calcium_network_input, heart_frame
from calcmap.segmentation.cascade import (
    LEAD_MM,
    MIN_CANDIDATE_HU,
    Cascade,
    dense_pieces,
    foreground_probability,
    largest_component,
    lead_pieces,
    load_cascade,
    runs_of_slices,
)
from calcmap.segmentation.engine import Engine
from segmentation.heart_in_air import heart_in_air
from segmentation.test_judge import peak_judge
from stub_networks import METADATA, calcium_weights, heart_weights, write_networks


class PointwiseSession:
    """A 1 x 1 convolution in numpy, in the place of ONNX Runtime's session."""

    def __init__(self, weights: np.ndarray, biases: np.ndarray) -> None:
        self.weights, self.biases = weights, biases

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="slices")]

    def run(self, _: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [np.einsum("kc,schw->skhw", self.weights, feed["slices"]) + self.biases[:, None, None]]


def stub_cascade(**metadata: str) -> Cascade:
    """Return a cascade of two thresholds; ``metadata`` replaces parts of both networks' own."""
    heart = Engine(PointwiseSession(*heart_weights()), "a" * 64, METADATA["heart"] | metadata)
    calcium = Engine(PointwiseSession(*calcium_weights()), "b" * 64, METADATA["calcium"] | metadata)
    return Cascade(heart, calcium)


@pytest.fixture(scope="module")
def scan() -> tuple[Volume, BoolArray]:
    return heart_in_air()


def test_heart_and_calcium_are_where_they_were_put(scan: tuple[Volume, BoolArray]) -> None:
    volume, heart = scan
    found = stub_cascade().segment(volume)
    labels = found.labels.labels_zyx
    middle = volume.grid.shape_zyx[2] // 2
    dense = volume.ct_hu_zyx == 400
    assert dice(found.heart_zyx, heart) > 0.95
    assert (labels[..., :middle][dense[..., :middle]] == Label.CORONARY).all()
    assert (labels[..., middle:][dense[..., middle:]] == Label.NONCORONARY).all()
    assert (labels > Label.HEART).sum() == dense.sum()
    assert ((labels == Label.HEART) == (found.heart_zyx & ~dense)).all()


def test_labels_lie_on_the_grid_of_the_scan_and_say_how_long_it_took(scan: tuple[Volume, BoolArray]) -> None:
    found = stub_cascade().segment(scan[0])
    found.labels.check_on(scan[0])
    assert set(found.seconds) == {"heart", "calcium"}
    assert stub_cascade().weights_sha256 == {"heart": "a" * 64, "calcium": "b" * 64}


def test_where_no_heart_is_found_nothing_is_labelled() -> None:
    volume, _ = heart_in_air()
    air = Volume(np.full_like(volume.ct_hu_zyx, -1000), volume.grid)
    found = stub_cascade().segment(air)
    assert not found.heart_zyx.any()
    assert not found.labels.labels_zyx.any()
    assert set(found.seconds) == {"heart"}


def test_dense_voxels_far_from_the_heart_are_not_labelled() -> None:
    volume, _ = heart_in_air(with_calcium=False)
    ct = volume.ct_hu_zyx.copy()
    ct[:, 2:5, 2:5] = 900  # a rib
    found = stub_cascade().segment(Volume(ct, volume.grid))
    assert (found.labels.labels_zyx <= Label.HEART).all()


def test_voxels_below_the_candidate_threshold_are_never_calcium(scan: tuple[Volume, BoolArray]) -> None:
    volume = scan[0]
    ct = np.where(volume.ct_hu_zyx == 400, MIN_CANDIDATE_HU - 1, volume.ct_hu_zyx).astype(np.int16)
    weights, biases = calcium_weights()
    eager = Engine(PointwiseSession(weights, biases + np.float32([0, 1e4, 0])), "b", METADATA["calcium"])
    heart = Engine(PointwiseSession(*heart_weights()), "a", METADATA["heart"])
    assert (Cascade(heart, eager).segment(Volume(ct, volume.grid)).labels.labels_zyx <= Label.HEART).all()


def test_a_rib_that_reaches_into_the_heart_mask_is_no_calcium(scan: tuple[Volume, BoolArray]) -> None:
    volume, heart = scan
    ct = volume.ct_hu_zyx.copy()
    edge = int(np.flatnonzero(heart[20, 42])[0])
    ct[20, 42, edge - 9 : edge + 3] = 400
    everywhere = tuple(slice(0, n) for n in ct.shape)
    labels = stub_cascade().find_calcium(Volume(ct, volume.grid), heart, everywhere)
    assert labels[20, 42, edge - 9 : edge + 3].tolist() == [Label.BACKGROUND] * 9 + [Label.HEART] * 3
    assert (labels[volume.ct_hu_zyx == 400] > Label.HEART).all()


def test_a_catheter_that_leaves_the_hearts_box_through_its_top_is_no_calcium(scan: tuple[Volume, BoolArray]) -> None:
    volume, heart = scan
    slices = np.flatnonzero(heart.any(axis=(1, 2)))
    z = int(slices[-1])
    y, x = (int(index.mean()) for index in np.nonzero(heart[z]))
    ct = volume.ct_hu_zyx.copy()
    ct[z - 2 :, y, x] = 400
    assert len(ct) - z - 1 > 4  # more of it above the heart than the 3 voxels in it
    around = (slice(int(slices[0]), z + 2), slice(0, ct.shape[1]), slice(0, ct.shape[2]))
    labels = stub_cascade().find_calcium(Volume(ct, volume.grid), heart, around)
    in_box = slice(z - 2 - around[0].start, None)
    assert (labels[in_box, y, x] <= Label.HEART).all()


@pytest.mark.parametrize(("n_inside", "is_outlying"), [(0, True), (1, True), (2, False), (4, False)])
def test_a_dense_piece_is_the_hearts_when_half_of_it_lies_in_it(n_inside: int, is_outlying: bool) -> None:
    dense, heart = np.zeros((2, 4, 12), dtype=np.bool_), np.zeros((2, 4, 12), dtype=np.bool_)
    dense[0, 1, 4:8] = True
    dense[1, 3, 0] = True  # another piece, outside
    heart[:, :, 8 - n_inside : 12] = True
    piece, is_none_of_the_hearts = dense_pieces(dense, heart)
    found = is_none_of_the_hearts[piece]
    assert found[0, 1, 4:8].tolist() == [is_outlying] * 4
    assert found.sum() == 4 * is_outlying + 1


def test_pieces_that_touch_by_a_corner_are_one() -> None:
    dense = np.zeros((2, 3, 3), dtype=np.bool_)
    dense[0, 0, 0] = dense[1, 1, 1] = True
    heart = np.zeros_like(dense)
    heart[0, 0, 0] = True
    assert dense_pieces(dense, heart)[1].tolist() == [False, False]


def test_a_lead_through_the_heart_is_no_calcium_and_a_dense_plaque_is(scan: tuple[Volume, BoolArray]) -> None:
    volume, _ = scan
    plain = stub_cascade().segment(volume).labels.labels_zyx
    _, y, x = calcium = tuple(np.argwhere(plain > Label.HEART)[0])
    ct = volume.ct_hu_zyx.copy()
    ct[calcium] = 3000
    dense = stub_cascade().segment(Volume(ct, volume.grid)).labels.labels_zyx
    np.testing.assert_array_equal(dense > Label.HEART, plain > Label.HEART)
    ct[:, y, x] = 3000
    assert len(ct) * volume.spacing_mm_zyx[0] > LEAD_MM
    leaded = stub_cascade().segment(Volume(ct, volume.grid)).labels.labels_zyx
    assert leaded[calcium] <= Label.HEART


def test_a_piece_is_a_lead_by_the_span_of_its_metal() -> None:
    piece = np.zeros((1, 4, 200), dtype=np.int32)
    ct = np.zeros(piece.shape, dtype=np.int16)
    for number, (first, behind, hu) in enumerate(
        [(0, 150, 2000), (0, 150, 1999), (0, 149, 3071), (0, 1, 3071)], start=1
    ):
        piece[0, number - 1] = number
        ct[0, number - 1, first:behind] = hu
    # 149 steps of 0.5034 mm are 75.0 mm
    assert lead_pieces(piece, ct, spacing_mm_zyx=(1.0, 1.0, 0.5034)).tolist() == [False, True, False, False, False]
    nothing = lead_pieces(np.zeros((1, 1, 2), dtype=np.int32), np.int16([[[0, 3000]]]), spacing_mm_zyx=(1.0, 1.0, 1.0))
    assert nothing.tolist() == [False]


def test_a_judge_for_other_networks_is_left_out() -> None:
    heart = Engine(PointwiseSession(*heart_weights()), "a" * 64, METADATA["heart"])
    calcium = Engine(PointwiseSession(*calcium_weights()), "b" * 64, METADATA["calcium"])
    judge = peak_judge()
    assert Cascade(heart, calcium, judge=judge).judge is judge
    assert Cascade(heart, calcium, judge=replace(judge, networks={"heart": "c", "calcium": "b" * 64})).judge is None
    weights = Cascade(heart, calcium, judge=replace(judge, sha256="d" * 64)).weights_sha256
    assert weights == {"heart": "a" * 64, "calcium": "b" * 64, "judge": "d" * 64}


def test_the_judge_has_the_last_word_on_labels_and_evidence(scan: tuple[Volume, BoolArray]) -> None:
    volume, _ = scan
    heart = Engine(PointwiseSession(*heart_weights()), "a" * 64, METADATA["heart"])
    calcium = Engine(PointwiseSession(*calcium_weights()), "b" * 64, METADATA["calcium"])
    found = {limit: Cascade(heart, calcium, judge=peak_judge(limit)).segment(volume) for limit in (0.0, 3000.0)}
    assert (found[0.0].labels.labels_zyx == Label.CORONARY).any()
    assert not (found[3000.0].labels.labels_zyx == Label.CORONARY).any()
    assert [any(each.is_coronary for each in found[limit].evidence) for limit in (0.0, 3000.0)] == [True, False]


def test_network_files_make_the_same_cascade(scan: tuple[Volume, BoolArray], tmp_path: Path) -> None:
    folder = write_networks(tmp_path)
    loaded = load_cascade(heart=folder / "heart.onnx", calcium=folder / "calcium.onnx", threads=1)
    expected = stub_cascade().segment(scan[0]).labels.labels_zyx
    np.testing.assert_array_equal(loaded.segment(scan[0]).labels.labels_zyx, expected)


@pytest.mark.parametrize(
    "metadata",
    [{"heart_grid": "{"}, {"heart_grid": '{"side": 3}'}, {"heart_grid": '{"size_px": 0}'}, {"network": "{}"}],
)
def test_metadata_that_are_not_understood_are_refused(metadata: dict[str, str]) -> None:
    with pytest.raises(ModelError, match="is not understood"):
        stub_cascade(**metadata)


@pytest.mark.torch
@pytest.mark.parametrize("reach", [1, 2])
def test_running_only_slices_with_candidates_changes_no_label(scan: tuple[Volume, BoolArray], reach: int) -> None:
    torch = pytest.importorskip("torch", reason="THREE-SLICE CONTEXT NOT TESTED: torch is not installed (train extra)")
    from calcmap.networks.calcmap_net import CalcMapNet, CalcMapNetConfig

    with torch.random.fork_rng():
        torch.manual_seed(reach)
        network = CalcMapNet(CalcMapNetConfig(5, 3, level_channels=(4, 6), lstm_level=0, lstm_channels=3, reach=reach))
    network.eval()
    seen: list[int] = []

    def run(_: None, feed: dict[str, Float32Array]) -> list[Float32Array]:
        seen.append(len(feed["slices"]))
        with torch.inference_mode():
            return [network(torch.from_numpy(feed["slices"])).numpy()]

    session = SimpleNamespace(run=run, get_inputs=lambda: [SimpleNamespace(name="slices")])
    metadata = METADATA["calcium"] | {"network": json.dumps({"reach": reach})}
    heart_engine = Engine(PointwiseSession(*heart_weights()), "a", METADATA["heart"])
    cascade = Cascade(heart_engine, Engine(session, "b", metadata))
    volume, _ = scan
    heart, box = cascade.find_heart(volume)
    assert box is not None
    found = cascade.find_calcium(volume, heart, box)
    whole = calcium_network_input(volume.ct_hu_zyx[box], heart[box], heart_frame(heart[box]))
    expected = cascade._calcium.logits(whole).argmax(axis=1)
    dense = volume.ct_hu_zyx[box] == 400
    assert sum(seen[:-1]) < seen[-1]  # fewer slices than the whole box were run
    assert (np.where(found[dense] > Label.HEART, found[dense] - 1, 0) == expected[dense]).all()


@settings(deadline=None, max_examples=80)
@given(wanted=st.lists(st.booleans(), min_size=1, max_size=40), neighbours=st.integers(1, 3))
def test_runs_hold_every_wanted_slice_with_its_neighbours_once(wanted: list[bool], neighbours: int) -> None:
    runs = runs_of_slices(np.array(wanted), neighbours=neighbours)
    covered = [index for first, last in runs for index in range(first, last)]
    expected = {
        j for i, is_wanted in enumerate(wanted) if is_wanted for j in range(i - neighbours, i + neighbours + 1)
    } & set(range(len(wanted)))
    assert covered == sorted(expected)
    assert all(before[1] < after[0] for before, after in pairwise(runs))


def test_no_wanted_slice_is_no_run() -> None:
    assert runs_of_slices(np.zeros(5, dtype=np.bool_), neighbours=1) == []


def test_the_largest_part_is_kept_and_its_holes_filled_slice_by_slice() -> None:
    mask = np.zeros((3, 9, 9), dtype=np.bool_)
    mask[:, 1:6, 1:6] = True
    mask[1, 3, 3] = False
    mask[0, 7:, 7:] = True  # touches nothing by a face
    found = largest_component(mask)
    assert found.sum() == 3 * 25
    assert not found[0, 7:, 7:].any()


def test_an_empty_mask_has_no_largest_part() -> None:
    assert not largest_component(np.zeros((2, 3, 3), dtype=np.bool_)).any()


def test_probability_of_logits_by_hand_also_far_out() -> None:
    logits = np.array([[0.0, 0.0], [0.0, np.log(3.0)], [200.0, -200.0], [-200.0, 200.0]], dtype=np.float32)
    found = foreground_probability(logits[:, :, None, None])
    np.testing.assert_allclose(found.ravel(), [0.5, 0.75, 0.0, 1.0], atol=1e-6)
