"""What a study of prognosis finds, as frozen dataclasses; `calcmap.prognosis.assessment` makes them.

A study holds one `AnalysisResult` for the main analysis and one for each sensitivity analysis. A part that was not
asked for is ``None``; a part that was asked for and cannot be had holds a reason in place of numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from calcmap.core.volume import Float64Array
from calcmap.prognosis.bootstrap import BootstrapInterval
from calcmap.prognosis.config import PrognosisSettings
from calcmap.prognosis.cox import ChiSquare, HazardRatio
from calcmap.prognosis.curves import Curve, EventRate
from calcmap.prognosis.discrimination import Area, Calibration, Concordance
from calcmap.prognosis.missing import PooledTest
from calcmap.prognosis.proportionality import Proportionality
from calcmap.prognosis.reclassification import CensoringEstimator, ReclassificationTable
from calcmap.prognosis.screening import ModelWarning
from calcmap.prognosis.table_one import TableOne
from calcmap.statistics.estimates import Estimate

MAIN = "main"
"""Name of the analysis of all patients and the first endpoint."""

BASE = "base"
"""Name of the model that holds the covariates alone, without any reading."""


@dataclass(frozen=True)
class LeftOut:
    """Patients who are not in an analysis, for one reason; who has several is counted under the first."""

    reason: str
    n: int


@dataclass(frozen=True)
class PatientFlow:
    """Who went into an analysis."""

    n_read: int
    """Rows of the table."""
    n: int
    """Patients analysed: ``n_read`` less all who were left out."""
    n_events: int
    n_competing: int
    """Patients whose follow-up a competing event ended."""
    left_out: tuple[LeftOut, ...]
    """In the order of looking: filters, follow-up, readings, groups, covariates; each met somebody."""
    imputed: tuple[LeftOut, ...] = ()
    """Covariates that were imputed, and for how many patients."""


@dataclass(frozen=True)
class LevelRate:
    """Events over follow-up in one category."""

    level: str
    rate: EventRate


@dataclass(frozen=True)
class CategoryRates:
    """Event rates of one reading's categories."""

    category: str
    label: str
    levels: tuple[LevelRate, ...]


@dataclass(frozen=True, eq=False)
class LevelCurve:
    """One category's curve."""

    level: str
    n: int
    n_events: int
    curve: Curve | None
    """``None`` where the category holds nobody."""
    at_horizon: Estimate
    """Of the curve: survival, or cumulative incidence, at the horizon."""
    at_risk: tuple[int, ...]
    """At the times of the `CategoryCurves` that this belongs to."""


@dataclass(frozen=True, eq=False)
class CategoryCurves:
    """Curves of one reading's categories, and whether they differ."""

    category: str
    label: str
    times: tuple[float, ...]
    """Of the numbers at risk: 0 and on, evenly, to no more than the end of follow-up."""
    survival: tuple[LevelCurve, ...]
    """Kaplan-Meier; a competing event counts as censored."""
    incidence: tuple[LevelCurve, ...]
    """Cumulative incidence (Aalen-Johansen); empty where no events compete."""
    log_rank: ChiSquare | None
    trend: ChiSquare | None
    """Of the log-rank test over categories in their order."""
    reason: str | None = None
    """Why there is no test of the curves."""
    gray: ChiSquare | None = None
    """Gray's test that the incidences are the same; ``None`` where no events compete."""
    gray_reason: str | None = None
    """Why there is no such test although events compete."""


@dataclass(frozen=True)
class TermRatio:
    """One line of a table of hazard ratios."""

    variable: str
    """Name of the reading, or column of the covariate."""
    label: str
    """Of the variable, as printed."""
    level: str | None
    """``None`` for numbers and yes/no."""
    is_reference: bool
    """The level that the others are compared with: its ratio is 1 and has no interval."""
    ratio: HazardRatio
    fraction_missing: float | None = None
    """Share of the information that is missing; with imputation only."""


@dataclass(frozen=True, eq=False)
class CoxModel:
    """One Cox model as it is printed."""

    name: str
    """Of the variable whose ratios it gives alone, of the reading beside the covariates, or `BASE`."""
    terms: tuple[TermRatio, ...]
    n: int
    n_events: int
    likelihood_ratio: ChiSquare | None
    """Of all terms; ``None`` with imputation."""
    score_test: Proportionality | None
    """Of proportional hazards, as R's ``cox.zph`` since survival 3.0. With imputation: of the first imputed table."""
    schoenfeld_test: Proportionality | None
    """Of proportional hazards, the older test (lifelines, R before 3.0)."""
    proportionality_reason: str | None
    warnings: tuple[ModelWarning, ...]
    reason: str | None = None
    """Why there is no model; then no term has a ratio."""


@dataclass(frozen=True)
class SubdistributionModel:
    """One model of Fine and Gray as it is printed: ratios of the hazard of the incidence, other events competing."""

    name: str
    """Of the reading."""
    is_adjusted: bool
    """For all covariates."""
    terms: tuple[TermRatio, ...]
    n: int
    n_events: int
    n_competing: int
    reason: str | None = None
    """Why there is no model; then no term has a ratio."""


@dataclass(frozen=True)
class HazardRatios:
    """All Cox models of an analysis, cause-specific where events compete."""

    unadjusted: tuple[CoxModel, ...]
    """One for each reading, then for each covariate of the adjusted models."""
    adjusted: tuple[CoxModel, ...]
    """One for each reading, beside all covariates; empty without covariates."""
    base: CoxModel | None
    """The covariates without any reading."""
    subdistribution: tuple[SubdistributionModel, ...] = ()
    """For each reading alone, then beside the covariates; empty where no events compete."""


@dataclass(frozen=True)
class AddedTerms:
    """What one reading's categories add to the covariates."""

    category: str
    label: str
    likelihood_ratio: ChiSquare | None
    """``None`` with imputation."""
    pooled_wald: PooledTest | None
    """With imputation only: that all added terms are zero, pooled."""
    reason: str | None = None


@dataclass(frozen=True)
class HorizonArea:
    """Area under the time-dependent ROC curve at one time."""

    time: float
    area: Area


@dataclass(frozen=True)
class ModelDiscrimination:
    """How well one model ranks the patients that it was fitted to."""

    name: str
    """Of a reading beside the covariates, of the reading alone (``NAME_alone``), or `BASE`."""
    label: str
    harrell: Concordance
    """With its analytic interval, which takes the model as given."""
    harrell_bootstrap: BootstrapInterval | None
    """Refitted; ``None`` for models without a bootstrap."""
    uno: Concordance
    """Events before the horizon."""
    areas: tuple[HorizonArea, ...]
    """Cumulative/dynamic."""
    mean_area: float | None
    reason: str | None = None
    optimism: float | None = None
    """By how much Harrell's C is too high on the model's own patients: mean over the draws of what a refitted model
    reaches on its draw less what it reaches on all patients; ``None`` without a bootstrap."""
    harrell_corrected: float | None = None
    """Harrell's C less the optimism (Harrell, Lee, Mark, Stat Med 1996;15:361-387)."""


@dataclass(frozen=True)
class Gain:
    """By how much one model ranks better than another: first less second, refitted in the bootstrap."""

    first: str
    second: str
    """Names of models: readings, or `BASE`."""
    c: BootstrapInterval
    """Harrell's."""
    area: BootstrapInterval
    """At the horizon."""


@dataclass(frozen=True)
class Discrimination:
    """How well all models rank the patients."""

    models: tuple[ModelDiscrimination, ...]
    """`BASE` (with covariates), each reading beside the covariates, each reading alone."""
    gains: tuple[Gain, ...]
    """Each reading against `BASE`, then the first reading against each other."""


@dataclass(frozen=True)
class ModelCalibration:
    """Predicted against observed risk at the horizon, of one model."""

    name: str
    label: str
    calibration: Calibration | None
    reason: str | None = None


@dataclass(frozen=True)
class NetReclassification:
    """One net reclassification improvement and its parts, each with its bootstrap interval."""

    is_categorical: bool
    """Across the risk cut-offs; if not, by any difference of risk."""
    estimator: CensoringEstimator
    nri: BootstrapInterval
    """Sum of the two parts, -2 to 2."""
    event: BootstrapInterval
    nonevent: BootstrapInterval
    up_event: BootstrapInterval
    down_event: BootstrapInterval
    down_nonevent: BootstrapInterval
    up_nonevent: BootstrapInterval


@dataclass(frozen=True)
class IntegratedGain:
    """Integrated discrimination improvement (inverse weighting), each part with its bootstrap interval."""

    idi: BootstrapInterval
    event: BootstrapInterval
    """Mean change of risk among events."""
    nonevent: BootstrapInterval
    """Among nonevents; negative is good."""


@dataclass(frozen=True, eq=False)
class CategoryReclassification:
    """What one reading, added to the covariates, moves at the horizon."""

    category: str
    label: str
    nri: tuple[NetReclassification, ...]
    """Continuous by Kaplan-Meier and by inverse weighting; then categorical by both where there are cut-offs."""
    idi: IntegratedGain | None
    table: ReclassificationTable | None
    """By the risk cut-offs, where there are any."""
    n_cases: int
    """With an event by the horizon."""
    n_controls: int
    """Followed beyond it."""
    base_risk: Float64Array
    """Risk by the horizon of each patient by the covariates alone, shape (n,); empty without numbers."""
    extended_risk: Float64Array
    """The same with the reading."""
    reason: str | None = None
    """Why there are no numbers; then ``nri`` is empty."""


@dataclass(frozen=True)
class NriContrast:
    """First reading's net reclassification less another's, on the same draws."""

    first: str
    second: str
    nri: BootstrapInterval
    event: BootstrapInterval
    nonevent: BootstrapInterval
    """All three continuous, Kaplan-Meier."""


@dataclass(frozen=True)
class Reclassifications:
    """Net reclassification by all readings."""

    categories: tuple[CategoryReclassification, ...]
    contrasts: tuple[NriContrast, ...]
    """The first reading against each other."""


@dataclass(frozen=True, eq=False)
class AnalysisResult:
    """One analysis: some patients, one endpoint."""

    name: str
    """`MAIN`, or the sensitivity analysis's."""
    label: str
    endpoint: str
    endpoint_label: str
    patients: PatientFlow
    reason: str | None = None
    """Why there is no analysis at all, such as nobody with the event; then every part is ``None``."""
    median_follow_up: Estimate | None = None
    """Reverse Kaplan-Meier."""
    follow_up_quartiles: tuple[float, float, float] | None = None
    """Of the times as they are, events included, as the paper prints them."""
    table_one: TableOne | None = None
    """By the first reading's categories."""
    table_by_event: TableOne | None = None
    """The same variables by whether the event happened; readings' scores among them."""
    event_rates: tuple[CategoryRates, ...] | None = None
    """Per 100 units of time, all patients first under the level ``"all"`` of each."""
    curves: tuple[CategoryCurves, ...] | None = None
    hazard_ratios: HazardRatios | None = None
    added_value: tuple[AddedTerms, ...] | None = None
    discrimination: Discrimination | None = None
    calibration: tuple[ModelCalibration, ...] | None = None
    """Of `BASE` and of each reading beside the covariates."""
    reclassification: Reclassifications | None = None
    warnings: tuple[str, ...] = ()
    """What a reader of the numbers must know."""


@dataclass(frozen=True, eq=False)
class PrognosisStudy:
    """Everything that is known of the prognosis in one table."""

    settings: PrognosisSettings
    n_read: int
    main: AnalysisResult
    sensitivities: tuple[AnalysisResult, ...]

    @property
    def analyses(self) -> tuple[AnalysisResult, ...]:
        """The main analysis, then the sensitivities."""
        return (self.main, *self.sensitivities)
