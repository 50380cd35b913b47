from __future__ import annotations

import json
import random
import time
from dataclasses import replace

import numpy as np
import pytest

from calcmap.core.errors import EditRefusedError, InputError
from calcmap.core.result import CalciumClass, ScoringMethod, Vessel
from calcmap.core.volume import Label, Labels, Volume, grid_from_spacing
from calcmap.scoring import PROFILES, rule_for_kvp, score_volume
from calcmap.service.review import MAX_EDITS, Review, changed_slices, replay, reviewed_result, start_review
from calcmap.service.review_calcium import Mark, base_from_result, rule_of_method, without_calcium
from calcmap.service.review_edits import (
    KINDS,
    Accept,
    Add,
    Comment,
    Edit,
    Erase,
    Redo,
    Reject,
    Relabel,
    Site,
    Split,
    Undo,
    edit_from_json,
    edit_to_json,
)
from calcmap.service.review_json import review_to_json
from calcmap.service.review_scoring import vessels_of
from core.results import refused_result
from service.reviewed_chest import (
    AORTA,
    BONE,
    LAD,
    MACHINE_SCORE,
    MISSED,
    RCA,
    TISSUE,
    UNNAMED,
    machine_result,
    machine_scan,
    result_of,
)

HALF_OF_LAD = tuple((y, 20) for y in (20, 21))
"""The left column of the LAD lesion in one slice: 2 of its 8 px."""
EVERY_KIND: tuple[Edit, ...] = (
    Accept(LAD),
    Reject(RCA),
    Relabel(AORTA, Site.RCA),
    Accept(RCA),
    Add(MISSED, Site.LCX),
    Comment("the aorta's was the RCA's"),
    Split(2, HALF_OF_LAD, Site.LM),
    Erase(3, HALF_OF_LAD),
    Undo(),
    Redo(),
    Undo(),
    Relabel(UNNAMED, Site.VALVE),
)


@pytest.fixture(scope="module")
def review() -> Review:
    return start_review(base_from_result(*machine_result()))


def agatston(review: Review) -> float:
    return review.score.scoring.coronary.agatston


def by_vessel(review: Review) -> dict[str, float]:
    return {vessel.value: score.agatston for vessel, score in review.score.scoring.vessels.items()}


def assert_same_as_whole_scan(review: Review) -> None:
    """The maps that a review hands out give its numbers, by the function that scores every study."""
    sites_zyx = review.sites_zyx()
    whole = score_volume(
        review.base.volume,
        review.labels().labels_zyx,
        rule=review.base.rule,
        mass_factor=0.8,
        vessels_zyx=vessels_of(sites_zyx),
        parts_zyx=sites_zyx,
        kvp=120.0,
    )
    mine = review.score.scoring
    assert (mine.coronary, mine.noncoronary, mine.vessels, mine.method) == (
        whole.coronary,
        whole.noncoronary,
        whole.vessels,
        whole.method,
    )
    for one, other in zip(mine.lesions, whole.lesions, strict=True):
        assert replace(one, center_mm=(0, 0, 0)) == replace(other, center_mm=(0, 0, 0))
        assert one.center_mm == pytest.approx(other.center_mm, abs=1e-9)


def test_a_review_without_edits_is_the_machines_result(review: Review) -> None:
    _, labels, result = machine_result()
    assert agatston(review) == result.agatston == MACHINE_SCORE
    assert review.score.scoring.vessels == result.vessels
    assert review.score.category == result.category
    np.testing.assert_array_equal(review.labels().labels_zyx, labels.labels_zyx)
    assert [lesion.result.vessel for lesion in review.score.lesions] == [lesion.vessel for lesion in result.lesions]
    assert review.score.n_pending == 4
    assert_same_as_whole_scan(review)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_profile_starts_at_the_machines_score(profile: str) -> None:
    scan, labels, result = machine_result(profile=profile)
    assert agatston(start_review(base_from_result(scan, labels, result))) == result.agatston


def test_rejecting_and_accepting_again_by_hand(review: Review) -> None:
    rejected = review.with_edit(Reject(RCA))
    assert agatston(rejected) == 20.0
    assert [lesion.result.agatston for lesion in rejected.score.rejected] == [16.0]
    assert rejected.labels().labels_zyx[RCA] == Label.HEART
    assert agatston(review) == MACHINE_SCORE
    again = rejected.with_edit(Accept(RCA))
    assert (agatston(again), again.score.rejected) == (MACHINE_SCORE, ())
    assert [lesion.mark for lesion in again.score.lesions].count(Mark.ACCEPTED) == 1


def test_a_rejected_lesion_is_not_rejected_twice(review: Review) -> None:
    with pytest.raises(EditRefusedError, match="slice 4, row 40, column 20 is rejected already"):
        review.with_edit(Reject(RCA)).with_edit(Reject(RCA))


def test_relabelling_moves_a_lesion_between_classes(review: Review) -> None:
    moved = review.with_edit(Relabel(LAD, Site.AORTA))
    assert (agatston(moved), moved.score.scoring.noncoronary.agatston) == (20.0, 34.0)
    assert moved.labels().labels_zyx[LAD] == Label.NONCORONARY
    back = moved.with_edit(Relabel(LAD, Site.LM))
    assert by_vessel(back) == {"LM": 16.0, "LAD": 0.0, "LCx": 0.0, "RCA": 16.0}


def test_calcium_moved_beside_its_own_vessel_joins_it(review: Review) -> None:
    # 10 px, weight 4 for all: the machine had cut one lesion in two
    joined = review.with_edit(Relabel(AORTA, Site.RCA))
    assert by_vessel(joined)["RCA"] == 40.0
    # to another vessel it stays apart and keeps its own peak: 6 px, weight 3
    apart = review.with_edit(Relabel(AORTA, Site.LCX))
    assert (by_vessel(apart)["RCA"], by_vessel(apart)["LCx"]) == (16.0, 18.0)


def test_a_missed_lesion_is_added_whole_by_one_click(review: Review) -> None:
    added = review.with_edit(Add(MISSED, Site.LCX))
    assert (agatston(added), by_vessel(added)["LCx"]) == (54.0, 18.0)
    (lesion,) = [lesion for lesion in added.score.lesions if lesion.site is Site.LCX]
    assert (lesion.mark, lesion.index.size) == (Mark.ACCEPTED, 9)
    assert agatston(added.with_edit(Reject(MISSED))) == MACHINE_SCORE


def test_a_click_on_a_rejected_lesion_adds_it_elsewhere(review: Review) -> None:
    added = review.with_edit(Reject(LAD)).with_edit(Add(LAD, Site.RCA))
    assert by_vessel(added) == {"LM": 0.0, "LAD": 0.0, "LCx": 0.0, "RCA": 32.0}
    assert added.score.rejected == ()


def test_a_lesion_is_split_between_two_vessels(review: Review) -> None:
    split = review.with_edit(Split(2, HALF_OF_LAD, Site.LM)).with_edit(Split(3, HALF_OF_LAD, Site.LM))
    assert by_vessel(split) == {"LM": 8.0, "LAD": 8.0, "LCx": 0.0, "RCA": 16.0}
    assert len(split.score.lesions) == len(review.score.lesions) + 1
    whole = split.with_edit(Relabel((2, 20, 20), Site.LAD))
    assert by_vessel(whole) == by_vessel(review)


def test_a_split_part_below_the_smallest_spot_counts_no_more() -> None:
    scan, labels, result = machine_result(profile="canon")  # 3 px
    review = start_review(base_from_result(scan, labels, result))
    split = review.with_edit(Split(2, HALF_OF_LAD, Site.LM))
    # of 4 px in the slice neither half is a spot
    assert agatston(review) - agatston(split) == 8.0


def test_the_brush_erases_what_it_covers_and_may_reach_over_the_edge(review: Review) -> None:
    erased = review.with_edit(Erase(2, ((-1, 20), (20, 20), (21, 20), (59, 600))))
    assert agatston(erased) == 32.0
    assert erased.labels().labels_zyx[2, 20, 20] == Label.HEART
    assert [lesion.mark for lesion in erased.score.lesions] == [Mark.PENDING] * 4


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Accept(TISSUE), "there is no lesion at slice 0, row 30, column 30"),
        (Reject(MISSED), "there is no lesion at slice 1, row 45, column 45"),
        (Relabel((8, 0, 0), Site.LM), "slice 8, row 0, column 0 lies outside the scan"),
        (Accept((0, -1, 0)), "outside the scan of"),
        (Add(TISSUE, Site.LM), "has 40 HU, below 130 HU"),
        (Add(LAD, Site.LM), r"is in lesion \d already"),
        (Add(BONE, Site.LM), "reaches further than 40 mm: bone or a device"),
        (Split(3, ((0, 0),), Site.LM), "the brush covers no lesion in slice 3"),
        (Split(1, ((45, 45),), Site.LM), "the brush covers no lesion in slice 1"),
        (Erase(3, ((0, 0),)), "the brush covers no lesion in slice 3"),
        (Erase(8, ((0, 0),)), "slice 8 lies outside the scan of 8 slices"),
        (Undo(), "there is nothing to undo"),
        (Redo(), "there is nothing to redo"),
    ],
)
def test_an_edit_that_makes_no_sense_is_refused_in_one_line(review: Review, edit: Edit, message: str) -> None:
    with pytest.raises(EditRefusedError, match=message) as refusal:
        review.with_edit(edit)
    assert "\n" not in str(refusal.value)


def test_what_is_too_large_for_a_lesion_is_not_added() -> None:
    ct_hu_zyx = np.full((20, 60, 60), 40, dtype=np.int16)
    ct_hu_zyx[5:15, 20:40, 20:40] = 600
    volume = Volume(ct_hu_zyx, grid_from_spacing((20, 60, 60), (3.0, 1.0, 1.0)))
    labels = Labels(np.zeros((20, 60, 60), dtype=np.uint8), volume.grid)
    result = result_of(score_volume(volume, labels.labels_zyx, rule=PROFILES["clinical"]))
    review = start_review(base_from_result(machine_scan(volume), labels, result))
    with pytest.raises(EditRefusedError, match="has 12000 mm³, the limit is 5000 mm³"):
        review.with_edit(Add((10, 30, 30), Site.AORTA))


def test_calcium_smaller_than_the_smallest_spot_is_not_added() -> None:
    scan, labels, result = machine_result(profile="canon")
    ct_hu_zyx = scan.volume.ct_hu_zyx.copy()
    ct_hu_zyx[1, 45, 45:48] = 40
    scan = machine_scan(Volume(ct_hu_zyx, scan.volume.grid))
    lone = ct_hu_zyx.copy()
    lone[1, 44:47, 44:47] = 40
    lone[1, 45, 45] = 300
    review = start_review(base_from_result(machine_scan(Volume(lone, scan.volume.grid)), labels, result))
    with pytest.raises(EditRefusedError, match="smaller than the rule's smallest spot"):
        review.with_edit(Add((1, 45, 45), Site.LM))


def test_undo_and_redo_walk_the_edits_and_the_log_keeps_all(review: Review) -> None:
    edited = review.with_edit(Reject(RCA)).with_edit(Add(MISSED, Site.LM))
    once = edited.with_edit(Undo())
    twice = once.with_edit(Undo())
    assert [agatston(each) for each in (edited, once, twice)] == [38.0, 20.0, MACHINE_SCORE]
    assert agatston(twice.with_edit(Redo())) == 20.0
    assert agatston(twice.with_edit(Redo()).with_edit(Redo())) == 38.0
    branched = once.with_edit(Reject(LAD))
    assert branched.revision == 4
    with pytest.raises(EditRefusedError, match="nothing to redo"):
        branched.with_edit(Redo())


def test_a_comment_changes_nothing_and_is_not_undone(review: Review) -> None:
    edited = review.with_edit(Reject(RCA)).with_edit(Comment("streak of the lead")).with_edit(Undo())
    assert (agatston(edited), edited.comments, edited.revision) == (MACHINE_SCORE, ("streak of the lead",), 3)


def test_every_step_is_the_whole_scans_score(review: Review) -> None:
    for edit in EVERY_KIND:
        review = review.with_edit(edit)
        assert_same_as_whole_scan(review)
    assert {type(edit) for edit in EVERY_KIND} == set(KINDS.values())


def test_any_walk_of_edits_replays_to_the_same_review(review: Review) -> None:
    rng = random.Random(7)
    voxels = (LAD, RCA, AORTA, UNNAMED, MISSED)
    walked, refused = review, 0
    for _ in range(40):
        voxel, site = rng.choice(voxels), rng.choice(list(Site))
        brush = tuple((voxel[1] + dy, voxel[2]) for dy in (-1, 0, 1))
        kinds = [Accept(voxel), Reject(voxel), Relabel(voxel, site), Add(voxel, site), Undo(), Redo()]
        edit = rng.choice([*kinds, Split(voxel[0], brush, site), Erase(voxel[0], brush)])
        try:
            walked = walked.with_edit(edit)
        except EditRefusedError:
            refused += 1
            continue
        assert_same_as_whole_scan(walked)
    assert walked.revision > 15
    assert refused
    again = replay(review.base, [edit_from_json(json.loads(json.dumps(edit_to_json(edit)))) for edit in walked.log])
    assert again.score.scoring == walked.score.scoring
    np.testing.assert_array_equal(again.labels().labels_zyx, walked.labels().labels_zyx)


def test_a_review_has_an_end(review: Review) -> None:
    with pytest.raises(EditRefusedError, match="at most 10000 edits"):
        replace(review, log=(Undo(),) * MAX_EDITS).with_edit(Accept(LAD))


def test_every_kind_of_edit_survives_json() -> None:
    for edit in EVERY_KIND:
        assert edit_from_json(json.loads(json.dumps(edit_to_json(edit)))) == edit


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "an edit has a kind, one of accept"),
        ({"kind": "sign"}, "an edit has a kind"),
        ({"kind": "accept"}, "an edit of kind 'accept' has voxel"),
        ({"kind": "undo", "voxel": [1, 2, 3]}, "an edit of kind 'undo' has nothing else"),
        ({"kind": "accept", "voxel": [1, 2]}, r"a voxel is \[slice, row, column\], in whole numbers"),
        ({"kind": "accept", "voxel": [1, 2, True]}, "in whole numbers"),
        ({"kind": "accept", "voxel": [1, 2, 3.5]}, "in whole numbers"),
        ({"kind": "relabel", "voxel": [1, 2, 3], "site": "LADD"}, "no site 'LADD'; there are LM, LAD"),
        ({"kind": "erase", "slice": 1, "pixels": []}, "a brush stroke is a list of 1 to 20000"),
        ({"kind": "erase", "slice": 1, "pixels": [[1]]}, "a brush stroke is a list"),
        ({"kind": "erase", "slice": "1", "pixels": [[1, 1]]}, "a slice is its index"),
        ({"kind": "erase", "slice": 1, "pixels": [[1, 1]] * 20_001}, "a brush stroke is a list"),
        ({"kind": "comment", "text": "  "}, "a comment has 1 to 4000 characters"),
        ({"kind": "comment", "text": "a\0b"}, "a comment has 1 to 4000 characters"),
        ({"kind": "comment", "text": 7}, "a comment has 1 to 4000 characters"),
    ],
)
def test_what_is_no_edit_is_refused_in_one_line(content: object, message: str) -> None:
    with pytest.raises(EditRefusedError, match=message):
        edit_from_json(content)


def test_heart_lies_beneath_calcium_that_heart_surrounds() -> None:
    labels_zyx = np.zeros((1, 8, 8), dtype=np.uint8)
    labels_zyx[0, :, :4] = Label.HEART
    labels_zyx[0, 2, 2] = Label.CORONARY
    labels_zyx[0, 2, 6] = Label.NONCORONARY
    labels_zyx[0, 5, 4] = Label.CORONARY  # three of eight neighbours are heart
    beneath_zyx = without_calcium(labels_zyx)
    assert (beneath_zyx[0, 2, 2], beneath_zyx[0, 2, 6], beneath_zyx[0, 5, 4]) == (Label.HEART, 0, 0)


def test_labels_that_are_not_the_results_are_refused() -> None:
    scan, labels, result = machine_result()
    other = labels.labels_zyx.copy()
    other[6] = 0
    with pytest.raises(InputError, match=r"gives 32\.000 in 3 lesions, the result says 36\.000 in 4"):
        base_from_result(scan, Labels(other, labels.grid), result)
    with pytest.raises(InputError, match="a refused study has nothing to review"):
        base_from_result(scan, labels, refused_result())


def test_a_rule_that_means_something_else_today_is_refused() -> None:
    method = machine_result()[2].method
    assert isinstance(method, ScoringMethod)
    volume = machine_scan().volume
    assert rule_of_method(method, volume) is PROFILES["clinical"]
    adapted = rule_for_kvp(PROFILES["clinical"], 100.0)
    said = replace(method, profile=adapted.name, threshold_hu=145, weights_hu=adapted.weights_hu)
    assert rule_of_method(said, volume) == adapted
    with pytest.raises(InputError, match="the result's rule 'clinical' is"):
        rule_of_method(replace(method, min_area_px=2), volume)


def test_the_readers_result_keeps_what_a_reader_does_not_change(review: Review) -> None:
    machine = machine_result()[2]
    read = reviewed_result(machine, review.with_edit(Reject(RCA)).with_edit(Reject(LAD)))
    assert (read.agatston, read.category.index if read.category else None) == (4.0, 1)
    assert (read.provenance, read.heart, read.quality) == (machine.provenance, machine.heart, machine.quality)
    assert read.confidence is None
    assert [each.reference for each in read.percentiles] == ["hoff2001"]
    assert {lesion.lesion_class for lesion in read.lesions} == {CalciumClass.CORONARY, CalciumClass.NONCORONARY}


def test_vessels_appear_once_a_reader_names_one() -> None:
    review = start_review(base_from_result(*machine_result(has_vessels=False)))
    assert review.score.scoring.vessels == {}
    assert review.score.category.cac_drs == "CAC-DRS A1"
    named = review.with_edit(Relabel(LAD, Site.LAD))
    assert named.score.scoring.vessels[Vessel.LAD].agatston == 16.0
    assert named.score.category.cac_drs == "CAC-DRS A1/N1"


def test_maps_of_one_slice_are_those_of_the_scan(review: Review) -> None:
    for edit in EVERY_KIND:
        review = review.with_edit(edit)
    labels_zyx, sites_zyx = review.labels().labels_zyx, review.sites_zyx()
    for z in range(len(labels_zyx)):
        labels_yx, sites_yx = review.slice_maps(z)
        np.testing.assert_array_equal(labels_yx, labels_zyx[z])
        np.testing.assert_array_equal(sites_yx, sites_zyx[z])


def test_only_slices_that_an_edit_changed_are_drawn_anew(review: Review) -> None:
    rejected = review.with_edit(Reject(LAD))
    assert changed_slices(review, rejected) == [2, 3]
    assert changed_slices(rejected, rejected.with_edit(Comment("none"))) == []
    assert changed_slices(rejected, rejected.with_edit(Add(MISSED, Site.LM))) == [1]
    assert changed_slices(review, rejected.with_edit(Undo())) == []


def test_a_page_gets_every_number_of_both_sides(review: Review) -> None:
    shown = json.loads(json.dumps(review_to_json(review.with_edit(Reject(RCA)).with_edit(Comment("a streak")))))
    assert (shown["reader"]["agatston"], shown["machine"]["agatston"]) == (20.0, MACHINE_SCORE)
    assert (shown["revision"], shown["can_undo"], shown["can_redo"], shown["comments"]) == (
        2,
        True,
        False,
        ["a streak"],
    )
    assert (shown["reader"]["vessels"]["RCA"]["agatston"], shown["reader"]["n_pending"]) == (0.0, 3)
    (rejected,) = shown["reader"]["rejected"]
    assert (rejected["mark"], rejected["site"], rejected["voxel"], rejected["agatston"]) == (
        "rejected",
        "RCA",
        list(RCA),
        16.0,
    )
    aorta = next(lesion for lesion in shown["reader"]["lesions"] if lesion["class"] == "noncoronary")
    assert (aorta["site"], aorta["mark"]) == (None, "pending")


def test_an_edit_of_sixty_slices_takes_under_a_tenth_of_a_second() -> None:
    shape_zyx = (60, 512, 512)
    rng = np.random.default_rng(1)
    ct_hu_zyx = np.full(shape_zyx, 40, dtype=np.int16)
    ct_hu_zyx[:, 380:440, 200:300] = 400  # a spine
    labels_zyx = np.zeros(shape_zyx, dtype=np.uint8)
    for _ in range(40):
        z, y, x = rng.integers((15, 180, 180), (45, 330, 330))
        ct_hu_zyx[z : z + 2, y : y + 6, x : x + 6] = rng.integers(140, 900)
        labels_zyx[z : z + 2, y : y + 6, x : x + 6] = Label.CORONARY
    ct_hu_zyx[30, 100:104, 100:104] = 300
    volume = Volume(ct_hu_zyx, grid_from_spacing(shape_zyx, (3.0, 0.7, 0.7)))
    result = result_of(score_volume(volume, labels_zyx, rule=PROFILES["clinical"], mass_factor=0.8))
    review = start_review(base_from_result(machine_scan(volume), Labels(labels_zyx, volume.grid), result))
    anchor = review.score.lesions[0].anchor_zyx
    edits = (Accept(anchor), Relabel(anchor, Site.LM), Add((30, 101, 101), Site.LCX), Reject(anchor), Undo())
    seconds = []
    for edit in edits:
        started = time.process_time()
        review = review.with_edit(edit)
        seconds.append(time.process_time() - started)
    assert max(seconds) < 0.1, [round(1000 * each) for each in seconds]
