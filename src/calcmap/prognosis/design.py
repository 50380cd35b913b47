"""Who is in an analysis, and the terms of its models: from coded rows to `FollowUp` tables.

Covariates that have one value among the patients of an analysis (women alone, say) leave its models, and so do levels
that hold nobody; both are told. A reading keeps its levels: what holds nobody has no hazard ratio, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calcmap.core.errors import ConfigError, InputError
from calcmap.core.volume import BoolArray, Float64Array
from calcmap.prognosis.coding import CodedTable, Codes
from calcmap.prognosis.config import (
    Covariate,
    CovariateKind,
    Endpoint,
    MissingRule,
    PrognosisSettings,
    Sensitivity,
    Transform,
)
from calcmap.prognosis.followup import FollowUp, follow_up
from calcmap.prognosis.missing import ColumnKind, cumulative_hazard, impute
from calcmap.prognosis.study import MAIN, LeftOut, PatientFlow
from calcmap.statistics.cells import row_name


@dataclass(frozen=True)
class ModelVariable:
    """A reading or a covariate, as it enters models."""

    name: str
    label: str
    levels: tuple[str, ...]
    """All of them, in order; empty for numbers and yes/no."""
    reference: str | None
    terms: Mapping[str, str]
    """By level the 0/1 column that stands for it, without the reference and without empty levels; a number or a yes/no
    has one term, under the level ``""``."""
    absent: tuple[str, ...] = ()
    """Levels that hold nobody."""
    reason: str | None = None
    """Why it is in no model; then it has no terms."""


@dataclass(frozen=True, eq=False)
class AnalysisPatients:
    """The patients of one analysis; arrays have one value a patient."""

    name: str
    label: str
    endpoint: Endpoint
    flow: PatientFlow
    tables: tuple[FollowUp, ...]
    """One, or one for each imputation; they differ in imputed covariates alone."""
    readings: tuple[ModelVariable, ...]
    covariates: tuple[ModelVariable, ...]
    """Of the adjusted models."""
    codes: Mapping[str, Codes]
    """Level of each reading."""
    scores: Mapping[str, Float64Array]
    """Of the readings that have them."""
    values: Mapping[str, Float64Array]
    """Covariates as in the table, NaN where missing, for Table 1."""
    notes: tuple[str, ...]

    @property
    def table(self) -> FollowUp:
        """The first table; follow-up is the same in all."""
        return self.tables[0]


def select_patients(
    coded: CodedTable, settings: PrognosisSettings, sensitivity: Sensitivity | None
) -> AnalysisPatients:
    """Return the patients of the main analysis (``None``) or of a sensitivity analysis, with the terms of its models.

    Parameters
    ----------
    coded : CodedTable
        All rows.
    settings : PrognosisSettings
        What to do with missing cells, which covariates models hold.
    sensitivity : Sensitivity, optional
        Endpoint and filters.

    Returns
    -------
    AnalysisPatients
        Ready for the models.

    Raises
    ------
    InputError
        Missing cells where the settings allow none; nobody or one patient left; nobody with the event; an event and a
        competing one at once; a number that has no logarithm; a column too empty to be imputed.
    ConfigError
        Two variables would share a term's name.
    """
    endpoint = endpoint_of(settings, sensitivity)
    kept, left_out = _flow(coded, settings, endpoint, sensitivity)
    rows = np.flatnonzero(kept)
    if len(rows) < 2:
        told = "".join(f"; {each.reason}: {each.n}" for each in left_out)
        raise InputError(f"{len(rows)} of {coded.n} patients are left, expected at least 2{told}")
    codes = {name: values[rows] for name, values in coded.readings.items()}
    values = {name: column[rows] for name, column in coded.covariates.items()}
    readings = tuple(
        _by_levels(each.name, each.label or each.name, each.levels, each.reference, codes=codes[each.name])
        for each in settings.categories
    )
    adjusting = [each for each in settings.covariates if each.adjust]
    variables = [_covariate(each, values[each.column]) for each in adjusting]
    _refuse_shared_names([*readings, *variables])
    tables = _tables(coded, settings, endpoint, rows, (readings, tuple(variables)))
    table = tables[0]
    return AnalysisPatients(
        name=MAIN if sensitivity is None else sensitivity.name,
        label=settings.title if sensitivity is None else sensitivity.label or sensitivity.name,
        endpoint=endpoint,
        flow=PatientFlow(coded.n, len(rows), table.n_events, table.n_competing, left_out, _imputed(adjusting, values)),
        tables=tables,
        readings=readings,
        covariates=tuple(each for each in variables if each.reason is None),
        codes=codes,
        scores={name: scores[rows] for name, scores in coded.scores.items()},
        values=values,
        notes=tuple(_notes(readings, variables)),
    )


def _imputed(covariates: list[Covariate], values: Mapping[str, Float64Array]) -> tuple[LeftOut, ...]:
    """Return how many cells of each covariate are missing, where any is."""
    missing = [(each.label or each.column, int(np.isnan(values[each.column]).sum())) for each in covariates]
    return tuple(LeftOut(name, n) for name, n in missing if n)


def endpoint_of(settings: PrognosisSettings, sensitivity: Sensitivity | None) -> Endpoint:
    """Return the endpoint of the main analysis (``None``), or the one that a sensitivity analysis names."""
    wanted = None if sensitivity is None else sensitivity.endpoint
    return next(each for each in settings.endpoints if wanted in (None, each.name))


def _flow(
    coded: CodedTable, settings: PrognosisSettings, endpoint: Endpoint, sensitivity: Sensitivity | None
) -> tuple[BoolArray, tuple[LeftOut, ...]]:
    """Return who stays, and how many left for which reason, each counted under the first."""
    kept = np.ones(coded.n, dtype=np.bool_)
    left_out: list[LeftOut] = []
    for column, passes in {} if sensitivity is None else coded.keeps[sensitivity.name].items():
        left_out.append(LeftOut(f"filter of {column!r}", int((kept & ~passes).sum())))
        kept = kept & passes
    for reason, lacks in _missing(coded, settings, endpoint):
        leaving = kept & lacks
        if leaving.any() and settings.missing is MissingRule.ERROR:
            first = row_name(np.flatnonzero(leaving)[0])
            raise InputError(f"{reason} in {int(leaving.sum())} of {coded.n} rows, {first} first")
        kept &= ~lacks
        left_out.append(LeftOut(reason, int(leaving.sum())))
    return kept, tuple(each for each in left_out if each.n)


def _missing(coded: CodedTable, settings: PrognosisSettings, endpoint: Endpoint) -> list[tuple[str, BoolArray]]:
    """Return the columns without which a patient is not analysed, and who lacks each."""
    ends = coded.endpoints[endpoint.name]
    columns = [(endpoint.time, np.isnan(ends.time)), (endpoint.event, np.isnan(ends.event))]
    if ends.competing is not None and endpoint.competing is not None:
        columns.append((endpoint.competing, np.isnan(ends.competing)))
    columns += [(each.column, coded.readings[each.name] < 0) for each in settings.categories]
    for name, labels in ((settings.strata, coded.stratum), (settings.cluster, coded.cluster)):
        if name is not None and labels is not None:
            columns.append((name, labels == ""))
    if settings.missing is not MissingRule.IMPUTE:
        columns += [
            (each.column, np.isnan(coded.covariates[each.column])) for each in settings.covariates if each.adjust
        ]
    return [(f"column {name!r} is missing", np.asarray(lacks)) for name, lacks in columns]


def _covariate(covariate: Covariate, values: Float64Array) -> ModelVariable:
    name, label = covariate.column, covariate.term_label
    known = values[~np.isnan(values)]
    if covariate.kind is CovariateKind.CATEGORY:
        codes = np.where(np.isnan(values), -1, values).astype(np.int64)
        held = [level for k, level in enumerate(covariate.levels) if (codes == k).any()]
        wanted = covariate.reference or covariate.levels[0]
        reference = wanted if wanted in held or not held else held[0]
        return _by_levels(name, label, covariate.levels, reference, codes=codes)
    if not known.size or np.ptp(known) == 0.0:
        only = f"is {known[0]:g} in all {known.size} patients" if known.size else "has no value"
        return ModelVariable(name, label, (), None, {}, reason=f"{label} {only}")
    return ModelVariable(name, label, (), None, {"": name})


def _by_levels(name: str, label: str, levels: tuple[str, ...], reference: str | None, *, codes: Codes) -> ModelVariable:
    base = reference or levels[0]
    absent = tuple(level for k, level in enumerate(levels) if not (codes == k).any())
    reason = None
    if len(levels) - len(absent) < 2:
        reason = f"{label} has fewer than two categories that hold patients"
    elif base in absent:
        reason = f"the reference category {base} of {label} holds no patient"
    terms = {level: f"{name}: {level}" for level in levels if level != base and level not in absent}
    return ModelVariable(name, label, levels, base, {} if reason else terms, absent, reason)


def _tables(
    coded: CodedTable,
    settings: PrognosisSettings,
    endpoint: Endpoint,
    rows: NDArray[np.intp],
    variables: tuple[tuple[ModelVariable, ...], tuple[ModelVariable, ...]],
) -> tuple[FollowUp, ...]:
    ends = coded.endpoints[endpoint.name]
    readings, covariates = variables
    of_readings = {
        term: column for each in readings for term, column in _columns(each, coded.readings[each.name][rows]).items()
    }
    held = {each.name for each in covariates if each.reason is None}
    used = {each.column: each for each in settings.covariates if each.column in held}
    known = {name: _transformed(coded.covariates[name][rows], each) for name, each in used.items()}
    event = ends.event[rows]
    helpers = {
        "event": event,
        "cumulative hazard": cumulative_hazard(ends.time[rows], event > 0),
        **{each.name: coded.readings[each.name][rows].astype(np.float64) for each in readings},
    }
    return tuple(
        follow_up(
            ends.time[rows],
            event,
            covariates=of_readings
            | {t: c for each in covariates if each.name in held for t, c in _columns(each, whole[each.name]).items()},
            competing=None if ends.competing is None else ends.competing[rows],
            stratum=None if coded.stratum is None else coded.stratum[rows],
            cluster=None if coded.cluster is None else coded.cluster[rows],
        )
        for whole in _completed(known, used, settings=settings, helpers=helpers)
    )


def _completed(
    columns: dict[str, Float64Array],
    used: Mapping[str, Covariate],
    *,
    settings: PrognosisSettings,
    helpers: Mapping[str, Float64Array],
) -> tuple[dict[str, Float64Array], ...]:
    """Return the covariates without gaps: once as they are, or imputed several times where any has one."""
    if not any(np.isnan(values).any() for values in columns.values()):
        return (columns,)
    kinds = {
        name: ColumnKind.YES_NO if each.kind is CovariateKind.YES_NO else ColumnKind.NUMBER
        for name, each in used.items()
    }
    return impute(columns, kinds, predictors=helpers, settings=settings.imputation)


def _transformed(values: Float64Array, covariate: Covariate) -> Float64Array:
    """Return a number as models take it: transformed, then in units of ``per``."""
    if covariate.transform is Transform.LOG1P:
        known = values[~np.isnan(values)]
        if (known <= -1.0).any():
            raise InputError(f"column {covariate.column!r} holds {known.min():g}, which has no log(1 + x)")
        values = np.log1p(values)
    return values / covariate.per


def _columns(variable: ModelVariable, values: NDArray[np.float64] | Codes) -> dict[str, Float64Array]:
    """Return the term columns of a variable, by name of the term."""
    if not variable.levels:
        return {term: values.astype(np.float64) for term in variable.terms.values()}
    return {term: (values == variable.levels.index(level)).astype(np.float64) for level, term in variable.terms.items()}


def _refuse_shared_names(variables: list[ModelVariable]) -> None:
    names = [each.name for each in variables]
    shared = sorted({name for name in names if names.count(name) > 1})
    if shared:
        raise ConfigError(f"a reading and a covariate are both called {shared[0]!r}; rename the reading")


def _notes(readings: tuple[ModelVariable, ...], covariates: list[ModelVariable]) -> list[str]:
    notes = [f"{each.label}: nobody in {', '.join(each.absent)}" for each in readings if each.absent]
    notes += [f"{each.reason}; it is in no model" for each in covariates if each.reason is not None]
    notes += [
        f"{each.label}: nobody in {', '.join(each.absent)}; compared with {each.reference}"
        for each in covariates
        if each.absent and each.reason is None
    ]
    return notes
