from __future__ import annotations

import numpy as np
import pytest

from calcmap.core.config import config_from_dict
from calcmap.core.errors import ConfigError, InputError
from calcmap.evaluation.agreement import Weighting, weighted_kappa
from calcmap.evaluation.icc import IccForm
from calcmap.evaluation.study import (
    AgreementSettings,
    Missing,
    assess_agreement,
    n_bootstrap_samples,
    read_columns,
)
from calcmap.statistics.bootstrap import IntervalMethod
from evaluation.agreement_readings import made_cells, made_readings

FEW = AgreementSettings(draws=60)
COLUMNS = {"reference": "a", "test": "b", "visual": "c", "id": "id"}


def test_bootstrapped_statistics_of_all_patients_are_the_analytic_ones() -> None:
    from calcmap.evaluation.resampling import resample_patients
    from calcmap.evaluation.study import _patients

    readings = made_readings(FEW)
    report = assess_agreement(readings, settings=FEW)
    draws = resample_patients(_patients(readings, FEW), settings=FEW.bootstrap)
    observed = dict(zip(draws.names, draws.observed, strict=True))
    scores = report.scores
    assert scores is not None
    for name in ("r2_raw", "r2_log", "spearman", "concordance_raw", "concordance_log"):
        assert observed[name] == pytest.approx(getattr(scores, name).value.estimate)
    for name, iccs in (("icc_a1_raw", scores.icc_raw), ("icc_a1_log", scores.icc_log)):
        analytic = next(icc.estimate for icc in iccs if icc.form is IccForm.AGREEMENT_SINGLE)
        assert observed[name] == pytest.approx(analytic)
    for kappa in report.pair.kappas:
        assert observed["reference", "test", kappa.value.weighting] == pytest.approx(kappa.value.estimate)


def test_bootstrap_and_analytic_interval_of_kappa_are_near_each_other() -> None:
    settings = AgreementSettings(draws=400)
    report = assess_agreement(made_readings(settings), settings=settings)
    for kappa in report.pair.kappas:
        assert kappa.bootstrap.low == pytest.approx(kappa.value.low, abs=0.05)
        assert kappa.bootstrap.high == pytest.approx(kappa.value.high, abs=0.05)


def test_the_matrix_is_that_of_the_kappa() -> None:
    report = assess_agreement(made_readings(FEW), settings=FEW)
    for kappa in report.pair.kappas:
        again = weighted_kappa(report.pair.matrix, kappa.value.weighting)
        assert kappa.value == again


def test_the_same_seed_gives_the_same_report() -> None:
    one, other = (assess_agreement(made_readings(FEW), settings=FEW) for _ in range(2))
    assert one.pair == other.pair
    assert one.scores == other.scores
    assert one.three_way == other.three_way


def test_three_readers_give_three_differences_for_each_weighting() -> None:
    three_way = assess_agreement(made_readings(FEW), settings=FEW).three_way
    assert three_way is not None
    assert len(three_way.contrasts) == 9
    first = three_way.contrasts[1]
    assert (first.first, first.second) == (("reference", "test"), ("reference", "visual"))
    assert first.weighting is Weighting.LINEAR
    assert first.difference.estimate is not None
    assert first.bootstrap.low is not None
    assert first.bootstrap.low < first.difference.estimate < (first.bootstrap.high or 0)
    right = three_way.right
    assert right.both + right.test_only + right.visual_only + right.neither == 80


def test_two_readers_are_not_compared_three_ways() -> None:
    report = assess_agreement(made_readings(FEW, parts=("reference", "test")), settings=FEW)
    assert report.three_way is None


def test_without_scores_r2_is_of_category_numbers() -> None:
    report = assess_agreement(made_readings(FEW, parts=("reference", "test")), settings=FEW)
    cells = {part: report.readings.by_part[part].categories.tolist() for part in ("reference", "test")}
    categories = assess_agreement(read_columns(cells, columns=COLUMNS, settings=FEW), settings=FEW)
    assert categories.scores is None
    assert categories.pair == report.pair
    assert categories.r2.estimate == pytest.approx(np.corrcoef(cells["reference"], cells["test"])[0, 1] ** 2)
    assert any("category numbers" in note for note in categories.notes)


def test_bca_gives_limits_and_counts_the_patients_left_out() -> None:
    settings = AgreementSettings(draws=200, interval=IntervalMethod.BCA)
    readings = made_readings(settings)
    done: list[int] = []
    report = assess_agreement(readings, settings=settings, advance=done.append)
    assert sum(done) == n_bootstrap_samples(readings, settings) == 280
    kappa = report.pair.kappas[1]
    assert kappa.bootstrap.method is IntervalMethod.BCA
    assert kappa.bootstrap.low == pytest.approx(kappa.value.low, abs=0.1)


def test_an_empty_category_is_noted_and_still_counts() -> None:
    cells = {"reference": [0.0, 5.0, 50.0, 500.0], "test": [0.0, 7.0, 0.0, 300.0]}
    report = assess_agreement(read_columns(cells, columns=COLUMNS, settings=FEW), settings=FEW)
    assert len(report.pair.matrix) == 4
    assert any("reference: no patient in category 101-400" in note for note in report.notes)


def test_readers_who_see_no_calcium_give_reasons_and_no_numbers() -> None:
    cells: dict[str, list[object]] = {part: [0.0, 0.0, 0.0] for part in ("reference", "test")}
    settings = config_from_dict(
        {"draws": 20, "reference": {"kind": "score"}, "test": {"kind": "score"}}, AgreementSettings, where="here"
    )
    report = assess_agreement(read_columns(cells, columns=COLUMNS, settings=settings), settings=settings)
    assert all(kappa.value.estimate is None and kappa.bootstrap.low is None for kappa in report.pair.kappas)
    assert report.r2.estimate is None
    assert report.scores is not None
    assert all(icc.estimate is None for icc in report.scores.icc_raw)


def test_a_missing_reading_is_refused_or_its_row_left_out_as_asked() -> None:
    cells = made_cells(10)
    cells["visual"][4] = None
    with pytest.raises(InputError, match="row 5"):
        read_columns(cells, columns=COLUMNS, settings=AgreementSettings())
    settings = AgreementSettings(missing=Missing.DROP, draws=20)
    readings = read_columns(cells, columns=COLUMNS, settings=settings)
    assert (readings.n, readings.n_dropped) == (9, 1)
    assert "1 rows with a missing reading were left out" in assess_agreement(readings, settings=settings).notes


def test_one_patient_is_too_few() -> None:
    with pytest.raises(InputError, match="at least 2 patients with every reading, got 1 of 1 rows"):
        read_columns({"reference": [0.0], "test": [5.5]}, columns=COLUMNS, settings=AgreementSettings())


def test_a_patient_twice_is_refused() -> None:
    with pytest.raises(InputError, match="column 'id'"):
        read_columns(
            {"reference": [0.0, 1.5], "test": [5.5, 2]}, columns=COLUMNS, settings=AgreementSettings(), ids=[1, 1]
        )


def test_all_wrong_settings_are_listed() -> None:
    with pytest.raises(ConfigError, match=r"visual\.names has 2 words for 4 categories; a bootstrap needs"):
        config_from_dict({"draws": 0, "visual": {"names": ["a", "b"]}}, AgreementSettings, where="here")


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown key categories\.limits"):
        config_from_dict({"categories": {"limits": [1]}}, AgreementSettings, where="here")
