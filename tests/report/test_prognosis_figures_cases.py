"""Figures of studies in which something is missing: no curve, no model, no interval, no number."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from calcmap.prognosis.assessment import assess_prognosis
from calcmap.prognosis.config import Analysis, Endpoint
from calcmap.prognosis.discrimination import CalibrationGroup
from calcmap.prognosis.reclassification import CensoringEstimator
from calcmap.prognosis.study import (
    AnalysisResult,
    CategoryCurves,
    CategoryReclassification,
    CoxModel,
    HazardRatios,
    ModelCalibration,
    PrognosisStudy,
    TermRatio,
)
from calcmap.report.prognosis_figures import (
    INKS,
    MARKERS,
    calibration_figure,
    continuous_nri,
    forest_figure,
    incidence_figure,
    nri_figure,
    prognosis_figures,
    survival_figure,
)
from calcmap.statistics.estimates import Estimate
from report.prognosis_studies import SETTINGS, made_cells, made_study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN = (Analysis.CURVES, Analysis.HAZARD_RATIOS, Analysis.CALIBRATION, Analysis.RECLASSIFICATION)
REASON = "nobody had the event"
NO_NUMBER = Estimate(None, None, None, n=0, reason=REASON)


@pytest.fixture(scope="module")
def study() -> PrognosisStudy:
    return made_study(sensitivities=(), analyses=DRAWN)


def names(study: PrognosisStudy, **parts: object) -> set[str]:
    """Return the names of the figures when parts of the main analysis are others."""
    return set(prognosis_figures(replace(study, main=replace(study.main, **parts))))  # type: ignore[arg-type]


def curves_of(analysis: AnalysisResult) -> tuple[CategoryCurves, ...]:
    assert analysis.curves is not None
    return analysis.curves


def hazards_of(analysis: AnalysisResult) -> HazardRatios:
    assert analysis.hazard_ratios is not None
    return analysis.hazard_ratios


def calibration_of(analysis: AnalysisResult) -> tuple[ModelCalibration, ...]:
    assert analysis.calibration is not None
    return analysis.calibration


def reclassified(analysis: AnalysisResult) -> tuple[CategoryReclassification, ...]:
    assert analysis.reclassification is not None
    return analysis.reclassification.categories


def without_curves(curves: CategoryCurves) -> CategoryCurves:
    return replace(curves, survival=tuple(replace(level, curve=None) for level in curves.survival))


def without_model(model: CoxModel) -> CoxModel:
    return replace(model, terms=(), reason=REASON)


def with_ratio(model: CoxModel, *, estimate: float | None, low: float | None, high: float | None) -> CoxModel:
    """Return the model with the covariate age alone, its hazard ratio as given."""
    age = next(line for line in model.terms if line.variable == "age")
    term: TermRatio = replace(age, ratio=replace(age.ratio, estimate=estimate, low=low, high=high))
    return replace(model, terms=(term,))


def forest_axes(model: CoxModel) -> tuple[Axes, Axes]:
    """Return the axes of the ratios and of the words beside them."""
    axes, words = forest_figure(model, settings=SETTINGS, endpoint="MACE").axes
    return axes, words


def markers(axes: Axes) -> list[object]:
    return [line.get_marker() for line in axes.get_lines() if line.get_marker() not in ("None", "")]


def n_flat_lines(axes: Axes) -> int:
    """Return how many lines lie flat."""
    ends = [np.asarray(line.get_ydata(), dtype=float).tolist() for line in axes.get_lines()]
    return sum(len(y) == 2 and y[0] == y[1] for y in ends)


def test_a_reading_without_any_curve_has_no_figure_of_it(study: PrognosisStudy) -> None:
    first, second = curves_of(study.main)
    found = names(study, curves=(without_curves(first), second))
    assert "survival_dl" not in found
    assert "survival_expert" in found


def test_a_category_that_holds_nobody_keeps_its_colour_free(study: PrognosisStudy) -> None:
    curves = curves_of(study.main)[0]
    empty, *others = curves.survival
    figure = survival_figure(
        replace(curves, survival=(replace(empty, curve=None), *others)), settings=study.settings, endpoint="MACE"
    )
    assert [line.get_color() for line in figure.axes[0].get_lines()] == list(INKS[1:4])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [level.level for level in curves.survival]


def test_incidence_begins_at_zero_and_its_axis_holds_the_highest_limit() -> None:
    cells = made_cells()
    cells["died"] = [int(not event and k % 3 == 0) for k, event in enumerate(cells["mace"])]
    endpoint = Endpoint("mace", "years", "mace", label="Cardiac event", competing="died")
    settings = replace(SETTINGS, endpoints=(endpoint,), sensitivities=(), analyses=(Analysis.CURVES,))
    study = assess_prognosis(cells, settings)
    assert {"survival_dl", "incidence_dl", "incidence_expert"} <= set(prognosis_figures(study))
    curves = curves_of(study.main)[0]
    axes = incidence_figure(curves, settings=settings, endpoint="Cardiac event").axes[0]
    bottom, top = axes.get_ylim()
    highest = max(float(level.curve.probability.max()) for level in curves.incidence if level.curve is not None)
    assert bottom == 0.0
    assert highest < top <= 1.01
    assert axes.get_ylabel() == "Cumulative incidence, cardiac event"
    assert axes.get_title(loc="left").startswith("Other events compete; Gray's test p ")


def test_a_sensitivity_analysis_has_its_name_before_curves_of_the_first_reading_and_no_forest(
    study: PrognosisStudy,
) -> None:
    twice = replace(study, sensitivities=(replace(study.main, name="men"),))
    found = {name for name in prognosis_figures(twice) if name.startswith("men_")}
    assert found == {"men_survival_dl", "men_hazard_ratios", "men_nri"}


def test_hazard_ratios_without_a_model_of_any_reading_have_no_figure(study: PrognosisStudy) -> None:
    found = hazards_of(study.main)
    unadjusted = tuple(without_model(each) if each.name in ("dl", "expert") else each for each in found.unadjusted)
    adjusted = tuple(without_model(each) for each in found.adjusted)
    left = names(study, hazard_ratios=replace(found, unadjusted=unadjusted, adjusted=adjusted))
    assert "hazard_ratios" not in left
    assert not any(name.startswith("forest_") for name in left)


def test_only_adjusted_models_that_could_be_fitted_have_a_forest(study: PrognosisStudy) -> None:
    found = hazards_of(study.main)
    first, second = found.adjusted
    left = names(study, hazard_ratios=replace(found, adjusted=(without_model(first), second)))
    assert {"hazard_ratios", "forest_expert"} <= left
    assert "forest_dl" not in left


def test_net_reclassification_without_a_number_has_no_figure(study: PrognosisStudy) -> None:
    assert study.main.reclassification is not None
    none = tuple(replace(each, nri=(), reason=REASON) for each in reclassified(study.main))
    assert "nri" not in names(study, reclassification=replace(study.main.reclassification, categories=none))


def test_the_continuous_one_by_kaplan_meier_is_found_after_others_and_needs_a_number(study: PrognosisStudy) -> None:
    first = reclassified(study.main)[0]
    wanted = continuous_nri(first)
    assert wanted is not None
    assert not wanted.is_categorical
    assert wanted.estimator is CensoringEstimator.KAPLAN_MEIER
    assert continuous_nri(replace(first, nri=first.nri[::-1])) is wanted
    empty = replace(wanted, nri=replace(wanted.nri, estimate=None))
    others = tuple(each for each in first.nri if each is not wanted)
    assert continuous_nri(replace(first, nri=(empty, *others))) is None


def test_a_reading_without_net_reclassification_is_named_and_has_no_marker(study: PrognosisStudy) -> None:
    first, second = reclassified(study.main)
    figure = nri_figure((replace(first, nri=()), second), settings=study.settings)
    assert markers(figure.axes[0]) == [MARKERS[1]] * 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Network", "Expert"]


def test_a_part_without_a_number_is_not_drawn_and_one_without_an_interval_is_a_marker(study: PrognosisStudy) -> None:
    first = reclassified(study.main)[0]
    found = continuous_nri(first)
    assert found is not None
    cut = replace(found, event=replace(found.event, estimate=None), nri=replace(found.nri, low=None, high=None))
    axes = nri_figure((replace(first, nri=(cut,)),), settings=study.settings).axes[0]
    assert len(markers(axes)) == 2
    assert n_flat_lines(axes) == 1  # the line at 0
    assert len(axes.get_lines()) == 4  # with two markers and the interval of nonevents


def test_calibration_without_any_model_has_no_figure(study: PrognosisStudy) -> None:
    none = tuple(replace(each, calibration=None, reason=REASON) for each in calibration_of(study.main))
    assert "calibration" not in names(study, calibration=none)
    assert "calibration" in names(study, calibration=(*none, calibration_of(study.main)[0]))


def test_a_model_without_calibration_has_a_panel_with_the_diagonal_alone(study: PrognosisStudy) -> None:
    first, second, *_ = calibration_of(study.main)
    empty, sound = calibration_figure((replace(first, calibration=None), second), settings=study.settings).axes
    assert markers(empty) == []
    assert len(empty.get_lines()) == 1
    assert empty.get_xlim() == sound.get_xlim()
    assert second.calibration is not None
    assert len(markers(sound)) == len(second.calibration.groups)


def test_a_group_without_observed_risk_is_not_drawn(study: PrognosisStudy) -> None:
    model = calibration_of(study.main)[0]
    assert model.calibration is not None
    last: CalibrationGroup = replace(model.calibration.groups[-1], observed=NO_NUMBER)
    groups = (*model.calibration.groups[:-1], last)
    cut = replace(model, calibration=replace(model.calibration, groups=groups))
    assert len(markers(calibration_figure((cut,), settings=study.settings).axes[0])) == len(groups) - 1


def test_a_ratio_that_cannot_be_had_is_written_as_not_estimable(study: PrognosisStudy) -> None:
    model = with_ratio(hazards_of(study.main).adjusted[0], estimate=None, low=None, high=None)
    axes, words = forest_axes(model)
    assert [text.get_text() for text in axes.texts] == [" not estimable"]
    assert [text.get_text() for text in words.texts] == ["not estimable"]
    assert markers(axes) == []


def test_a_ratio_without_an_interval_is_a_marker_alone(study: PrognosisStudy) -> None:
    axes, _ = forest_axes(with_ratio(hazards_of(study.main).adjusted[0], estimate=1.5, low=None, high=None))
    assert markers(axes) == [MARKERS[1]]
    assert n_flat_lines(axes) == 0


def test_an_interval_that_leaves_the_axis_ends_in_arrows(study: PrognosisStudy) -> None:
    axes, _ = forest_axes(with_ratio(hazards_of(study.main).adjusted[0], estimate=2.0, low=0.001, high=4000.0))
    assert markers(axes) == ["<", ">", MARKERS[1]]
    assert n_flat_lines(axes) == 1
    assert axes.get_xlim() == (0.02, 50.0)


def test_a_ratio_beyond_the_axis_has_an_arrow_and_no_marker(study: PrognosisStudy) -> None:
    axes, words = forest_axes(with_ratio(hazards_of(study.main).adjusted[0], estimate=900.0, low=10.0, high=80000.0))
    assert markers(axes) == [">"]
    assert [text.get_text().split(" ")[0] for text in words.texts] == ["900.00"]
