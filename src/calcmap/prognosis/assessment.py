"""A whole study of prognosis: every analysis that the settings ask for, from the cells of one table.

Per analysis: who is in it, Table 1, event rates, curves, Cox models, what a reading adds, ranking, calibration, and
reclassification with one bootstrap that refits every model in every draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.core.volume import Float64Array
from calcmap.prognosis.bootstrap import BootstrapInterval, Resampling
from calcmap.prognosis.coding import CodedTable, Codes, code_table
from calcmap.prognosis.config import Analysis, Covariate, CovariateKind, PrognosisSettings, Sensitivity
from calcmap.prognosis.cox import ChiSquare
from calcmap.prognosis.curves import (
    Curve,
    Scale,
    cumulative_incidence,
    event_rate,
    kaplan_meier,
    log_rank,
    log_rank_trend,
    number_at_risk,
    reverse_kaplan_meier,
    survival_quantile,
)
from calcmap.prognosis.design import AnalysisPatients, ModelVariable, endpoint_of, select_patients
from calcmap.prognosis.followup import FollowUp
from calcmap.prognosis.gray import gray_test
from calcmap.prognosis.models import (
    FittedModel,
    FittedModels,
    added_terms,
    calibrate,
    discriminate,
    fit_models,
    hazard_ratio_tables,
    mean_risk,
)
from calcmap.prognosis.reclassification import CensoringEstimator, reclassification_table
from calcmap.prognosis.refits import NRI_PARTS, OPTIMISM, Refits, bootstrap_refits, contrasts_of
from calcmap.prognosis.study import (
    BASE,
    AnalysisResult,
    CategoryCurves,
    CategoryRates,
    CategoryReclassification,
    IntegratedGain,
    LeftOut,
    LevelCurve,
    LevelRate,
    NetReclassification,
    NriContrast,
    PatientFlow,
    PrognosisStudy,
    Reclassifications,
)
from calcmap.prognosis.table_one import TableOne, Variable, VariableKind, table_one
from calcmap.statistics.cells import Cells
from calcmap.statistics.estimates import Estimate

RATE_PER = 100.0
"""Event rates are per this much follow-up: per cent a year where times are years."""

EVERYBODY = "all"
"""Level of the rate of all patients."""

MOST_TIMES, STEPS = 8, (1.0, 2.0, 2.5, 5.0, 10.0)
"""Numbers at risk stand at no more than so many steps of one of these lengths, times a power of ten (our choice)."""

Advance = Callable[[int], object]


def assess_prognosis(
    cells: Mapping[str, Cells], settings: PrognosisSettings, *, advance: Advance | None = None
) -> PrognosisStudy:
    """Return everything that the settings ask for of one table.

    Parameters
    ----------
    cells : mapping of str to sequence
        By column, one cell a patient; ``None`` where missing.
    settings : PrognosisSettings
        Which column is what, and which analyses to make.
    advance : callable, optional
        Called with the number of bootstrap draws just finished; `n_bootstrap_draws` is their total.

    Returns
    -------
    PrognosisStudy
        The main analysis and the sensitivities; the same for every number of processes.

    Raises
    ------
    InputError
        The table cannot be analysed as the settings ask (`code_table`, `select_patients`). A sensitivity analysis that
        cannot be made does not raise: it holds the reason.
    """
    coded = code_table(cells, settings)
    main = _analysis(select_patients(coded, settings, None), settings, advance=advance)
    others = tuple(_sensitivity(coded, settings, each, advance=advance) for each in settings.sensitivities)
    return PrognosisStudy(settings, coded.n, main, others)


def n_bootstrap_draws(settings: PrognosisSettings) -> int:
    """Return how many draws `assess_prognosis` makes at most, for a progress bar."""
    return settings.bootstrap.draws * (1 + len(settings.sensitivities)) if _is_bootstrapped(settings) else 0


def _is_bootstrapped(settings: PrognosisSettings) -> bool:
    return bool({Analysis.DISCRIMINATION, Analysis.RECLASSIFICATION} & set(settings.analyses))


def _sensitivity(
    coded: CodedTable, settings: PrognosisSettings, sensitivity: Sensitivity, *, advance: Advance | None
) -> AnalysisResult:
    try:
        patients = select_patients(coded, settings, sensitivity)
    except InputError as error:
        endpoint = endpoint_of(settings, sensitivity)
        label = sensitivity.label or sensitivity.name
        flow = PatientFlow(coded.n, 0, 0, 0, (LeftOut("not analysed", coded.n),))
        if advance is not None and _is_bootstrapped(settings):
            advance(settings.bootstrap.draws)
        return AnalysisResult(
            sensitivity.name, label, endpoint.name, endpoint.label or endpoint.name, flow, reason=str(error)
        )
    return _analysis(patients, settings, advance=advance)


def _analysis(patients: AnalysisPatients, settings: PrognosisSettings, *, advance: Advance | None) -> AnalysisResult:
    wanted = set(settings.analyses)
    models = fit_models(patients, settings)
    refitted = _refitted(patients, models, settings, advance=advance) if _is_bootstrapped(settings) else _Refitted({})
    intervals, compared = refitted.intervals, contrasts_of([each.name for each in refitted.readings])
    parts: dict[Analysis, Callable[[], dict[str, object]]] = {
        Analysis.TABLE_ONE: lambda: {
            "table_one": _table_by_category(patients, settings),
            "table_by_event": _table_by_event(patients, settings),
        },
        Analysis.EVENT_RATES: lambda: {"event_rates": tuple(_rates(patients, settings))},
        Analysis.CURVES: lambda: {"curves": tuple(_curves(patients, each, settings) for each in patients.readings)},
        Analysis.HAZARD_RATIOS: lambda: {
            "hazard_ratios": hazard_ratio_tables(models, patients, confidence=settings.confidence)
        },
        Analysis.ADDED_VALUE: lambda: {"added_value": added_terms(models, patients)},
        Analysis.DISCRIMINATION: lambda: {
            "discrimination": discriminate(
                models,
                patients,
                settings=settings,
                intervals=intervals,
                optimism=refitted.optimism,
                compared=compared,
            )
        },
        Analysis.CALIBRATION: lambda: {"calibration": calibrate(models, patients, settings)},
        Analysis.RECLASSIFICATION: lambda: {"reclassification": _reclassify(patients, models, settings, refitted)},
    }
    found = {name: value for part, make in parts.items() if part in wanted for name, value in make().items()}
    described = _described(patients, settings, refitted)
    return replace(described, **found)  # type: ignore[arg-type]  # names and types are those just above


@dataclass(frozen=True, eq=False)
class _Refitted:
    """The bootstrap of an analysis, or why there is none."""

    intervals: Mapping[str, BootstrapInterval]
    readings: tuple[ModelVariable, ...] = ()
    """Those that were refitted."""
    reason: str | None = None
    optimism: Mapping[str, float] = field(default_factory=dict)
    """Mean over the draws, by model."""


def _refitted(
    patients: AnalysisPatients, models: FittedModels, settings: PrognosisSettings, *, advance: Advance | None
) -> _Refitted:
    """Return the intervals of all refitted models; nothing to refit, or no base, leaves a reason."""
    reason = "there are no covariates to add a reading to" if models.base is None else models.base.reason
    readings = tuple(
        each for each, model in zip(patients.readings, models.adjusted, strict=False) if model.reason is None
    )
    if models.base is None or reason or not readings:
        if advance is not None:
            advance(settings.bootstrap.draws)
        return _Refitted({}, (), reason or "no reading has a model")
    table = patients.table
    by = settings.bootstrap
    resampling = Resampling(
        len(table),
        stratum=table.stratum if by.by_stratum else None,
        cluster=table.cluster if by.by_cluster else None,
    )
    terms = {model.name: model.terms for model in models.adjusted if model.reason is None}
    refits = Refits(
        _stacked(patients.tables),
        models.base.terms,
        terms,
        settings.horizon,
        settings.risk_cut_offs,
        settings.ties,
        len(patients.tables),
    )
    result = bootstrap_refits(
        refits,
        resampling,
        n_tables=len(patients.tables),
        settings=settings.bootstrap_settings,
        workers=by.workers,
        advance=advance,
    )
    optimism = {
        name: float(np.mean(result.draws[f"{name}.{OPTIMISM}"]))
        for name in (BASE, *terms)
        if len(result.draws.get(f"{name}.{OPTIMISM}", ()))
    }
    return _Refitted(result.intervals, readings, optimism=optimism)


def _described(patients: AnalysisPatients, settings: PrognosisSettings, refitted: _Refitted) -> AnalysisResult:
    """Return who was analysed and followed for how long, without any of the analyses."""
    table, endpoint = patients.table, patients.endpoint
    return AnalysisResult(
        name=patients.name,
        label=patients.label,
        endpoint=endpoint.name,
        endpoint_label=endpoint.label or endpoint.name,
        patients=patients.flow,
        median_follow_up=survival_quantile(reverse_kaplan_meier(table, confidence=settings.confidence)),
        follow_up_quartiles=_quartiles(table),
        warnings=(*patients.notes, *_warnings(patients, settings, refitted)),
    )


def _stacked(tables: tuple[FollowUp, ...]) -> FollowUp:
    if len(tables) == 1:
        return tables[0]
    first, m = tables[0], len(tables)
    return FollowUp(
        np.tile(first.time, m),
        np.tile(first.is_event, m),
        np.concatenate([table.covariates for table in tables]),
        first.names,
        competing=None if first.competing is None else np.tile(first.competing, m),
        stratum=None if first.stratum is None else np.tile(first.stratum, m),
        cluster=None if first.cluster is None else np.tile(first.cluster, m),
    )


def _quartiles(table: FollowUp) -> tuple[float, float, float]:
    low, middle, high = (float(value) for value in np.quantile(table.time, [0.25, 0.5, 0.75]))
    return low, middle, high


def _warnings(patients: AnalysisPatients, settings: PrognosisSettings, refitted: _Refitted) -> Iterator[str]:
    """Yield what a reader of the numbers must know, beside what each model tells of itself."""
    table, flow = patients.table, patients.flow
    if flow.n_competing:
        yield (
            f"{flow.n_competing} patients had a competing event: hazard ratios are cause-specific unless they say "
            "otherwise; predicted risks, calibration and reclassification treat competing events as censored"
        )
    if len(patients.tables) > 1:
        yield (
            f"covariates were imputed {len(patients.tables)} times; tests of proportional hazards are of the first "
            "imputed table, and each bootstrap draw is from one imputed table"
        )
    if table.time.max() < settings.horizon:
        yield f"follow-up ends at {table.time.max():g}, before the horizon of {settings.horizon:g}"
    if settings.cluster is not None and not settings.bootstrap.by_cluster:
        yield "bootstrap draws take patients one by one, although rows of a cluster are not independent"
    if refitted.reason:
        yield f"no bootstrap: {refitted.reason}"
    failed = max((each.draws_failed for each in refitted.intervals.values()), default=0)
    if failed:
        yield f"up to {failed} of {settings.bootstrap.draws} bootstrap draws did not give a number"


def _table_by_category(patients: AnalysisPatients, settings: PrognosisSettings) -> TableOne:
    first = patients.readings[0]
    return table_one(patients.codes[first.name], first.levels, _variables(patients, settings))


def _table_by_event(patients: AnalysisPatients, settings: PrognosisSettings) -> TableOne:
    readings = []
    for each in patients.readings:
        if each.name in patients.scores:
            readings.append(Variable(f"{each.label}, score", patients.scores[each.name], VariableKind.SKEWED))
        words = _level_words(patients.codes[each.name].astype(np.float64), each.levels)
        readings.append(Variable(each.label, words, VariableKind.CATEGORY, each.levels))
    what = patients.endpoint.label or patients.endpoint.name
    groups = (f"without {what}", f"with {what}")
    return table_one(patients.table.is_event.astype(np.int64), groups, [*readings, *_variables(patients, settings)])


def _variables(patients: AnalysisPatients, settings: PrognosisSettings) -> list[Variable]:
    return [_variable(each, patients.values[each.column]) for each in settings.covariates]


def _variable(covariate: Covariate, values: Float64Array) -> Variable:
    label = covariate.label or covariate.column
    match covariate.kind:
        case CovariateKind.CATEGORY:
            words = _level_words(values, covariate.levels)
            return Variable(label, words, VariableKind.CATEGORY, covariate.levels)
        case CovariateKind.YES_NO:
            return Variable(label, values, VariableKind.YES_NO)
        case CovariateKind.NUMBER:
            return Variable(label, values, covariate.summary or VariableKind.NUMBER)


def _level_words(values: Float64Array, levels: tuple[str, ...]) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    return np.array(["" if math.isnan(value) else levels[int(value)] for value in values.tolist()], dtype=np.object_)


def _rates(patients: AnalysisPatients, settings: PrognosisSettings) -> Iterator[CategoryRates]:
    table = patients.table

    def rate(level: str, rows: FollowUp) -> LevelRate:
        return LevelRate(level, event_rate(rows, per=RATE_PER, confidence=settings.confidence))

    for each in patients.readings:
        codes = patients.codes[each.name]
        levels = tuple(rate(level, table.rows(codes == k)) for k, level in enumerate(each.levels))
        yield CategoryRates(each.name, each.label, (rate(EVERYBODY, table), *levels))


def _curves(patients: AnalysisPatients, reading: ModelVariable, settings: PrognosisSettings) -> CategoryCurves:
    table, codes = patients.table, patients.codes[reading.name]
    times = risk_times(float(table.time.max()))

    def survival(rows: FollowUp) -> Curve:
        return kaplan_meier(rows, scale=Scale.LOG_LOG, confidence=settings.confidence)

    def incidence(rows: FollowUp) -> Curve:
        return cumulative_incidence(rows, confidence=settings.confidence)

    def of_levels(make: Callable[[FollowUp], Curve]) -> tuple[LevelCurve, ...]:
        return tuple(
            _level_curve(level, table.rows(codes == k), make, times=times, horizon=settings.horizon)
            for k, level in enumerate(reading.levels)
        )

    test, trend, reason = _compared(table, codes)
    gray, gray_reason = _incidences_compared(table, codes) if table.n_competing else (None, None)
    return CategoryCurves(
        reading.name,
        reading.label,
        times,
        of_levels(survival),
        of_levels(incidence) if table.n_competing else (),
        test,
        trend,
        reason,
        gray,
        gray_reason,
    )


def _level_curve(
    level: str, rows: FollowUp, make: Callable[[FollowUp], Curve], *, times: tuple[float, ...], horizon: float
) -> LevelCurve:
    if not len(rows):
        return LevelCurve(level, 0, 0, None, Estimate(None, None, None, 0, f"nobody in {level}"), (0,) * len(times))
    curve = make(rows)
    return LevelCurve(level, len(rows), rows.n_events, curve, curve.at([horizon])[0], number_at_risk(rows, times))


def _compared(table: FollowUp, codes: Codes) -> tuple[ChiSquare | None, ChiSquare | None, str | None]:
    try:
        test = log_rank(table, codes)
        return test, log_rank_trend(test), None
    except NotEstimableError as error:
        return None, None, str(error)


def _incidences_compared(table: FollowUp, codes: Codes) -> tuple[ChiSquare | None, str | None]:
    try:
        return gray_test(table, codes), None
    except NotEstimableError as error:
        return None, str(error)


def risk_times(last: float) -> tuple[float, ...]:
    """Return times for the numbers at risk: from 0 in even steps to no more than the end of follow-up."""
    if last <= 0.0:
        return (0.0,)
    rough = last / MOST_TIMES
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next((each * unit for each in STEPS if each * unit >= rough), STEPS[-1] * unit)
    return tuple(round(k * step, 9) for k in range(math.floor(last / step + 1e-9) + 1))


def _reclassify(
    patients: AnalysisPatients, models: FittedModels, settings: PrognosisSettings, refitted: _Refitted
) -> Reclassifications:
    held = {model.name: model for model in models.adjusted}
    categories = tuple(
        _category(each, patients, (models.base, held.get(each.name)), settings=settings, refitted=refitted)
        for each in patients.readings
    )
    numbered = [each.category for each in categories if each.reason is None]
    found = refitted.intervals
    contrasts = tuple(
        NriContrast(first, second, *(found[f"{first}-{second}.nri_km.{part}"] for part in NRI_PARTS[:3]))
        for first, second in contrasts_of(numbered)
        if second != BASE
    )
    return Reclassifications(categories, contrasts)


def _category(
    reading: ModelVariable,
    patients: AnalysisPatients,
    pair: tuple[FittedModel | None, FittedModel | None],
    *,
    settings: PrognosisSettings,
    refitted: _Refitted,
) -> CategoryReclassification:
    table, horizon, cuts = patients.table, settings.horizon, settings.risk_cut_offs
    n_cases = int((table.is_event & (table.time <= horizon)).sum())
    n_controls = int((table.time > horizon).sum())
    base, wider = pair
    risks = [
        refitted.reason or "there is no model" if model is None else mean_risk(model, patients.tables, horizon=horizon)
        for model in (base, wider)
    ]
    reason = next((each for each in risks if isinstance(each, str)), None)
    none = np.empty(0)
    if reason is not None:
        return CategoryReclassification(
            reading.name, reading.label, (), None, None, n_cases, n_controls, none, none, reason
        )
    base_risk, wider_risk = (np.asarray(each, dtype=np.float64) for each in risks)
    found = {
        name.removeprefix(f"{reading.name}."): interval
        for name, interval in refitted.intervals.items()
        if name.startswith(f"{reading.name}.")
    }
    return CategoryReclassification(
        category=reading.name,
        label=reading.label,
        nri=_nris(found, has_cuts=bool(cuts)),
        idi=IntegratedGain(found["idi.idi"], found["idi.event"], found["idi.nonevent"]),
        table=reclassification_table(table.time, table.is_event, base_risk, wider_risk, cut_offs=cuts, horizon=horizon)
        if cuts
        else None,
        n_cases=n_cases,
        n_controls=n_controls,
        base_risk=base_risk,
        extended_risk=wider_risk,
    )


def _nris(found: Mapping[str, BootstrapInterval], *, has_cuts: bool) -> tuple[NetReclassification, ...]:
    kinds = (("nri", False), ("category_nri", True)) if has_cuts else (("nri", False),)
    return tuple(
        NetReclassification(is_categorical, each, *(found[f"{kind}_{each.value}.{part}"] for part in NRI_PARTS))
        for kind, is_categorical in kinds
        for each in CensoringEstimator
    )
