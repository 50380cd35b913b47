"""Settings of `calcmap prognosis`: which columns are what, and what to do with them; read from TOML by `load_config`.

Every dataclass here is one table of the file. What a single table contradicts is reported with all other complaints at
once; docs/reference/prognosis-settings.md explains each key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from calcmap.core.errors import ConfigError
from calcmap.prognosis.bootstrap import DRAWS, BootstrapSettings, QuantileType
from calcmap.prognosis.missing import ImputationSettings
from calcmap.prognosis.partial_likelihood import Ties
from calcmap.prognosis.table_one import VariableKind
from calcmap.statistics.estimates import CONFIDENCE

PAPER_LEVELS = ("0", "1-100", "101-400", ">400")
PAPER_CUTS = (1.0, 100.0, 400.0)
"""The paper's categories of the calcium score: a score below 1 is 0, 100 and 400 belong to the category below."""


class Analysis(StrEnum):
    """A part of the report that can be asked for."""

    TABLE_ONE = "table_one"
    EVENT_RATES = "event_rates"
    CURVES = "curves"
    """Kaplan-Meier with log-rank and number at risk; cumulative incidence where events compete."""
    HAZARD_RATIOS = "hazard_ratios"
    """Cox, unadjusted and adjusted, with the test of proportional hazards."""
    ADDED_VALUE = "added_value"
    """Likelihood ratio of the added categories."""
    DISCRIMINATION = "discrimination"
    CALIBRATION = "calibration"
    RECLASSIFICATION = "reclassification"
    """Net reclassification and integrated discrimination, with refits in the bootstrap."""


class MissingRule(StrEnum):
    """What happens to patients with a missing covariate or category."""

    ERROR = "error"
    COMPLETE_CASES = "complete_cases"
    """They are left out, and counted."""
    IMPUTE = "impute"
    """Their covariates are imputed several times and the results pooled; a missing category still leaves them out."""


class CovariateKind(StrEnum):
    """How a covariate enters a model."""

    NUMBER = "number"
    YES_NO = "yes_no"
    CATEGORY = "category"


class Transform(StrEnum):
    """What is done to a number before it enters a model."""

    NONE = "none"
    LOG1P = "log1p"
    """log(1 + x)."""


@dataclass(frozen=True)
class Endpoint:
    """An event, and the time to it.

    Parameters
    ----------
    name : str
        Short, for files and for sensitivity analyses.
    time : str
        Column of the follow-up to the event or to its end.
    event : str
        Column that says whether the event happened.
    label : str
        As it is printed; the name if empty.
    yes : tuple of str
        Cells that mean "happened"; 1, true and yes if empty.
    competing : str or None
        Column that says whether another event ended follow-up (such as death from another cause).
    """

    name: str
    time: str
    event: str
    label: str = ""
    yes: tuple[str, ...] = ()
    competing: str | None = None


@dataclass(frozen=True)
class CategoryVariable:
    """A reading whose categories are to be judged: the network's, an expert's, a visual one.

    Parameters
    ----------
    name : str
        Short, for files and model terms.
    column : str
        Holds scores (with ``cuts``) or categories: the words of ``levels``, or 0, 1, 2...
    label : str
        As it is printed; the name if empty.
    levels : tuple of str
        Names of the categories, ascending.
    cuts : tuple of float
        One fewer than levels; the first is the lowest score of the second category, each other the highest score of the
        category under it. Empty: the column holds categories.
    reference : str or None
        Level that the hazard ratios compare with; the first if not given.
    """

    name: str
    column: str
    label: str = ""
    levels: tuple[str, ...] = PAPER_LEVELS
    cuts: tuple[float, ...] = ()
    reference: str | None = None

    def __post_init__(self) -> None:
        """Refuse levels, cuts and a reference that do not fit."""
        wrong = _level_complaints(self.levels, self.reference)
        if self.cuts and len(self.cuts) != len(self.levels) - 1:
            wrong.append(f"{len(self.cuts)} cuts for {len(self.levels)} levels, expected one fewer")
        if not _ascends(self.cuts):
            wrong.append(f"cuts are {list(self.cuts)}, expected finite numbers, ascending")
        _raise(wrong, where=f"category {self.name!r}")


@dataclass(frozen=True)
class Covariate:
    """A column that models are adjusted for, and a line of Table 1.

    Parameters
    ----------
    column : str
        Of the table.
    label : str
        As it is printed, with its unit; the column if empty.
    kind : CovariateKind
        ``"number"``, ``"yes_no"`` or ``"category"``.
    per : float
        Number: the hazard ratio is for this many units, such as 10 years.
    transform : Transform
        Number: ``"none"`` or ``"log1p"``.
    yes : str or None
        Yes/no: the cell that means yes, such as ``"M"``; 1, true and yes if not given.
    levels : tuple of str
        Category: the words of the column, in order.
    reference : str or None
        Category: level to compare with; the first if not given.
    adjust : bool
        Whether it enters the models; if not, Table 1 alone.
    summary : VariableKind or None
        How Table 1 shows a number: ``"normal"``, ``"skewed"`` or ``"number"`` (by the skewness; the default).
    """

    column: str
    label: str = ""
    kind: CovariateKind = CovariateKind.NUMBER
    per: float = 1.0
    transform: Transform = Transform.NONE
    yes: str | None = None
    levels: tuple[str, ...] = ()
    reference: str | None = None
    adjust: bool = True
    summary: VariableKind | None = None

    @property
    def term_label(self) -> str:
        """Return what a hazard ratio is printed under: the label, and for how many units where that is not one."""
        label = self.label or self.column
        return label if self.per == 1.0 else f"{label}, per {self.per:g}"

    def __post_init__(self) -> None:
        """Refuse settings of another kind of covariate."""
        is_number, is_category = self.kind is CovariateKind.NUMBER, self.kind is CovariateKind.CATEGORY
        wrong = _level_complaints(self.levels, self.reference) if is_category else []
        if not is_category and (self.levels or self.reference):
            wrong.append(f"levels and reference are for categories, it is {self.kind.value}")
        if self.yes is not None and self.kind is not CovariateKind.YES_NO:
            wrong.append(f"yes is for yes_no, it is {self.kind.value}")
        if not is_number and (self.per != 1.0 or self.transform is not Transform.NONE or self.summary is not None):
            wrong.append(f"per, transform and summary are for numbers, it is {self.kind.value}")
        if self.summary in (VariableKind.YES_NO, VariableKind.CATEGORY):
            wrong.append(f"summary is {self.summary.value!r}, expected normal, skewed or number")
        if not (math.isfinite(self.per) and self.per > 0.0):
            wrong.append(f"per is {self.per}, expected a number above 0")
        _raise(wrong, where=f"covariate {self.column!r}")


@dataclass(frozen=True)
class Filter:
    """Which patients stay: those whose cell meets every condition given; a missing cell meets none.

    Parameters
    ----------
    column : str
        Of the table.
    one_of : tuple of str
        The cell is one of these words (numbers as written, ``"0"``).
    none_of : tuple of str
        The cell is none of these.
    at_least, at_most : float or None
        The cell is a number within these limits.
    """

    column: str
    one_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        """Refuse a filter without a condition or with limits that cross."""
        wrong = []
        if not (self.one_of or self.none_of) and self.at_least is None and self.at_most is None:
            wrong.append("has no condition, expected one_of, none_of, at_least or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            wrong.append(f"at_least {self.at_least:g} is above at_most {self.at_most:g}")
        _raise(wrong, where=f"filter of {self.column!r}")


@dataclass(frozen=True)
class Sensitivity:
    """The whole analysis again, for other patients or another endpoint.

    Parameters
    ----------
    name : str
        Short, for files.
    label : str
        As it is printed; the name if empty.
    endpoint : str or None
        Name of an endpoint; the first if not given.
    keep : tuple of Filter
        Patients stay who meet all of them.
    """

    name: str
    label: str = ""
    endpoint: str | None = None
    keep: tuple[Filter, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an analysis that would repeat the main one."""
        if self.endpoint is None and not self.keep:
            raise ConfigError(f"sensitivity {self.name!r} changes neither the endpoint nor the patients")


@dataclass(frozen=True)
class BootstrapTable:
    """How intervals with refits are drawn.

    Parameters
    ----------
    draws : int
        Resamples.
    seed : int
        Of the random streams.
    quantile_type : QuantileType
        ``"type2"`` (nricens) or ``"type7"`` (R's and numpy's default).
    by_stratum : bool
        Draw within the strata of ``strata``.
    by_cluster : bool
        Draw whole clusters of ``cluster``.
    workers : int or None
        Processes; all cores if not given.
    """

    draws: int = DRAWS
    seed: int = 1
    quantile_type: QuantileType = QuantileType.TYPE_2
    by_stratum: bool = False
    by_cluster: bool = False
    workers: int | None = None


@dataclass(frozen=True)
class PrognosisSettings:
    """All of `calcmap prognosis`.

    Parameters
    ----------
    horizon : float
        Time at which risks are predicted and reclassified, in the unit of the endpoints' times.
    endpoints : tuple of Endpoint
        The first is the main one.
    categories : tuple of CategoryVariable
        The first is the one that the paper is about; the others are set beside it.
    covariates : tuple of Covariate
        For the adjusted models and Table 1.
    title : str
        Of the report.
    time_unit : str
        Of all times, as printed.
    is_simulated : bool
        Whether the patients are; then every page and figure says so.
    id : str or None
        Column that tells patients apart; no value may come twice.
    analyses : tuple of Analysis
        All if not given.
    sensitivities : tuple of Sensitivity
        Beside the main analysis.
    risk_cut_offs : tuple of float
        Of the predicted risk, for the categorical NRI; none without them.
    strata, cluster : str or None
        Columns: strata have baseline hazards of their own, rows of a cluster are not independent (centres).
    missing : MissingRule
        ``"error"``, ``"complete_cases"`` or ``"impute"``.
    ties : Ties
        ``"efron"`` or ``"breslow"``.
    confidence : float
        Coverage of all intervals, between 0 and 1.
    bootstrap : BootstrapTable
        Draws with refits.
    imputation : ImputationSettings
        For ``missing = "impute"``.
    """

    horizon: float
    endpoints: tuple[Endpoint, ...]
    categories: tuple[CategoryVariable, ...]
    covariates: tuple[Covariate, ...] = ()
    title: str = "Prognosis"
    time_unit: str = "years"
    is_simulated: bool = False
    id: str | None = None
    analyses: tuple[Analysis, ...] = tuple(Analysis)
    sensitivities: tuple[Sensitivity, ...] = ()
    risk_cut_offs: tuple[float, ...] = ()
    strata: str | None = None
    cluster: str | None = None
    missing: MissingRule = MissingRule.COMPLETE_CASES
    ties: Ties = Ties.EFRON
    confidence: float = CONFIDENCE
    bootstrap: BootstrapTable = field(default_factory=BootstrapTable)
    imputation: ImputationSettings = field(default_factory=ImputationSettings)

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other, all complaints at once."""
        wrong = [f"{name} is empty, expected at least one" for name in _NEEDED if not getattr(self, name)]
        wrong += self._name_complaints() + self._number_complaints()
        endpoints = [endpoint.name for endpoint in self.endpoints]
        wrong += [
            f"sensitivity {each.name!r} wants the endpoint {each.endpoint!r}, there are {', '.join(endpoints)}"
            for each in self.sensitivities
            if each.endpoint is not None and each.endpoint not in endpoints
        ]
        if self.bootstrap.by_stratum and self.strata is None:
            wrong.append("bootstrap.by_stratum needs strata")
        if self.bootstrap.by_cluster and self.cluster is None:
            wrong.append("bootstrap.by_cluster needs cluster")
        _raise(wrong)

    @property
    def bootstrap_settings(self) -> BootstrapSettings:
        """What `calcmap.prognosis.bootstrap.bootstrap` takes."""
        table = self.bootstrap
        return BootstrapSettings(table.draws, table.seed, self.confidence, table.quantile_type)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the table that the settings name, once, in the order of the settings."""
        named: list[str | None] = [self.id]
        for endpoint in self.endpoints:
            named += [endpoint.time, endpoint.event, endpoint.competing]
        named += [category.column for category in self.categories]
        named += [covariate.column for covariate in self.covariates]
        named += [each.column for sensitivity in self.sensitivities for each in sensitivity.keep]
        named += [self.strata, self.cluster]
        return tuple(dict.fromkeys(name for name in named if name is not None))

    def _name_complaints(self) -> list[str]:
        return [
            *_twice("endpoint", (each.name for each in self.endpoints)),
            *_twice("category", (each.name for each in self.categories)),
            *_twice("covariate", (each.column for each in self.covariates)),
            *_twice("sensitivity", (each.name for each in self.sensitivities)),
            *_twice("analysis", (each.value for each in self.analyses)),
            *_unfit(each.name for each in self.endpoints),
            *_unfit(each.name for each in self.categories),
            *_unfit(each.name for each in self.sensitivities),
        ]

    def _number_complaints(self) -> list[str]:
        wrong = []
        if not (math.isfinite(self.horizon) and self.horizon > 0.0):
            wrong.append(f"horizon is {self.horizon}, expected a time above 0")
        cuts = self.risk_cut_offs
        if not _ascends(cuts) or any(not 0.0 < cut < 1.0 for cut in cuts):
            wrong.append(f"risk_cut_offs are {list(cuts)}, expected risks between 0 and 1, ascending")
        try:
            _ = self.bootstrap_settings
        except ConfigError as error:
            wrong.append(f"bootstrap: {error}")
        if self.bootstrap.workers is not None and self.bootstrap.workers < 1:
            wrong.append(f"bootstrap.workers is {self.bootstrap.workers}, expected at least 1")
        return wrong


_NEEDED = ("endpoints", "categories", "analyses")
_TAKEN = ("main", "base")
"""Names that results use for the main analysis, and for the model of the covariates alone."""


def _level_complaints(levels: tuple[str, ...], reference: str | None) -> list[str]:
    wrong = []
    if len(levels) < 2:
        wrong.append(f"{len(levels)} levels, expected at least 2")
    if len(set(levels)) < len(levels):
        wrong.append(f"levels {', '.join(levels)} hold one twice")
    if reference is not None and reference not in levels:
        wrong.append(f"reference {reference!r} is not among the levels {', '.join(levels)}")
    return wrong


def _ascends(values: Sequence[float]) -> bool:
    return all(math.isfinite(value) for value in values) and list(values) == sorted(set(values))


def _twice(what: str, names: Iterable[str]) -> list[str]:
    held = list(names)
    return [f"{what} {name!r} comes twice" for name in dict.fromkeys(held) if held.count(name) > 1]


def _unfit(names: Iterable[str]) -> list[str]:
    """Return complaints of names that files or results cannot bear."""
    return [
        f"the name {name!r} will not do, expected letters, digits and _, and not {' or '.join(_TAKEN)}"
        for name in names
        if not re.fullmatch(r"[A-Za-z0-9_]+", name) or name in _TAKEN
    ]


def _raise(complaints: list[str], *, where: str = "") -> None:
    if complaints:
        raise ConfigError(f"{where}: {'; '.join(complaints)}" if where else "; ".join(complaints))
