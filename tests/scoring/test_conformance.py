from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.errors import ConfigError, InputError
from calcmap.core.volume import BoolArray, Grid, Volume
from calcmap.scoring.conformance import (
    Answer,
    ConformanceCase,
    answers_from_rows,
    build_case,
    calcmap_scorer,
    compare_results,
    expected_rows,
    load_cases,
    run_suite,
    suite_mass_factor,
)
from calcmap.scoring.rules import PROFILES

CASES = load_cases()
BY_ID = {case.id: case for case in CASES}
OUR_ANSWERS = {name: {case.id: calcmap_scorer(name)(*build_case(case)) for case in CASES} for name in PROFILES}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("case_id", BY_ID)
def test_calcmap_gives_the_answer_worked_out_by_hand(case_id: str, profile: str) -> None:
    got, want = OUR_ANSWERS[profile][case_id], BY_ID[case_id].answer(profile)
    why = BY_ID[case_id].arithmetic[profile]
    assert got.agatston == pytest.approx(want.agatston, abs=1e-5), why
    assert got.volume_mm3 == pytest.approx(want.volume_mm3, abs=1e-5), why
    assert got.n_lesions == want.n_lesions, why
    if want.mass_mg is not None:
        assert got.mass_mg == pytest.approx(want.mass_mg, abs=1e-5), why


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_profile_is_answered(case: ConformanceCase) -> None:
    assert set(case.answers) == set(case.arithmetic) == set(PROFILES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_arithmetic_shown_ends_in_the_score(case: ConformanceCase) -> None:
    for profile, answer in case.answers.items():
        results = re.findall(r"= (\d+(?:\.\d+)?)(?![\d.]| px)", case.arithmetic[profile])
        assert answer.agatston in map(float, results), case.arithmetic[profile]


def test_there_are_enough_cases_each_with_its_own_name() -> None:
    assert len(CASES) >= 60
    assert len(BY_ID) == len(CASES)


def test_the_suite_tells_the_profiles_apart() -> None:
    tables = {name: tuple((c.answer(name).agatston, c.answer(name).n_lesions) for c in CASES) for name in PROFILES}
    assert len(set(tables.values())) == len(PROFILES)


def test_a_case_is_built_as_it_is_written() -> None:
    volume, mask_zyx = build_case(BY_ID["hole-in-a-ring"])
    assert volume.ct_hu_zyx[1, 1:6, 1:6].tolist() == [
        [40, 40, 40, 40, 40],
        [40, 150, 150, 150, 40],
        [40, 150, 100, 150, 40],
        [40, 150, 150, 150, 40],
        [40, 40, 40, 40, 40],
    ]
    assert mask_zyx.sum() == 9
    assert volume.spacing_mm_zyx == (3.0, 1.0, 1.0)


def test_a_later_box_may_unmark() -> None:
    _, mask_zyx = build_case(BY_ID["peak-outside-the-mask"])
    assert np.argwhere(mask_zyx).tolist() == [[1, 2, 2], [1, 2, 3], [1, 2, 4]]


def test_a_tipped_case_keeps_its_spacing() -> None:
    volume, _ = build_case(BY_ID["orientation-oblique-not-square"])
    assert volume.spacing_mm_zyx == pytest.approx((5.0, 0.8, 0.5))
    assert volume.grid.voxel_volume_mm3 == pytest.approx(2.0)


def test_a_flipped_case_has_slices_from_head_to_foot() -> None:
    volume, _ = build_case(BY_ID["orientation-flipped-z"])
    assert volume.grid.affine_lps_mm[2, 2] == -3.0


@pytest.mark.parametrize("profile", PROFILES)
def test_calcmap_passes_the_suite(profile: str) -> None:
    report = run_suite(calcmap_scorer(profile), profile=profile)
    assert report.is_passed
    assert len(report.outcomes) == len(CASES)
    assert report.failed == ()


@pytest.mark.parametrize("profile", PROFILES)
def test_grids_in_single_precision_as_files_keep_them_change_no_answer(profile: str) -> None:
    scorer = calcmap_scorer(profile)

    def score_from_file(volume: Volume, mask_zyx: BoolArray) -> Answer:
        affine_lps_mm = volume.grid.affine_lps_mm.astype(np.float32).astype(np.float64)
        return scorer(Volume(volume.ct_hu_zyx, Grid(volume.grid.shape_zyx, affine_lps_mm)), mask_zyx)

    assert run_suite(score_from_file, profile=profile).failed == ()


def test_a_scorer_of_another_profile_fails_the_suite() -> None:
    report = run_suite(calcmap_scorer("siemens"), profile="clinical")
    assert not report.is_passed
    assert "smallest-1-of-0.25" in {outcome.case_id for outcome in report.failed}


def test_a_wrong_answer_is_named_with_both_numbers() -> None:
    report = compare_results({**OUR_ANSWERS["clinical"], "hu-130": Answer(4.1, 12.0, 2)}, profile="clinical")
    (outcome,) = report.failed
    assert outcome.case_id == "hu-130"
    assert outcome.differences == ("agatston is 4.1, expected 4", "n_lesions is 2, expected 1")


def test_answers_may_leave_out_all_but_the_score() -> None:
    sparse = {case_id: Answer(answer.agatston) for case_id, answer in OUR_ANSWERS["clinical"].items()}
    assert compare_results(sparse, profile="clinical").is_passed


def test_a_case_without_a_result_has_not_passed() -> None:
    answers = dict(OUR_ANSWERS["clinical"])
    del answers["hu-130"]
    (outcome,) = compare_results(answers, profile="clinical").failed
    assert (outcome.case_id, outcome.differences) == ("hu-130", ("no result",))


@pytest.mark.parametrize("agatston", [math.nan, math.inf, 4.0001])
def test_an_answer_beyond_the_tolerance_is_wrong(agatston: float) -> None:
    report = compare_results({**OUR_ANSWERS["clinical"], "hu-130": Answer(agatston)}, profile="clinical")
    assert [outcome.case_id for outcome in report.failed] == ["hu-130"]


def test_an_answer_within_the_tolerance_is_right() -> None:
    report = compare_results({**OUR_ANSWERS["clinical"], "hu-130": Answer(4.000009)}, profile="clinical")
    assert report.is_passed


def test_a_case_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="'hu-128', 'hu-132'"):
        compare_results({"hu-132": Answer(1.0), "hu-128": Answer(0.0)}, profile="clinical")


def test_a_profile_that_the_suite_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match="toshiba"):
        CASES[0].answer("toshiba")
    with pytest.raises(ConfigError, match="toshiba"):
        compare_results({}, profile="toshiba")


@pytest.mark.parametrize("profile", PROFILES)
def test_the_exported_table_read_back_passes(profile: str) -> None:
    assert compare_results(answers_from_rows(expected_rows(profile)), profile=profile).is_passed


def test_the_exported_table_shows_its_arithmetic() -> None:
    row = next(row for row in expected_rows("clinical") if row["case"] == "mass-uniform")
    assert (row["agatston"], row["volume_mm3"], row["n_lesions"], row["mass_mg"]) == ("12", "12", "1", "2.7")
    assert "0.75 x 0.012 cm3 x 300 HU = 2.7 mg" in row["arithmetic"]


def test_rows_of_another_program_may_have_more_or_fewer_columns() -> None:
    rows = [
        {"case": " hu-130 ", "agatston": " 4.0 ", "scanner": "x"},
        {"case": "hu-131", "agatston": "4", "mass_mg": ""},
    ]
    assert answers_from_rows(rows) == {"hu-130": Answer(4.0), "hu-131": Answer(4.0)}


def test_whole_numbers_may_be_written_as_decimals() -> None:
    assert answers_from_rows([{"case": "hu-130", "agatston": "4", "n_lesions": "1.0"}])["hu-130"].n_lesions == 1


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"agatston": "4"}, "row 2: case '' is missing or given twice"),
        ({"case": "hu-130", "agatston": "4"}, "row 2: case 'hu-130' is missing or given twice"),
        ({"case": "hu-131"}, "row 2: no agatston"),
        ({"case": "hu-131", "agatston": ""}, "row 2: no agatston"),
        ({"case": "hu-131", "agatston": "four"}, "row 2: could not convert"),
        ({"case": "hu-131", "agatston": "nan"}, "row 2: not finite"),
        ({"case": "hu-131", "agatston": "4", "n_lesions": "1.5"}, "row 2: n_lesions is 1.5"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(row: dict[str, str], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        answers_from_rows([{"case": "hu-130", "agatston": "4"}, row])


def test_every_bad_row_is_listed_at_once() -> None:
    with pytest.raises(InputError, match=r"row 1: .*row 3: "):
        answers_from_rows([{"case": "a"}, {"case": "b", "agatston": "1"}, {"case": "c", "agatston": "x"}])


def test_the_mass_factor_of_the_suite_is_the_one_in_the_arithmetic() -> None:
    assert suite_mass_factor() == 0.75


CONFORMANCE_PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "conformance.md"


def test_the_page_of_cases_lists_every_case_with_its_scores() -> None:
    page = CONFORMANCE_PAGE.read_text(encoding="utf-8")
    for case in CASES:
        scores = " | ".join(f"{case.answer(name).agatston:.9g}" for name in PROFILES)
        assert f"| `{case.id}` | {case.about} | {scores} |" in page
    assert f"{len(CASES)} tiny scans" in page
