"""The paper's numbers, each beside what the simulated cohort gives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from calcmap.core.volume import BoolArray, Float64Array
from calcmap.evaluation.agreement import Weighting
from calcmap.evaluation.readings import PAPER_CUTS
from calcmap.evaluation.study import AgreementReport
from calcmap.prognosis.reclassification import CensoringEstimator
from calcmap.prognosis.study import AnalysisResult, CoxModel, NetReclassification, PrognosisStudy
from calcmap.reproduction.paper import COVARIATES, LEVELS, PAPER, PATIENTS, PaperNumber, Section
from calcmap.statistics.estimates import CONFIDENCE, Estimate, wilson_proportion

NETWORK, EXPERT, VISUAL = "network", "expert", "visual"
"""Names of the readings in the settings of the prognosis."""
HIGHEST_CUT = PAPER_CUTS[-1]
"""Score above which the paper's highest category begins."""
NOT_GIVEN = "the analysis did not give it"


@dataclass(frozen=True)
class ComparisonLine:
    """One number of the paper beside the simulated one."""

    paper: PaperNumber
    found: Estimate
    """Of the simulated cohort, on the paper's scale; without an estimate it has a reason."""

    @property
    def is_inside(self) -> bool | None:
        """Whether the paper's number lies in the simulated interval; ``None`` where there is none."""
        if self.found.low is None or self.found.high is None:
            return None
        return self.found.low <= self.paper.value <= self.found.high


@dataclass(frozen=True, eq=False)
class NetworkColumns:
    """What the comparison needs of the scored table, one value a scored patient.

    Parameters
    ----------
    agatston : ndarray of float64, shape (patients,)
        Network's score.
    category : ndarray of int64, shape (patients,)
        Its category, 0 to 3.
    has_event : ndarray of bool, shape (patients,)
        MACE.
    follow_up_years : ndarray of float64, shape (patients,)
        Whole follow-up.
    """

    agatston: Float64Array
    category: np.ndarray
    has_event: BoolArray
    follow_up_years: Float64Array


def network_columns(rows: Sequence[Mapping[str, str]]) -> NetworkColumns:
    """Return the columns of the rows whose scan was scored."""
    scored = [row for row in rows if row["network_agatston"]]
    return NetworkColumns(
        agatston=np.array([float(row["network_agatston"]) for row in scored]),
        category=np.array([int(row["network_category"]) for row in scored], dtype=np.int64),
        has_event=np.array([row["mace"] == "1" for row in scored], dtype=np.bool_),
        follow_up_years=np.array([float(row["follow_up_years"]) for row in scored]),
    )


def compare(
    columns: NetworkColumns, agreement: AgreementReport, prognosis: PrognosisStudy
) -> tuple[ComparisonLine, ...]:
    """Return every number of the paper that we know beside the simulated cohort's.

    Counts are brought to the paper's number of patients, so that a small cohort can be set beside it.

    Parameters
    ----------
    columns : NetworkColumns
        Of the scored patients.
    agreement : AgreementReport
        Reference the expert, test the network.
    prognosis : PrognosisStudy
        With the readings `NETWORK`, `EXPERT` and `VISUAL`.

    Returns
    -------
    tuple of ComparisonLine
        In the order of `PAPER`, the covariates' adjusted ratios after the readings'.
    """
    found = {**cohort_numbers(columns), **agreement_numbers(agreement), **prognosis_numbers(prognosis.main)}
    unknown = Estimate(None, None, None, 0, reason=NOT_GIVEN)
    lines = [ComparisonLine(number, found.get(number.key, unknown)) for number in PAPER]
    covariates = [ComparisonLine(number, found.get(number.key, unknown)) for number in covariate_numbers()]
    after = 1 + max(k for k, line in enumerate(lines) if line.paper.section is Section.ADJUSTED)
    return (*lines[:after], *covariates, *lines[after:])


def covariate_numbers() -> tuple[PaperNumber, ...]:
    """Return the adjusted hazard ratios of Table 2 that are not calcium's."""
    return tuple(
        PaperNumber(key, Section.ADJUSTED, what, math.exp(log_ratio)) for key, (what, log_ratio) in COVARIATES.items()
    )


def cohort_numbers(columns: NetworkColumns) -> dict[str, Estimate]:
    """Return shares, events, follow-up and scores."""
    n, has_event = len(columns.category), columns.has_event
    found = {"events": _share(has_event, scale=PATIENTS)}
    for k in range(len(LEVELS)):
        is_level = columns.category == k
        found[f"share_{k}"] = _share(is_level, scale=100.0)
        found[f"events_{k}"] = _share(is_level & has_event, scale=PATIENTS)
    for k, share in enumerate((0.25, 0.5, 0.75)):
        found[f"follow_up_{k}"] = quantile(columns.follow_up_years, share)
    for name, chosen in (("with", has_event), ("without", ~has_event)):
        scores = columns.agatston[chosen]
        found[f"median_{name}"] = quantile(scores, 0.5)
        found[f"high_{name}"] = _share(scores > HIGHEST_CUT, scale=100.0)
    if n == 0:
        return {name: Estimate(None, None, None, 0, reason="no patient was scored") for name in found}
    return found


def agreement_numbers(report: AgreementReport) -> dict[str, Estimate]:
    """Return the linear weighted kappa and the squared correlation of scores."""
    kappas = [each.value for each in report.pair.kappas if each.value.weighting is Weighting.LINEAR]
    return {"kappa": kappas[0], "r2": report.r2}


def prognosis_numbers(main: AnalysisResult) -> dict[str, Estimate]:
    """Return hazard ratios and net reclassification of the main analysis, as far as there are any."""
    return dict(_ratios(main)) | dict(_reclassifications(main))


def _ratios(main: AnalysisResult) -> Iterator[tuple[str, Estimate]]:
    if main.hazard_ratios is None:
        return
    for name, models in (("unadjusted", main.hazard_ratios.unadjusted), ("adjusted", main.hazard_ratios.adjusted)):
        model = next((each for each in models if each.name == NETWORK), None)
        if model is not None:
            yield from _ratios_of_calcium(model, name)
            yield from _ratios_of_covariates(model)


def _ratios_of_calcium(model: CoxModel, name: str) -> Iterator[tuple[str, Estimate]]:
    levels = [term for term in model.terms if term.variable == NETWORK and not term.is_reference]
    for k, term in enumerate(levels, start=1):
        yield f"{name}_{k}", term.ratio


def _ratios_of_covariates(model: CoxModel) -> Iterator[tuple[str, Estimate]]:
    for term in model.terms:
        if term.variable != NETWORK and not term.is_reference:
            yield term.variable if term.level is None else f"{term.variable}:{term.level}", term.ratio


def _reclassifications(main: AnalysisResult) -> Iterator[tuple[str, Estimate]]:
    if main.reclassification is None:
        return
    for each in main.reclassification.categories:
        nri = next((nri for nri in each.nri if _is_papers(nri)), None)
        unknown = Estimate(None, None, None, 0, each.reason or NOT_GIVEN)
        parts = (unknown, unknown, unknown) if nri is None else (nri.nri, nri.event, nri.nonevent)
        names = ("nri", "nri_event", "nri_nonevent") if each.category == NETWORK else (f"nri_{each.category}",)
        yield from zip(names, parts, strict=False)


def _is_papers(nri: NetReclassification) -> bool:
    """Return whether it is the kind that the paper most likely used: without cut-offs, by Kaplan-Meier (FACTS 4.1)."""
    return not nri.is_categorical and nri.estimator is CensoringEstimator.KAPLAN_MEIER


def _share(chosen: BoolArray, *, scale: float) -> Estimate:
    found = wilson_proportion(int(chosen.sum()), len(chosen))
    if found.estimate is None or found.low is None or found.high is None:
        return replace(found, reason=found.reason or "there are no such patients")
    return replace(found, estimate=scale * found.estimate, low=scale * found.low, high=scale * found.high)


def quantile(values: Float64Array, share: float) -> Estimate:
    """Return a quantile with the interval that order statistics give, whatever the distribution.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Any numbers.
    share : float
        0.5 for the median.

    Returns
    -------
    Estimate
        ``None`` without values.

    References
    ----------
    .. [1] Conover WJ. Practical nonparametric statistics, 3rd ed., 1999, section 3.2.
    """
    n = len(values)
    if n == 0:
        return Estimate(None, None, None, 0, reason="there are no such patients")
    ordered, tail = np.sort(values), (1.0 - CONFIDENCE) / 2
    low, high = (int(np.clip(stats.binom.ppf(p, n, share), 0, n - 1)) for p in (tail, 1.0 - tail))
    return Estimate(float(np.quantile(values, share)), float(ordered[low]), float(ordered[high]), n)
