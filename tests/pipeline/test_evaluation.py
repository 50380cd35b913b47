from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.errors import ConfigError, InputError, OutputError
from calcmap.core.volume import Label
from calcmap.io.cases import Case, write_case
from calcmap.pipeline.evaluation import (
    CASE_COLUMNS,
    CaseRow,
    evaluate_case,
    evaluate_cases,
    read_evaluation,
    summarise,
    write_evaluation,
)
from scored_chest import CORONARY_AGATSTON, StubCascade, scored_chest

ROW = CaseRow("a", "site", (0.0, 0.0), 0, 0.0, 0, True, 0.9, 600.0, 610.0, 0, 0, 0, 0.5)


def row(reference: float | tuple[float, float], predicted_category: int, **changes: object) -> CaseRow:
    low, high = (reference, reference) if isinstance(reference, float) else reference
    return replace(ROW, reference_range=(low, high), category=predicted_category, **changes)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases") / "a"
    volume, labels = scored_chest()
    write_case(folder, volume, labels, Case("a", "made", "Apache-2.0", site="here"))
    return folder


def test_a_perfect_cascade_agrees_with_its_case(case: Path) -> None:
    found = evaluate_case(case, StubCascade(scored_chest()[1].labels_zyx))
    assert found == CaseRow(
        case_id="a",
        site="here",
        reference_range=(pytest.approx(CORONARY_AGATSTON),) * 2,
        reference_category=2,
        agatston=pytest.approx(CORONARY_AGATSTON),
        category=2,
        is_category_right=True,
        dice_heart=1.0,
        heart_ml=found.reference_heart_ml,
        reference_heart_ml=pytest.approx(633, rel=0.02),
        n_reference_lesions=1,
        n_found_lesions=1,
        n_false_lesions=0,
        seconds=0.75,
    )


def test_missed_and_false_lesions_are_counted(case: Path) -> None:
    labels = scored_chest()[1].labels_zyx
    swapped = np.select([labels == 2, labels == 3], [Label.HEART, Label.CORONARY], labels).astype(np.uint8)
    found = evaluate_case(case, StubCascade(swapped))
    assert (found.n_reference_lesions, found.n_found_lesions, found.n_false_lesions) == (1, 0, 1)
    assert found.agatston == pytest.approx(120.0)


@pytest.mark.parametrize(
    ("fields", "expected", "is_right"),
    [
        ({"reference_agatston": 80.0}, (80.0, 80.0), False),
        ({"reference_range": (50.0, 150.0)}, (50.0, 150.0), True),
        ({"reference_range": (500.0, 600.0)}, (500.0, 600.0), False),
    ],
)
def test_the_case_may_state_its_reference(
    tmp_path: Path, fields: dict[str, object], expected: tuple[float, float], is_right: bool
) -> None:
    volume, labels = scored_chest()
    write_case(tmp_path, volume, labels, Case("a", "made", "Apache-2.0", **fields))  # type: ignore[arg-type]
    found = evaluate_case(tmp_path, StubCascade(labels.labels_zyx))
    assert found.reference_range == expected
    assert found.is_category_right is is_right


def test_a_case_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        list(evaluate_cases([tmp_path], StubCascade(np.zeros((1, 1, 1), dtype=np.uint8))))


def test_the_summary_by_hand() -> None:
    rows = [row(0.0, 0), row(50.0, 1), row(200.0, 3, dice_heart=0.6, n_false_lesions=2), row(900.0, 3)]
    summary = summarise(rows)
    assert summary["n"] == 4
    assert summary["matrix"] == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]]
    # Weights 1 - |i - j| / 3: three cases right and one a category off, 11/12; chance from the margins.
    expected = sum(
        (1 - abs(i - j) / 3) * r * c / 16 for i, r in enumerate((1, 1, 1, 1)) for j, c in enumerate((1, 1, 0, 2))
    )
    assert summary["kappa_linear"]["estimate"] == pytest.approx((11 / 12 - expected) / (1 - expected))
    dice = summary["dice_heart"]
    assert (dice["estimate"], dice["median"], dice["lowest"]) == (pytest.approx(0.825), 0.9, 0.6)
    assert 0.6 <= dice["low"] < dice["estimate"] < dice["high"] <= 0.9
    assert summary["lesions"]["false_per_scan"] == 0.5
    assert summary["lesions"]["sensitivity"]["n"] == 0
    assert summary["category_agreement"]["estimate"] == summary["categories_right"] / 4
    assert summary["off_by_two_or_more"] == 0
    assert [summary["any_calcium"][name]["n"] for name in ("sensitivity", "specificity")] == [3, 1]
    assert summary["by_site"] == {}


def test_agreement_of_the_scores_is_on_a_log_scale_and_takes_the_allowed_score_nearest_to_the_prediction() -> None:
    found = [2.0, 250.0, 400.0, 700.0]
    wanted = [row(0.0, 1), row((50.0, 300.0), 2), row((50.0, 300.0), 2), row(900.0, 3)]
    rows = [replace(each, agatston=score) for each, score in zip(wanted, found, strict=True)]
    predicted, reference = np.log1p(found), np.log1p([0.0, 250.0, 300.0, 900.0])
    expected = np.corrcoef(reference, predicted)[0, 1] ** 2
    assert summarise(rows)["r2_log_score"]["estimate"] == pytest.approx(expected)


def test_sites_are_summed_up_each_for_itself() -> None:
    rows = [replace(row(0.0, 0), site="a"), replace(row(50.0, 0), site="b"), replace(row(50.0, 1), site="b")]
    by_site = summarise(rows)["by_site"]
    assert [by_site[site]["n"] for site in "ab"] == [1, 2]
    assert by_site["b"]["any_calcium"]["sensitivity"]["estimate"] == 0.5
    assert by_site["a"]["any_calcium"]["sensitivity"]["estimate"] is None


def test_kappa_takes_the_allowed_category_nearest_to_the_prediction() -> None:
    rows = [row((50.0, 900.0), 2), row((50.0, 300.0), 3), row((50.0, 300.0), 0), row(0.0, 0)]
    assert summarise(rows)["matrix"] == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]]


def test_confidence_is_held_against_what_is_so() -> None:
    shares = [(0.95, 0.05, 0.0, 0.0), (0.25, 0.75, 0.0, 0.0), (0.6, 0.4, 0.0, 0.0)]
    rows = [
        row(reference, category, category_probabilities=share, is_category_right=is_right)
        for (reference, category, is_right), share in zip(
            [(0.0, 0, True), (0.0, 1, False), (50.0, 0, False)], shares, strict=True
        )
    ]
    found = summarise([*rows, row(0.0, 0)])["calibration"]
    assert found["n"] == 3
    assert found["category_right"]["brier"] == pytest.approx((0.05**2 + 0.75**2 + 0.6**2) / 3)
    assert found["any_calcium"]["brier"] == pytest.approx((0.05**2 + 0.75**2 + 0.6**2) / 3)
    assert found["log_loss"] == pytest.approx(-np.log([0.95, 0.25, 0.4]).mean())
    words = {word: (each["estimate"], each["n"]) for word, each in found["right_by_word"].items()}
    assert words == {"confident": (1.0, 1), "likely": (0.0, 1), "borderline": (0.0, 1)}


def test_without_a_confidence_model_there_is_no_calibration() -> None:
    assert summarise([row(0.0, 0)])["calibration"] is None


def test_probabilities_survive_writing_and_reading(tmp_path: Path) -> None:
    rows = [replace(ROW, category_probabilities=(0.7, 0.2, 0.1, 0.0)), ROW]
    write_evaluation(rows, tmp_path, weights_sha256={})
    assert read_evaluation(tmp_path) == rows
    header, with_some, without = csv.reader((tmp_path / "cases.csv").read_text(encoding="utf-8").splitlines())
    assert header[-4:] == ["probability_0", "probability_1", "probability_2", "probability_3"]
    assert (with_some[-4:], without[-4:]) == (["0.7", "0.2", "0.1", "0.0"], [""] * 4)


def test_no_rows_are_no_summary() -> None:
    with pytest.raises(ConfigError, match="no cases"):
        summarise([])


def test_what_is_written_is_what_is_read_again(tmp_path: Path) -> None:
    rows = [row(0.0, 0), row((50.0, 150.0), 2, case_id="b")]
    summary = write_evaluation(rows, tmp_path / "new" / "out", weights_sha256={"heart": "a"})
    content = json.loads((tmp_path / "new" / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert content == json.loads(json.dumps(summary))
    assert content["weights_sha256"] == {"heart": "a"}
    assert read_evaluation(tmp_path / "new" / "out") == rows


def test_the_table_has_one_number_a_column(tmp_path: Path) -> None:
    write_evaluation([row((50.0, 150.0), 2)], tmp_path, weights_sha256={})
    header, values = csv.reader((tmp_path / "cases.csv").read_text(encoding="utf-8").splitlines())
    assert tuple(header) == CASE_COLUMNS
    assert dict(zip(header, values, strict=True))["reference_high"] == "150.0"
    assert "reference_range" not in header


def test_one_category_alone_has_no_kappa_but_a_reason(tmp_path: Path) -> None:
    summary = write_evaluation([row(0.0, 0)], tmp_path, weights_sha256={})
    assert summary["kappa_linear"] == {"estimate": None, "low": None, "high": None}
    assert "one category" in str(summary["kappa_reason"])


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write"):
        write_evaluation([ROW], tmp_path / "file", weights_sha256={})


@pytest.mark.parametrize("content", [None, "{", '{"cases": [{"case_id": "a"}]}'])
def test_an_evaluation_of_another_version_is_not_read(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "evaluation.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="no evaluation of this version"):
        read_evaluation(tmp_path)
