from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calcmap.core.volume import Label
from calcmap.segmentation.calcium_input import HeartFrame
from calcmap.segmentation.evidence import Candidates, DecisionOffsets, decide, gather_evidence, paint_labels

LOGITS = np.log(np.float32([[0.2, 0.7, 0.1], [0.4, 0.5, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1]]))
CANDIDATES = Candidates(
    shape_zyx=(2, 2, 3),
    spacing_mm_zyx=(3.0, 1.0, 2.0),
    index=np.array([0, 1, 6, 8, 11]),
    hu=np.array([150, 210, 420, 300, 120], dtype=np.int16),
    logits_nk=LOGITS,
    piece=np.array([1, 1, 1, 2, 0]),
    is_outlying=np.zeros(5, dtype=np.bool_),
    frame=HeartFrame((0.5, 0.5, 1.0), (1.0, 1.0, 1.0)),
)
"""Two voxels of one slice and a third of the next are one piece, another is noncoronary, the last is not dense."""


def test_the_likeliest_class_is_taken_and_painted() -> None:
    found = decide(CANDIDATES, DecisionOffsets())
    assert found.tolist() == [1, 1, 0, 2, 1]
    heart = np.ones((2, 2, 3), dtype=np.bool_)
    heart[0, 1] = False
    labels = paint_labels(CANDIDATES, found, heart)
    assert labels.ravel().tolist() == [2, 2, 1, 0, 0, 0, 1, 1, Label.NONCORONARY, 1, 1, Label.CORONARY]


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        (DecisionOffsets(calcium=0.6), [1, 1, 1, 2, 1]),  # 0.3 e^0.6 > 0.5
        (DecisionOffsets(calcium=-0.5), [1, 0, 0, 2, 1]),  # 0.5 e^-0.5 < 0.4
        (DecisionOffsets(coronary=2.2), [1, 1, 1, 1, 1]),  # 0.1 e^2.2 > 0.8: a whole offset lies between the two
        (DecisionOffsets(coronary=2.0), [1, 1, 1, 2, 1]),
    ],
)
def test_offsets_move_the_decision(offsets: DecisionOffsets, expected: list[int]) -> None:
    assert decide(CANDIDATES, offsets).tolist() == expected


def test_outlying_pieces_are_never_calcium_nor_evidence() -> None:
    candidates = replace(CANDIDATES, is_outlying=np.array([True, True, True, False, False]))
    found = decide(candidates, DecisionOffsets())
    assert found.tolist() == [0, 0, 0, 2, 1]
    assert [each.peak_hu for each in gather_evidence(candidates, found, DecisionOffsets())] == [300]


def test_evidence_by_hand() -> None:
    missed, counted, other = gather_evidence(CANDIDATES, decide(CANDIDATES, DecisionOffsets()), DecisionOffsets())
    assert (missed.is_coronary, counted.is_coronary, other.is_coronary) == (False, True, False)
    # two pixels of 2 mm2 with a peak of 210 HU weigh 2; one of 420 HU weighs 4; slices 3 mm apart
    assert (counted.agatston, missed.agatston) == (pytest.approx(8.0), pytest.approx(8.0))
    assert (counted.volume_mm3, counted.peak_hu) == (pytest.approx(12.0), 210)
    assert (counted.coronary_mean, counted.coronary_max) == (pytest.approx(0.6), pytest.approx(0.7))
    assert (missed.coronary_mean, missed.noncoronary_max) == (pytest.approx(0.3), pytest.approx(0.2))
    assert (other.noncoronary_mean, other.coronary_max) == (pytest.approx(0.8), pytest.approx(0.1))


def test_spots_below_the_smallest_area_add_nothing() -> None:
    small = replace(CANDIDATES, spacing_mm_zyx=(3.0, 0.7, 0.7))  # two pixels of 0.49 mm2 are needed
    evidence = gather_evidence(small, decide(small, DecisionOffsets()), DecisionOffsets())
    assert [each.agatston for each in evidence] == [0.0, pytest.approx(2 * 2 * 0.49), 0.0]


def test_what_is_hardly_coronary_is_no_near_miss() -> None:
    logits = LOGITS.copy()
    logits[3] = np.log([0.5, 0.01, 0.49])
    unlikely = replace(CANDIDATES, logits_nk=logits)
    assert len(gather_evidence(unlikely, decide(unlikely, DecisionOffsets()), DecisionOffsets())) == 2


def test_without_dense_voxels_there_is_no_evidence() -> None:
    nothing = Candidates(
        (2, 2, 3),
        (3.0, 1.0, 1.0),
        np.zeros(0, dtype=np.intp),
        np.zeros(0, dtype=np.int16),
        np.zeros((0, 3), dtype=np.float32),
        np.zeros(0, dtype=np.intp),
        np.zeros(0, dtype=np.bool_),
        CANDIDATES.frame,
    )
    found = decide(nothing, DecisionOffsets())
    assert gather_evidence(nothing, found, DecisionOffsets()) == ()
    assert not paint_labels(nothing, found, np.zeros((2, 2, 3), dtype=np.bool_)).any()
