from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calcmap.core.volume import BoolArray
from calcmap.segmentation.calcium_input import HeartFrame
from calcmap.segmentation.evidence import Candidates, DecisionOffsets, decide
from calcmap.segmentation.pieces import PIECE_FEATURES, counted_pieces, without_pieces

SHAPE = (4, 6, 6)


def made_candidates(places: list[tuple[int, int, int]], *, hu: list[int], piece: list[int], logits: list) -> Candidates:
    index = np.ravel_multi_index(tuple(np.array(places).T), SHAPE)
    order = np.argsort(index)
    return Candidates(
        shape_zyx=SHAPE,
        spacing_mm_zyx=(3.0, 1.0, 1.0),
        index=index[order],
        hu=np.array(hu, dtype=np.int16)[order],
        logits_nk=np.float32(logits)[order],
        piece=np.array(piece)[order],
        is_outlying=np.zeros(len(index), dtype=np.bool_),
        frame=HeartFrame((2.0, 3.0, 3.0), (2.0, 2.0, 2.0)),
    )


CORONARY, NONCORONARY, BACKGROUND = [0.0, 2.0, 0.0], [0.0, 0.0, 3.0], [1.0, 0.0, 0.0]
TWO_LESIONS = made_candidates(
    [(0, 1, 1), (0, 1, 2), (0, 1, 3), (1, 1, 3), (2, 4, 4), (3, 5, 0), (2, 4, 5), (0, 2, 1)],
    hu=[150, 250, 310, 180, 400, 200, 120, 115],
    piece=[1, 1, 1, 1, 2, 3, 0, 0],
    logits=[CORONARY, CORONARY, CORONARY, BACKGROUND, CORONARY, NONCORONARY, CORONARY, CORONARY],
)
"""A line of three pixels with a fourth voxel above it, a single voxel with a less dense neighbour, and noncoronary."""


def test_features_by_hand() -> None:
    counted = counted_pieces(TWO_LESIONS, decide(TWO_LESIONS, DecisionOffsets()))
    assert counted.number.tolist() == [1, 2]  # the third piece counts nothing as coronary
    first, second = (dict(zip(PIECE_FEATURES, row, strict=True)) for row in counted.features_pf)
    assert first["log_volume"] == pytest.approx(np.log(4 * 3.0))
    assert (first["peak_hu"], first["mean_hu"], first["n_slices"]) == (310, pytest.approx(222.5), 2)
    assert first["logit_over_background"] == pytest.approx((3 * 2 - 1) / 4)  # 2, 2, 2 and -1
    assert first["logit_over_noncoronary"] == pytest.approx(1.5)
    sure = np.exp(2) / (np.exp(2) + 2)
    assert first["coronary_max"] == pytest.approx(sure, rel=1e-6)
    assert first["coronary_mean"] == pytest.approx((3 * sure + 1 / (np.e + 2)) / 4, rel=1e-6)
    assert (first["coronary_share"], first["noncoronary_share"]) == (0.75, 0.0)
    # columns 1, 2, 3, 3 of row 1: the variance along x is 2.75 / 3, none along y
    assert first["elongation"] == pytest.approx(np.sqrt((2.75 / 3 + 0.3) / 0.3))
    assert second["elongation"] == pytest.approx(1.0)
    # the middle is at slice 2, row 4, column 4: nothing, half and half a heart from the centre
    assert [second[axis] for axis in "zyx"] == [0.0, 0.5, 0.5]
    assert second["radius"] == pytest.approx(np.sqrt(0.5))
    # the other piece: three pixels of 1 mm2 that peak at 310 HU weigh 3, the single one of 400 HU weighs 4
    assert (second["log_other_score"], first["log_other_score"]) == (
        pytest.approx(np.log(10)),
        pytest.approx(np.log(5)),
    )
    assert first["log_n_pieces"] == pytest.approx(np.log(4))
    assert first["log_coronary_volume"] == pytest.approx(np.log1p(4 * 3.0))


def test_a_scan_where_nothing_counts_has_no_pieces() -> None:
    nothing = counted_pieces(TWO_LESIONS, np.zeros(8, dtype=np.intp))
    assert nothing.features_pf.shape == (0, len(PIECE_FEATURES))
    assert len(nothing.number) == 0


def test_outlying_pieces_are_not_counted() -> None:
    outlying = replace(TWO_LESIONS, is_outlying=TWO_LESIONS.piece == 1)
    assert counted_pieces(outlying, decide(outlying, DecisionOffsets())).number.tolist() == [2]


def found_after(struck: list[int], candidates: Candidates = TWO_LESIONS) -> BoolArray:
    found = decide(candidates, DecisionOffsets())
    return without_pieces(candidates, found, np.array(struck, dtype=np.intp)) == 1


def test_a_struck_piece_takes_its_less_dense_rim_along() -> None:
    dense_of_first = (TWO_LESIONS.piece == 1) & (TWO_LESIONS.hu != 180)  # the fourth voxel was background before
    rim_of_first, rim_of_second = TWO_LESIONS.hu == 115, TWO_LESIONS.hu == 120
    np.testing.assert_array_equal(found_after([2]), dense_of_first | rim_of_first)
    np.testing.assert_array_equal(found_after([1]), (TWO_LESIONS.piece == 2) | rim_of_second)
    assert not found_after([1, 2]).any()


def test_nothing_struck_changes_nothing() -> None:
    np.testing.assert_array_equal(found_after([]), decide(TWO_LESIONS, DecisionOffsets()) == 1)


def test_a_rim_that_touches_a_kept_piece_stays() -> None:
    bridge = made_candidates(
        [(1, 2, 1), (1, 2, 2), (1, 2, 3)], hu=[200, 120, 200], piece=[1, 0, 2], logits=[CORONARY] * 3
    )
    assert found_after([1], bridge).tolist() == [False, True, True]


def test_voxels_at_opposite_edges_do_not_touch() -> None:
    apart = made_candidates(
        [(1, 2, 5), (1, 3, 0)], hu=[200, 120], piece=[1, 0], logits=[CORONARY] * 2
    )  # neighbours in memory alone
    assert found_after([1], apart).tolist() == [False, True]
