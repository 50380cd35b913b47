"""Check values of FACTS 3 whose tables may not be part of the project (GPL): read from a folder where one is given."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.volume import Float64Array
from calcmap.evaluation.agreement import Weighting, confusion_matrix, weighted_kappa
from calcmap.evaluation.bland_altman import bland_altman
from calcmap.evaluation.correlation import spearman
from calcmap.evaluation.icc import Icc, IccForm, intraclass_correlations
from calcmap.evaluation.readings import CategoryScheme

FOLDER = "CALCMAP_REFERENCE_TABLES"
"""Environment variable: folder with ``anxiety.csv`` (R's irr) and ``Results_NLST.csv`` (AIM-Harvard/DeepCAC)."""


def _table(name: str, columns: tuple[int, ...]) -> Float64Array:
    path = Path(os.environ.get(FOLDER, "")) / name
    if FOLDER not in os.environ or not path.is_file():
        pytest.skip(f"REFERENCE TABLE ABSENT: set {FOLDER} to a folder with {name}; its check values went unchecked")
    table: Float64Array = np.loadtxt(path, delimiter=",", skiprows=1, usecols=columns)
    return table


@pytest.fixture(scope="module")
def anxiety() -> Float64Array:
    return _table("anxiety.csv", (0, 1, 2))


@pytest.fixture(scope="module")
def deepcac() -> Float64Array:
    """Return manual and AI scores, shape (396, 2)."""
    return _table("Results_NLST.csv", (-1, -2))


def _icc(ratings: Float64Array, form: IccForm) -> Icc:
    return next(icc for icc in intraclass_correlations(ratings) if icc.form is form)


@pytest.mark.parametrize(
    ("weighting", "kappa"),
    [(Weighting.UNWEIGHTED, 0.11950), (Weighting.LINEAR, 0.18919), (Weighting.QUADRATIC, 0.29677)],
)
def test_kappas_of_anxiety_are_those_of_irr(anxiety: Float64Array, weighting: Weighting, kappa: float) -> None:
    matrix = confusion_matrix(anxiety[:, 0] - 1, anxiety[:, 1] - 1, n_categories=6)
    assert weighted_kappa(matrix, weighting).estimate == pytest.approx(kappa, abs=5e-6)


def test_intraclass_correlations_of_anxiety_are_those_of_irr(anxiety: Float64Array) -> None:
    agreement = _icc(anxiety, IccForm.AGREEMENT_SINGLE)
    assert agreement.estimate == pytest.approx(0.19800, abs=5e-6)
    assert (agreement.low, agreement.high) == (pytest.approx(-0.0389, abs=5e-5), pytest.approx(0.4936, abs=5e-5))
    assert (agreement.f, agreement.df2) == (pytest.approx(1.8268, abs=5e-5), pytest.approx(39.75, abs=5e-3))
    assert agreement.p == pytest.approx(0.0543, abs=5e-5)
    consistency = _icc(anxiety, IccForm.CONSISTENCY_SINGLE)
    assert consistency.estimate == pytest.approx(0.21605, abs=5e-6)
    assert (consistency.low, consistency.high) == (pytest.approx(-0.0463, abs=5e-5), pytest.approx(0.5223, abs=5e-5))


def test_correlations_of_deepcac_are_the_known_ones(deepcac: Float64Array) -> None:
    assert spearman(deepcac[:, 0], deepcac[:, 1]).estimate == pytest.approx(0.89254, abs=5e-6)
    assert np.corrcoef(deepcac.T)[0, 1] == pytest.approx(0.86306, abs=5e-6)


def test_the_matrix_of_deepcac_takes_zero_alone_as_no_calcium(deepcac: Float64Array) -> None:
    scheme = CategoryScheme(cuts=(1e-6, 100.0, 400.0))
    matrix = confusion_matrix(scheme.of_scores(deepcac[:, 1]), scheme.of_scores(deepcac[:, 0]), n_categories=4)
    assert matrix.tolist() == [[59, 24, 0, 1], [32, 94, 12, 2], [4, 8, 58, 20], [0, 1, 1, 80]]


@pytest.mark.parametrize(
    ("is_log", "bias", "sd", "lower", "upper", "digits"),
    [(False, -136.21, 452.77, -1023.64, 751.22, 2), (True, -0.0662, 1.2931, -2.6007, 2.4683, 4)],
)
def test_limits_of_deepcac_are_the_known_ones(
    deepcac: Float64Array, is_log: bool, bias: float, sd: float, lower: float, upper: float, digits: int
) -> None:
    scores = np.log1p(deepcac) if is_log else deepcac
    limits = bland_altman(scores[:, 0], scores[:, 1]).limits
    found = (limits.bias.estimate, limits.sd, limits.lower.estimate, limits.upper.estimate)
    assert found == pytest.approx((bias, sd, lower, upper), abs=0.5 * 10.0**-digits, rel=0)


@pytest.mark.parametrize(("is_log", "agreement", "consistency"), [(False, 0.77126, 0.78579), (True, 0.88003, 0.88004)])
def test_intraclass_correlations_of_deepcac_are_the_known_ones(
    deepcac: Float64Array, is_log: bool, agreement: float, consistency: float
) -> None:
    scores = np.log1p(deepcac) if is_log else deepcac
    assert _icc(scores, IccForm.AGREEMENT_SINGLE).estimate == pytest.approx(agreement, abs=5e-6)
    assert _icc(scores, IccForm.CONSISTENCY_SINGLE).estimate == pytest.approx(consistency, abs=5e-6)
