"""The Cox models of an analysis as they are printed: ratios, tests, ranking, calibration; pooled where imputed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from calcmap.core.errors import CalcMapError, InputError, NotEstimableError
from calcmap.core.volume import Float64Array
from calcmap.prognosis.bootstrap import BootstrapInterval
from calcmap.prognosis.config import PrognosisSettings
from calcmap.prognosis.cox import (
    LARGEST_LOG,
    Between,
    CoxFit,
    HazardRatio,
    Variance,
    added_value,
    fit_cox,
    hazard_ratios,
    linear_predictor,
    predict_risk,
)
from calcmap.prognosis.design import AnalysisPatients, ModelVariable
from calcmap.prognosis.discrimination import Area, Concordance, calibration, harrell_c, time_dependent_auc, uno_c
from calcmap.prognosis.followup import FollowUp
from calcmap.prognosis.missing import pool, pool_wald_test
from calcmap.prognosis.proportionality import Proportionality, schoenfeld_test, score_test
from calcmap.prognosis.screening import screen_model
from calcmap.prognosis.study import (
    BASE,
    AddedTerms,
    CoxModel,
    Discrimination,
    Gain,
    HazardRatios,
    HorizonArea,
    ModelCalibration,
    ModelDiscrimination,
    SubdistributionModel,
    TermRatio,
)
from calcmap.prognosis.subdistribution import fit_subdistribution
from calcmap.statistics.estimates import normal_quantile

ShareT = TypeVar("ShareT", Concordance, Area)

ALONE = "_alone"
"""Ending of the name of a model that holds one variable and no other."""

MOST_AREA_TIMES = 6
"""Areas are given at 1, 2, 3... up to the horizon where it is no more than this; else at its quarters (our choice)."""


@dataclass(frozen=True, eq=False)
class FittedModel:
    """One model, fitted to each table of an analysis."""

    name: str
    label: str
    variables: tuple[ModelVariable, ...]
    fits: tuple[CoxFit, ...]
    """Empty when ``reason`` is set."""
    reason: str | None = None

    @property
    def terms(self) -> tuple[str, ...]:
        """All terms, in order."""
        return tuple(term for variable in self.variables for term in variable.terms.values())


@dataclass(frozen=True, eq=False)
class FittedModels:
    """All models of an analysis."""

    alone: tuple[FittedModel, ...]
    """One for each reading, then for each covariate."""
    base: FittedModel | None
    """The covariates; ``None`` without any."""
    adjusted: tuple[FittedModel, ...]
    """One for each reading beside the covariates; empty without covariates."""


def fit_models(patients: AnalysisPatients, settings: PrognosisSettings) -> FittedModels:
    """Return every model of an analysis, fitted; those that cannot be have a reason."""
    variance = Variance.MODEL if settings.cluster is None else Variance.CLUSTERED

    def fitted(name: str, label: str, variables: Sequence[ModelVariable]) -> FittedModel:
        return _fitted(name, label, tuple(variables), patients.tables, settings=settings, variance=variance)

    covariates = patients.covariates
    return FittedModels(
        alone=tuple(fitted(each.name + ALONE, each.label, [each]) for each in (*patients.readings, *covariates)),
        base=fitted(BASE, "Covariates", covariates) if covariates else None,
        adjusted=tuple(
            fitted(each.name, f"Covariates and {each.label}", [each, *covariates]) for each in patients.readings
        )
        if covariates
        else (),
    )


def hazard_ratio_tables(models: FittedModels, patients: AnalysisPatients, *, confidence: float) -> HazardRatios:
    """Return all models as tables of hazard ratios, with the tests of proportional hazards.

    Parameters
    ----------
    models : FittedModels
        From `fit_models`.
    patients : AnalysisPatients
        Whom they were fitted to.
    confidence : float
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    HazardRatios
        With imputation, log hazard ratios are pooled by Rubin's rules (degrees of freedom of Barnard and Rubin; of
        complete data: events less terms); the tests of proportional hazards are of the first imputed table.
    """

    def table(model: FittedModel) -> CoxModel:
        return cox_model(model, patients.tables, confidence=confidence)

    return HazardRatios(
        tuple(table(each) for each in models.alone),
        tuple(table(each) for each in models.adjusted),
        None if models.base is None else table(models.base),
        subdistribution_models(models, patients, confidence=confidence),
    )


def subdistribution_models(
    models: FittedModels, patients: AnalysisPatients, *, confidence: float
) -> tuple[SubdistributionModel, ...]:
    """Return the models of Fine and Gray of each reading, alone and beside the covariates.

    Parameters
    ----------
    models : FittedModels
        From `fit_models`; what could not be a Cox model is not tried.
    patients : AnalysisPatients
        Whom they were fitted to.
    confidence : float
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    tuple of SubdistributionModel
        Empty where no events compete. Pooled over imputed tables as Cox's models are.
    """
    if not patients.table.n_competing:
        return ()
    of_readings = (*models.alone[: len(patients.readings)], *models.adjusted)
    return tuple(_subdistribution(each, patients.tables, confidence=confidence) for each in of_readings)


def _subdistribution(model: FittedModel, tables: tuple[FollowUp, ...], *, confidence: float) -> SubdistributionModel:
    first, reason = tables[0], model.reason
    ratios: dict[str, tuple[HazardRatio, float | None]] = {}
    if reason is None:
        try:
            fits = tuple(fit_subdistribution(table, model.terms) for table in tables)
            ratios = _ratios(fits, confidence=confidence)
        except (InputError, NotEstimableError) as error:
            reason = str(error)
    return SubdistributionModel(
        name=model.name.removesuffix(ALONE),
        is_adjusted=not model.name.endswith(ALONE),
        terms=tuple(line for each in model.variables for line in _lines(each, ratios, n=len(first), reason=reason)),
        n=len(first),
        n_events=first.n_events,
        n_competing=first.n_competing,
        reason=reason,
    )


def cox_model(model: FittedModel, tables: tuple[FollowUp, ...], *, confidence: float) -> CoxModel:
    """Return one fitted model as it is printed."""
    first = tables[0]
    members = {each.name: tuple(each.terms.values()) for each in model.variables if each.terms}
    categories = {each.name: members[each.name] for each in model.variables if each.levels and each.terms}
    warnings = screen_model(first, model.terms, categories=categories) if model.terms else ()
    ratios = {} if model.reason else _ratios(model.fits, confidence=confidence)
    tests = _proportionality(model, first, members)
    return CoxModel(
        name=model.name.removesuffix(ALONE),
        terms=tuple(
            line for each in model.variables for line in _lines(each, ratios, n=len(first), reason=model.reason)
        ),
        n=len(first),
        n_events=first.n_events,
        likelihood_ratio=model.fits[0].likelihood_ratio if len(model.fits) == 1 else None,
        score_test=tests[0],
        schoenfeld_test=tests[1],
        proportionality_reason=tests[2],
        warnings=warnings,
        reason=model.reason,
    )


def added_terms(models: FittedModels, patients: AnalysisPatients) -> tuple[AddedTerms, ...]:
    """Return for each reading whether its categories add to the covariates; without covariates, to nothing."""
    wider = models.adjusted or models.alone[: len(patients.readings)]
    return tuple(_added(reading, models.base, model) for reading, model in zip(patients.readings, wider, strict=True))


def discriminate(
    models: FittedModels,
    patients: AnalysisPatients,
    *,
    settings: PrognosisSettings,
    intervals: Mapping[str, BootstrapInterval],
    optimism: Mapping[str, float],
    compared: Sequence[tuple[str, str]],
) -> Discrimination:
    """Return how well each model ranks the patients.

    Parameters
    ----------
    models : FittedModels
        From `fit_models`.
    patients : AnalysisPatients
        Whom they were fitted to.
    settings : PrognosisSettings
        Horizon and coverage.
    intervals : mapping of str to BootstrapInterval
        Of the refitted models, by the names of `calcmap.prognosis.refits.Refits`; may be empty.
    optimism : mapping of str to float
        By how much C flatters a model on its own patients, by the model's name; may be empty.
    compared : sequence of tuple of str
        Pairs of models whose gains are among the intervals.

    Returns
    -------
    Discrimination
        With imputation, measures are pooled over the tables by Rubin's rules.
    """
    ranked = [*([models.base] if models.base else []), *models.adjusted, *models.alone[: len(patients.readings)]]
    found = tuple(
        _discrimination(each, patients.tables, settings=settings, interval=intervals.get(f"{each.name}.c"))
        for each in ranked
    )
    found = tuple(_corrected(each, optimism.get(each.name)) for each in found)
    gains = tuple(
        Gain(first, second, intervals[f"{first}-{second}.c"], intervals[f"{first}-{second}.area"])
        for first, second in compared
        if f"{first}-{second}.c" in intervals
    )
    return Discrimination(found, gains)


def calibrate(
    models: FittedModels, patients: AnalysisPatients, settings: PrognosisSettings
) -> tuple[ModelCalibration, ...]:
    """Return predicted against observed risk of each adjusted model, or of the readings alone without covariates."""
    chosen = [*([models.base] if models.base else []), *(models.adjusted or models.alone[: len(patients.readings)])]
    found = []
    for model in chosen:
        risk = mean_risk(model, patients.tables, horizon=settings.horizon)
        if isinstance(risk, str):
            found.append(ModelCalibration(model.name, model.label, None, risk))
            continue
        fitted = calibration(patients.table, risk, horizon=settings.horizon, confidence=settings.confidence)
        found.append(ModelCalibration(model.name, model.label, fitted))
    return tuple(found)


def mean_risk(model: FittedModel, tables: tuple[FollowUp, ...], *, horizon: float) -> Float64Array | str:
    """Return each patient's risk at the horizon, the mean over imputed tables, shape (n,); or why there is none."""
    if model.reason:
        return model.reason
    try:
        risks = [
            predict_risk(fit, table, at=horizon, between=Between.LINEAR)
            for fit, table in zip(model.fits, tables, strict=True)
        ]
    except InputError as error:
        return str(error)
    return np.asarray(np.mean(risks, axis=0))


def area_times(horizon: float) -> tuple[float, ...]:
    """Return the times of the areas under the curve, the horizon last."""
    if horizon > MOST_AREA_TIMES or horizon < 1.0:
        return tuple(horizon * k / 4 for k in (1, 2, 3, 4))
    whole = tuple(float(k) for k in range(1, math.floor(horizon) + 1))
    return whole if whole[-1] == horizon else (*whole, horizon)


def _fitted(
    name: str,
    label: str,
    variables: tuple[ModelVariable, ...],
    tables: tuple[FollowUp, ...],
    *,
    settings: PrognosisSettings,
    variance: Variance,
) -> FittedModel:
    unusable = next((each.reason for each in variables if each.reason), None)
    model = FittedModel(name, label, variables, (), unusable)
    if unusable:
        return model
    try:
        fits = tuple(fit_cox(table, model.terms, ties=settings.ties, variance=variance) for table in tables)
    except NotEstimableError as error:
        return replace(model, reason=str(error))
    return replace(model, fits=fits)


def _ratios(fits: tuple[CoxFit, ...], *, confidence: float) -> dict[str, tuple[HazardRatio, float | None]]:
    of_fits = [hazard_ratios(fit, confidence=confidence) for fit in fits]
    if len(fits) == 1:
        return {ratio.name: (ratio, None) for ratio in of_fits[0]}
    return {same[0].name: _pooled(same, fits[0], confidence=confidence) for same in zip(*of_fits, strict=True)}


def _pooled(ratios: Sequence[HazardRatio], fit: CoxFit, *, confidence: float) -> tuple[HazardRatio, float | None]:
    undefined = next((each for each in ratios if each.reason), None)
    if undefined is not None:
        return undefined, None
    logs = [each.log_hr for each in ratios if each.log_hr is not None]
    variances = [each.standard_error**2 for each in ratios if each.standard_error is not None]
    freedom = max(1.0, float(fit.n_events - len(fit.names)))
    found = pool(logs, variances, complete_degrees_of_freedom=freedom, confidence=confidence)
    name, shared = ratios[0].name, {"n_events": fit.n_events, "log_hr": found.estimate}
    shared |= {"standard_error": found.standard_error, "z": found.estimate / found.standard_error}
    shared["p"] = found.p_value
    if max(abs(found.low), abs(found.high)) > LARGEST_LOG:
        reason = f"per unit of {name!r} the hazard ratio is beyond any number: use a larger unit"
        return HazardRatio(None, None, None, fit.n, reason, name=name, **shared), found.fraction_missing  # type: ignore[arg-type]
    estimate, low, high = (math.exp(value) for value in (found.estimate, found.low, found.high))
    return HazardRatio(estimate, low, high, fit.n, name=name, **shared), found.fraction_missing  # type: ignore[arg-type]


def _lines(
    variable: ModelVariable,
    ratios: Mapping[str, tuple[HazardRatio, float | None]],
    *,
    n: int,
    reason: str | None,
) -> list[TermRatio]:
    """Return the lines of one variable: one for each level, the reference among them."""

    def line(level: str | None, term: str | None, why: str | None) -> TermRatio:
        unknown = HazardRatio(None, None, None, n, why or "not in the model", name=term or "")
        ratio, fraction = ratios.get(term or "", (unknown, None))
        return TermRatio(variable.name, variable.label, level, False, ratio, fraction)

    if not variable.levels:
        return [line(None, variable.terms.get(""), reason)]
    lines = []
    for level in variable.levels:
        if level == variable.reference and not reason:
            one = HazardRatio(1.0, None, None, n, name=f"{variable.name}: {level}")
            lines.append(TermRatio(variable.name, variable.label, level, True, one))
            continue
        why = f"nobody in {level}" if level in variable.absent else reason
        lines.append(line(level, variable.terms.get(level), why))
    return lines


def _proportionality(
    model: FittedModel, table: FollowUp, members: Mapping[str, tuple[str, ...]]
) -> tuple[Proportionality | None, Proportionality | None, str | None]:
    if model.reason:
        return None, None, model.reason
    try:
        fit = model.fits[0]
        return score_test(fit, table, terms=members), schoenfeld_test(fit, table), None
    except (CalcMapError, np.linalg.LinAlgError) as error:
        return None, None, str(error)


def _added(reading: ModelVariable, base: FittedModel | None, wider: FittedModel) -> AddedTerms:
    reason = wider.reason or (base.reason if base else None)
    if reason:
        return AddedTerms(reading.name, reading.label, None, None, reason)
    if len(wider.fits) == 1:
        test = added_value(base.fits[0], wider.fits[0]) if base else wider.fits[0].likelihood_ratio
        return AddedTerms(reading.name, reading.label, test, None)
    infinite = [name for fit in wider.fits for name in fit.infinite if name in reading.terms.values()]
    if infinite:
        return AddedTerms(reading.name, reading.label, None, None, f"the hazard ratio of {infinite[0]!r} is infinite")
    places = [wider.terms.index(term) for term in reading.terms.values()]
    pooled = pool_wald_test(
        [fit.log_hr[places] for fit in wider.fits], [fit.covariance[np.ix_(places, places)] for fit in wider.fits]
    )
    return AddedTerms(reading.name, reading.label, None, pooled)


def _discrimination(
    model: FittedModel,
    tables: tuple[FollowUp, ...],
    *,
    settings: PrognosisSettings,
    interval: BootstrapInterval | None,
) -> ModelDiscrimination:
    horizon, confidence, n = settings.horizon, settings.confidence, len(tables[0])
    if model.reason:
        none = Concordance(None, None, None, n, model.reason)
        return ModelDiscrimination(model.name, model.label, none, interval, none, (), None, model.reason)
    risks = [linear_predictor(fit, table) for fit, table in zip(model.fits, tables, strict=True)]
    both = list(zip(tables, risks, strict=True))
    harrell = _pooled_share([harrell_c(t, r, confidence=confidence) for t, r in both], confidence, Concordance)
    uno = _pooled_share([uno_c(t, r, tau=horizon, confidence=confidence) for t, r in both], confidence, Concordance)
    times = area_times(horizon)
    of_tables = [time_dependent_auc(t, r, times=times, confidence=confidence) for t, r in both]
    areas = tuple(
        HorizonArea(time, _pooled_share([each.areas[k] for each in of_tables], confidence, Area))
        for k, time in enumerate(times)
    )
    means = [each.mean for each in of_tables if each.mean is not None]
    mean = float(np.mean(means)) if len(means) == len(of_tables) else None
    return ModelDiscrimination(model.name, model.label, harrell, interval, uno, areas, mean)


def _corrected(found: ModelDiscrimination, optimism: float | None) -> ModelDiscrimination:
    """Return a model's discrimination with the optimism of its C taken off, where both are known."""
    if optimism is None or found.harrell.estimate is None:
        return found
    return replace(found, optimism=optimism, harrell_corrected=found.harrell.estimate - optimism)


def _pooled_share(found: Sequence[ShareT], confidence: float, make: Callable[..., ShareT]) -> ShareT:
    """Return a concordance or an area pooled over imputed tables; of one table, itself."""
    undefined = next((each for each in found if each.estimate is None), None)
    if len(found) == 1 or undefined is not None:
        return undefined or found[0]
    values = [each.estimate for each in found if each.estimate is not None]
    mean = float(np.mean(values))
    errors = [each.standard_error for each in found]
    if any(error is None or error <= 0.0 for error in errors):
        return make(mean, None, None, found[0].n, "the spread is not known in every imputed table")
    within = float(np.mean([error**2 for error in errors if error is not None]))
    between = float(np.var(values, ddof=1)) * (1 + 1 / len(found))
    error = math.sqrt(within + between)
    half = normal_quantile(confidence) * error
    return make(mean, max(0.0, mean - half), min(1.0, mean + half), found[0].n, standard_error=error)
