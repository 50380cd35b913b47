"""Networks against reference labels, case by case and over a set of cases."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from calcmap import __version__
from calcmap.core.errors import ConfigError, InputError
from calcmap.core.result import ConfidenceWord
from calcmap.core.volume import Float64Array, Label, Labels, Volume
from calcmap.evaluation.agreement import Weighting, confusion_matrix, r_squared, weighted_kappa
from calcmap.evaluation.calibration import assess_categories
from calcmap.evaluation.overlap import dice, lesion_detection
from calcmap.io.cases import Case, load_case_arrays
from calcmap.io.text_files import json_text, write_texts
from calcmap.scoring.agatston import score_volume
from calcmap.scoring.categories import paper_category
from calcmap.scoring.rules import CALCIUM_THRESHOLD_HU, get_profile
from calcmap.segmentation.cascade import Cascade, largest_component
from calcmap.segmentation.confidence import confidence_word
from calcmap.statistics.estimates import Estimate, wilson_proportion

N_CATEGORIES = 4
BOOTSTRAP_DRAWS = 2000


@dataclass(frozen=True)
class CaseRow:
    """One case: what the reference says and what the networks say.

    ``reference_range`` holds the score of certain lesions and the score with uncertain ones; both are the same where
    the reader was sure of all. A category is right when it lies between the categories of the two.
    """

    case_id: str
    site: str
    reference_range: tuple[float, float]
    reference_category: int
    """Of the lower end of the range."""
    agatston: float
    category: int
    is_category_right: bool
    dice_heart: float
    heart_ml: float
    reference_heart_ml: float
    n_reference_lesions: int
    n_found_lesions: int
    n_false_lesions: int
    seconds: float
    """Of both networks."""
    category_probabilities: tuple[float, ...] | None = None
    """Of categories 0 to 3; ``None`` where no confidence model is for these networks."""


PROBABILITY_COLUMNS = tuple(f"probability_{category}" for category in range(N_CATEGORIES))
_SPLIT_FIELDS = ("case_id", "site", "reference_range", "category_probabilities")
CASE_COLUMNS = (
    "case_id",
    "site",
    "reference_low",
    "reference_high",
    *(each.name for each in fields(CaseRow) if each.name not in _SPLIT_FIELDS),
    *PROBABILITY_COLUMNS,
)
"""Columns of ``cases.csv``."""


def evaluate_cases(case_folders: Sequence[Path], cascade: Cascade) -> Iterator[CaseRow]:
    """Yield the comparison of each case, in the order given."""
    for folder in case_folders:
        yield evaluate_case(folder, cascade)


def evaluate_case(folder: Path, cascade: Cascade) -> CaseRow:
    """Return the comparison of one labelled case under the clinical rule; no quality rule takes part.

    Raises
    ------
    InputError
        The case cannot be read.
    """
    return evaluate_volume(*load_case_arrays(folder), cascade)


def evaluate_volume(volume: Volume, labels: Labels, case: Case, cascade: Cascade) -> CaseRow:
    """Return the comparison of one labelled case that has been read, as `evaluate_case` does."""
    segmentation = cascade.segment(volume)
    is_dense = volume.ct_hu_zyx >= CALCIUM_THRESHOLD_HU
    reference_heart = largest_component(labels.labels_zyx != Label.BACKGROUND)
    low, high = case.reference_range or _score_of_labels(volume, labels.labels_zyx, case.reference_agatston)
    agatston = _agatston(volume, segmentation.labels.labels_zyx)
    confidence = cascade.confidence.judge(agatston, segmentation.evidence) if cascade.confidence else None
    detection = lesion_detection(
        (labels.labels_zyx == Label.CORONARY) & is_dense,
        (segmentation.labels.labels_zyx == Label.CORONARY) & is_dense,
    )
    category = paper_category(agatston).index
    low_category, high_category = paper_category(low).index, paper_category(high).index
    voxel_ml = volume.grid.voxel_volume_mm3 / 1000.0
    return CaseRow(
        case_id=case.id,
        site=case.site or "",
        reference_range=(low, high),
        reference_category=low_category,
        agatston=agatston,
        category=category,
        is_category_right=low_category <= category <= high_category,
        dice_heart=dice(reference_heart, segmentation.heart_zyx),
        heart_ml=float(segmentation.heart_zyx.sum()) * voxel_ml,
        reference_heart_ml=float(reference_heart.sum()) * voxel_ml,
        n_reference_lesions=detection.n_reference,
        n_found_lesions=detection.n_detected,
        n_false_lesions=detection.n_false_positive,
        seconds=sum(segmentation.seconds.values()),
        category_probabilities=confidence.category_probabilities if confidence else None,
    )


def write_evaluation(rows: Sequence[CaseRow], out: Path, *, weights_sha256: Mapping[str, str]) -> dict[str, object]:
    """Return the summary of some cases and write it as ``evaluation.json`` with ``cases.csv`` beside it.

    The weighted kappa takes, for a case whose reference is a range, the category inside the range that is nearest to
    the predicted one.

    Parameters
    ----------
    rows : sequence of CaseRow
        At least one.
    out : Path
        Folder to write into; made when absent.
    weights_sha256 : mapping of str to str
        Hash of each network, for provenance.

    Returns
    -------
    dict
        What ``evaluation.json`` holds.

    Raises
    ------
    ConfigError
        There are no rows.
    OutputError
        The folder cannot be written.
    """
    summary = summarise(rows) | {"weights_sha256": dict(weights_sha256), "calcmap_version": __version__}
    cases = StringIO(newline="")
    writer = csv.writer(cases)
    writer.writerow(CASE_COLUMNS)
    writer.writerows(_csv_row(row) for row in rows)
    write_texts({"evaluation.json": json_text(summary), "cases.csv": cases.getvalue()}, out)
    return summary


def read_evaluation(folder: Path) -> list[CaseRow]:
    """Return the rows of an ``evaluation.json`` that `write_evaluation` left in ``folder``.

    Raises
    ------
    InputError
        There is none, or its rows are not those of this version.
    """
    try:
        summary = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
        rows = [case_row_from_json(row) for row in summary["cases"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} holds no evaluation of this version: {type(error).__name__}") from error
    return rows


def case_row_from_json(row: Mapping[str, Any]) -> CaseRow:
    """Return a row from what ``dataclasses.asdict`` made of it and JSON kept.

    Raises
    ------
    TypeError
        It has other fields than a row of this version.
    """
    return CaseRow(**{key: _as_tuple(value) for key, value in row.items()})


def summarise(rows: Sequence[CaseRow]) -> dict[str, object]:
    """Return agreement and overlap over some cases, JSON-ready, and the same for each site where there are several.

    Intervals are 95 %: of proportions Wilson's, of r squared Fisher's, of the Dice a bootstrap over cases. Lesions of
    one scan are not independent, so the interval of their sensitivity is somewhat too narrow. Wherever the reference is
    a range, the allowed value nearest to the prediction is taken.

    Raises
    ------
    ConfigError
        There are no rows.
    """
    if not rows:
        raise ConfigError("no cases to summarise")
    sites = sorted({row.site for row in rows})
    by_site = {} if len(sites) < 2 else {site: _figures([row for row in rows if row.site == site]) for site in sites}
    return {
        **_figures(rows),
        "calibration": calibration_figures(rows),
        "by_site": by_site,
        "cases": [asdict(row) for row in rows],
    }


def calibration_figures(rows: Sequence[CaseRow]) -> dict[str, object] | None:
    """Return whether the confidence of some cases keeps its word, JSON-ready; ``None`` where no case has any.

    Beside the two reliability tables (category right, any calcium) stand, for each word, the share of categories that
    are right. As for the weighted kappa the reference of a range is the allowed category nearest to the prediction.
    """
    judged = [(row, row.category_probabilities) for row in rows if row.category_probabilities is not None]
    if not judged:
        return None
    found = assess_categories(
        [probabilities for _, probabilities in judged],
        [row.category for row, _ in judged],
        [_nearest_allowed_category(row) for row, _ in judged],
    )
    rights: dict[str, list[bool]] = {word.value: [] for word in ConfidenceWord}
    for row, probabilities in judged:
        rights[confidence_word(probabilities[row.category])].append(row.is_category_right)
    by_word = {word: _interval(wilson_proportion(sum(right), len(right))) for word, right in rights.items()}
    return {"n": len(judged), **asdict(found), "right_by_word": by_word}


def _figures(rows: Sequence[CaseRow]) -> dict[str, object]:
    reference = [_nearest_allowed_category(row) for row in rows]
    matrix = confusion_matrix(reference, [row.category for row in rows], n_categories=N_CATEGORIES)
    kappa = weighted_kappa(matrix, Weighting.LINEAR)
    scores = np.array([[np.clip(row.agatston, *row.reference_range), row.agatston] for row in rows])
    n_right = sum(row.is_category_right for row in rows)
    n_lesions, n_found = sum(row.n_reference_lesions for row in rows), sum(row.n_found_lesions for row in rows)
    return {
        "n": len(rows),
        "kappa_linear": {"estimate": kappa.estimate, "low": kappa.low, "high": kappa.high},
        "kappa_reason": kappa.reason,
        "matrix": matrix.tolist(),
        "categories_right": n_right,
        "category_agreement": _interval(wilson_proportion(n_right, len(rows))),
        "off_by_two_or_more": int(sum(matrix[i, j] for i, j in np.ndindex(matrix.shape) if abs(i - j) > 1)),
        "r2_log_score": _interval(r_squared(*np.log1p(scores).T)),
        "any_calcium": {
            "sensitivity": _interval(wilson_proportion(int(matrix[1:, 1:].sum()), int(matrix[1:].sum()))),
            "specificity": _interval(wilson_proportion(int(matrix[0, 0]), int(matrix[0].sum()))),
        },
        "dice_heart": _dice_summary(np.array([row.dice_heart for row in rows])),
        "lesions": {
            "reference": n_lesions,
            "found": n_found,
            "sensitivity": _interval(wilson_proportion(n_found, n_lesions)),
            "false_per_scan": sum(row.n_false_lesions for row in rows) / len(rows),
        },
    }


def _interval(estimate: Estimate) -> dict[str, float | int | None]:
    return {"estimate": estimate.estimate, "low": estimate.low, "high": estimate.high, "n": estimate.n}


def _dice_summary(dices: Float64Array) -> dict[str, float]:
    """Return the mean as estimate with a 95 % percentile bootstrap interval over cases; median and lowest beside it."""
    rng = np.random.default_rng(0)
    means = rng.choice(dices, size=(BOOTSTRAP_DRAWS, len(dices))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {
        "estimate": float(dices.mean()),
        "low": float(low),
        "high": float(high),
        "median": float(np.median(dices)),
        "lowest": float(dices.min()),
    }


def _csv_row(row: CaseRow) -> list[object]:
    low, high = row.reference_range
    probabilities = row.category_probabilities or ("",) * N_CATEGORIES
    values = asdict(row) | {"reference_low": low, "reference_high": high}
    values |= dict(zip(PROBABILITY_COLUMNS, probabilities, strict=True))
    return [values[name] for name in CASE_COLUMNS]


def _as_tuple(value: object) -> Any:  # Any: the value of one field, each of its own type
    return tuple(value) if isinstance(value, list) else value


def _nearest_allowed_category(row: CaseRow) -> int:
    low, high = (paper_category(score).index for score in row.reference_range)
    return min(max(row.category, low), high)


def _score_of_labels(volume: Volume, labels_zyx: np.ndarray, stated: float | None) -> tuple[float, float]:
    score = stated if stated is not None else _agatston(volume, labels_zyx)
    return score, score


def _agatston(volume: Volume, labels_zyx: np.ndarray) -> float:
    return score_volume(volume, labels_zyx, rule=get_profile("clinical")).coronary.agatston
