"""``report.html`` of a study of prognosis: its results in sentences, with its tables and figures.

A sentence claims what its interval allows: one that covers the value of no effect gives "no ... is shown". In a
simulated study every sentence with a result says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from calcmap.prognosis.config import Analysis, MissingRule, PrognosisSettings
from calcmap.prognosis.cox import ChiSquare
from calcmap.prognosis.study import (
    BASE,
    MAIN,
    AddedTerms,
    AnalysisResult,
    CategoryCurves,
    CategoryRates,
    CategoryReclassification,
    CoxModel,
    Discrimination,
    Gain,
    HazardRatios,
    ModelCalibration,
    NriContrast,
    PrognosisStudy,
    Reclassifications,
    TermRatio,
)
from calcmap.report.page import Block, Page, Paragraph, Picture, Section
from calcmap.report.prognosis_figures import continuous_nri, file_name
from calcmap.report.prognosis_tables import prognosis_tables
from calcmap.report.provenance import MADE_BY, provenance_blocks
from calcmap.report.sentences import (
    capital,
    counted,
    is_small,
    listed,
    shown,
    worded,
    worded_p,
    worded_percent,
)
from calcmap.report.tables import TextTable

CAPTIONS = {
    "survival": "Event-free patients by category (Kaplan-Meier) with pointwise intervals and numbers at risk",
    "incidence": "Cumulative incidence by category (Aalen-Johansen) with pointwise intervals and numbers at risk",
    "hazard_ratios": "Hazard ratios of the categories against the reference category, unadjusted and adjusted, with "
    "intervals; an arrow is an interval that leaves the axis",
    "forest": "Hazard ratios of every term of the adjusted model, with intervals",
    "nri": "Continuous net reclassification by each reading added to the covariates, with bootstrap intervals",
    "calibration": "Observed against predicted risk in groups of predicted risk, with intervals; the line is identity",
}
"""What a figure shows, by the beginning of its name."""


def prognosis_page(study: PrognosisStudy, *, pictures: Mapping[str, bytes], table_sha256: str = "") -> Page:
    """Return the study's page.

    Parameters
    ----------
    study : PrognosisStudy
        What `assess_prognosis` found.
    pictures : mapping of str to bytes
        PNG of each of `prognosis_figures`, by name.
    table_sha256 : str
        Hash of the table that was read; left out when empty.

    Returns
    -------
    Page
        Sentences, tables and pictures in the order in which they are read.
    """
    tables = {table.name: table for table in prognosis_tables(study)}
    sections = list(_Chapter(study, study.main, tables, pictures).sections())
    for k, result in enumerate(study.sensitivities):
        chapter = _Chapter(study, result, tables, pictures)
        blocks = tuple(chapter.short())
        if k == 0:
            intro = (
                f"The analysis was repeated {counted(len(study.sensitivities), 'time')} for other patients or events."
            )
            sections.append(Section("Sensitivity analyses", (Paragraph((intro,)),)))
        sections.append(Section(result.label, blocks, is_part=True))
    sections += [
        Section("Methods", (Paragraph(tuple(_methods(study.settings))),)),
        Section("Notes and provenance", tuple(_provenance(study, table_sha256=table_sha256))),
    ]
    first = study.settings.categories[0]
    people = counted(study.main.patients.n, f"{_kind(study.settings)}patient")
    return Page(
        title=study.settings.title,
        lead=f"{first.label or first.name} and {study.main.endpoint_label} in {people}.",
        sections=tuple(sections),
        made_by=MADE_BY,
        is_simulated=study.settings.is_simulated,
    )


def _kind(settings: PrognosisSettings) -> str:
    return "simulated " if settings.is_simulated else ""


@dataclass(frozen=True, eq=False)
class _Chapter:
    """One analysis on the page."""

    study: PrognosisStudy
    result: AnalysisResult
    all_tables: Mapping[str, TextTable]
    all_pictures: Mapping[str, bytes]

    @property
    def settings(self) -> PrognosisSettings:
        return self.study.settings

    @property
    def people(self) -> str:
        return f"{_kind(self.settings)}patients"

    @property
    def event(self) -> str:
        return self.result.endpoint_label

    @property
    def confidence(self) -> float:
        return self.settings.confidence

    @property
    def horizon(self) -> str:
        return f"{self.settings.horizon:g} {self.settings.time_unit}"

    def sections(self) -> Iterator[Section]:
        """Yield the sections of the whole analysis."""
        result = self.result
        yield Section("Patients and follow-up", (_told(self.patients()), *self.tables("patients")))
        if result.reason is not None:
            return
        if result.table_one is not None:
            yield Section("Who the patients are", self.tables("table_one", "table_by_event"))
        if result.event_rates is not None or result.curves is not None:
            yield Section("Events over time", tuple(self.over_time()))
        if result.hazard_ratios is not None:
            yield Section("Hazard ratios", tuple(self.hazards(result.hazard_ratios)))
        if result.added_value is not None:
            told = _told(self.added(each) for each in result.added_value)
            yield Section("What the categories add", (told, *self.tables("added_value")))
        if result.discrimination is not None:
            told = _told(self.ranking(result.discrimination))
            yield Section("Discrimination", (told, *self.tables("discrimination", "gains")))
        if result.calibration is not None:
            told = _told(self.calibrated(each) for each in result.calibration)
            yield Section("Calibration", (told, *self.pictures("calibration"), *self.tables("calibration")))
        if result.reclassification is not None:
            yield Section("Reclassification", tuple(self.reclassified(result.reclassification)))

    def short(self) -> Iterator[Block]:
        """Yield what is shown of a sensitivity analysis: its patients, and the first reading's results."""
        result = self.result
        yield _told(self.patients())
        yield from self.tables("patients")
        if result.reason is not None:
            return
        first = self.settings.categories[0].name
        if result.curves is not None:
            yield _told(self.compared(each) for each in result.curves if each.category == first)
            yield from self.pictures(f"survival_{file_name(first)}", f"incidence_{file_name(first)}")
        if result.hazard_ratios is not None:
            yield _told(self.ratios_of(result.hazard_ratios, first))
            yield from self.pictures("hazard_ratios")
            yield from self.tables(*(f"hazard_ratios_{each.name}" for each in self.settings.categories))
        if result.added_value is not None:
            yield _told(self.added(each) for each in result.added_value)
        if result.reclassification is not None:
            yield _told(self.moved(each) for each in result.reclassification.categories)
            yield from self.pictures("nri")
            yield from self.tables("reclassification", "reclassification_contrasts")

    def tables(self, *names: str) -> tuple[TextTable, ...]:
        """Return those of this analysis's tables that there are and that hold a row."""
        prefix = "" if self.result.name == MAIN else f"{self.result.name}_"
        found = (self.all_tables.get(prefix + name) for name in names)
        return tuple(table for table in found if table is not None and table.rows)

    def pictures(self, *names: str) -> tuple[Picture, ...]:
        """Return those of this analysis's pictures that there are."""
        prefix = "" if self.result.name == MAIN else f"{file_name(self.result.name)}_"
        return tuple(self.picture(prefix + name, name) for name in names if prefix + name in self.all_pictures)

    def picture(self, name: str, kind: str) -> Picture:
        what = next(text for begin, text in CAPTIONS.items() if kind.startswith(begin))
        of = "" if self.result.name == MAIN else f", {self.result.label}"
        caption = f"{what}; {self.event}, {self.result.patients.n:,} {self.people}{of}."
        return Picture(name, self.all_pictures[name], caption, alt=f"{caption} Its numbers are in the tables.")

    def patients(self) -> Iterator[str]:
        flow, result = self.result.patients, self.result
        yield (
            f"Of {flow.n_read:,} {self.people} in the table, {flow.n:,} were analysed; {self.event} happened to "
            f"{flow.n_events:,} of them."
        )
        if flow.left_out:
            reasons = listed(f"{each.n:,} ({each.reason})" for each in flow.left_out)
            yield f"Left out of the {self.people} were {reasons}."
        if flow.imputed:
            columns = listed(f"{each.reason} of {each.n:,}" for each in flow.imputed)
            yield f"Imputed in the {self.people} were {columns}."
        if flow.n_competing:
            yield f"A competing event ended the follow-up of {flow.n_competing:,} {self.people}."
        if result.follow_up_quartiles is not None:
            low, middle, high = result.follow_up_quartiles
            unit = self.settings.time_unit
            yield (
                f"The {self.people} were followed for {middle:.1f} {unit} in the median (quartiles {low:.1f} and "
                f"{high:.1f} {unit})."
            )
        if result.reason is not None:
            yield f"No analysis of these {self.people} was possible: {result.reason}."

    def over_time(self) -> Iterator[Block]:
        result = self.result
        if result.event_rates is not None:
            yield _told(self.rates(each) for each in result.event_rates)
            yield from self.tables("event_rates")
        curves = result.curves or ()
        for each in curves:
            yield _told(self.curves_of(each))
        names = [file_name(each.category) for each in curves]
        yield from self.pictures(*(f"{kind}_{name}" for name in names for kind in ("survival", "incidence")))
        yield from self.tables("curves")

    def rates(self, found: CategoryRates) -> str:
        told = listed(
            f"{worded(each.rate, digits=1, confidence=self.confidence)} in {each.level}" for each in found.levels
        )
        unit = self.settings.time_unit
        return f"By {found.label} the {self.people} had these events per 100 {unit} of follow-up: {told}."

    def free(self, found: CategoryCurves) -> str:
        told = listed(
            f"{worded_percent(each.at_horizon, confidence=self.confidence)} in {each.level}" for each in found.survival
        )
        return f"Free of {self.event} at {self.horizon} were, by {found.label} of the {self.people}, {told}."

    def compared(self, found: CategoryCurves) -> str:
        begin = f"Between the categories of {found.label} of the {self.people}"
        if found.log_rank is None:
            return f"{begin} no log-rank test is possible: {found.reason or 'no reason recorded'}."
        claim = "the curves differ" if self.is_small(found.log_rank) else "no difference of the curves is shown"
        return f"{begin} {claim} (log-rank {self.test(found.log_rank)})."

    def curves_of(self, found: CategoryCurves) -> Iterator[str]:
        """Yield the sentences of one reading's curves."""
        yield self.free(found)
        yield self.compared(found)
        if found.incidence:
            yield self.incidences(found)

    def incidences(self, found: CategoryCurves) -> str:
        begin = f"With other events competing, the cumulative incidences by {found.label} of the {self.people}"
        if found.gray is None:
            return f"{begin} were not compared: {found.gray_reason or 'no reason recorded'}."
        claim = "differ" if self.is_small(found.gray) else "show no difference"
        return f"{begin} {claim} (Gray's test {self.test(found.gray)})."

    def hazards(self, found: HazardRatios) -> Iterator[Block]:
        names = [each.name for each in self.settings.categories]
        for name in names:
            yield _told(self.ratios_of(found, name))
        yield from self.pictures("hazard_ratios", *(f"forest_{file_name(name)}" for name in names))
        kinds = ("hazard_ratios", "subdistribution") if found.subdistribution else ("hazard_ratios",)
        yield from self.tables(*(f"{kind}_{name}" for name in names for kind in kinds))

    def ratios_of(self, found: HazardRatios, name: str) -> Iterator[str]:
        """Yield the sentences of one reading: each of its levels, and whether hazards are proportional."""
        alone, adjusted = (
            next((model for model in models if model.name == name), None)
            for models in (found.unadjusted, found.adjusted)
        )
        for model, which in ((alone, "unadjusted"), (adjusted, "adjusted")):
            if model is not None and model.reason is not None:
                yield f"The {which} model of {name} in the {self.people} is not estimable: {model.reason}."
        model = adjusted or alone
        if model is None or model.reason is not None:
            return
        single = {line.level: line for line in (alone.terms if alone is not None else ())}
        lines = [line for line in model.terms if line.variable == name]
        reference = next((line.level for line in lines if line.is_reference), None)
        for line in lines:
            if not line.is_reference:
                before = single.get(line.level) if adjusted is not None else None
                yield self.ratio(line, before, reference=reference or "the reference")
        yield self.proportional(model, lines[0].label)
        yield from self.incidence_ratios(found, name)

    def incidence_ratios(self, found: HazardRatios, name: str) -> Iterator[str]:
        """Yield a sentence for each category of a reading where events compete, adjusted where there are covariates."""
        model = next((each for each in reversed(found.subdistribution) if each.name == name), None)
        if model is None:
            return
        if model.reason is not None:
            yield f"The model of Fine and Gray of {name} in the {self.people} is not estimable: {model.reason}."
            return
        which = "adjusted for the covariates, " if model.is_adjusted else ""
        for line in (each for each in model.terms if each.variable == name and not each.is_reference):
            begin = f"With other events competing, the subdistribution hazard ratio of {line.label} {line.level} "
            if line.ratio.estimate is None:
                yield f"{begin}in the {self.people} is not estimable ({line.ratio.reason or 'no reason recorded'})."
                continue
            yield f"{begin}in the {self.people} was, {which}{worded(line.ratio, confidence=self.confidence)}."

    def ratio(self, line: TermRatio, alone: TermRatio | None, *, reference: str) -> str:
        begin = f"In {self.people} with {line.label} {line.level} the hazard of {self.event} relative to {reference}"
        if line.ratio.estimate is None:
            return f"{begin} is not estimable ({line.ratio.reason or 'no reason recorded'})."
        which = "was" if alone is None else "was, adjusted for the covariates,"
        claim = shown(line.ratio, 1.0, above="it was higher", below="it was lower", none="no difference is shown")
        before = "" if alone is None else f"; unadjusted it was {worded(alone.ratio, confidence=self.confidence)}"
        return f"{begin} {which} {worded(line.ratio, confidence=self.confidence)}: {claim}{before}."

    def proportional(self, model: CoxModel, label: str) -> str:
        if model.score_test is None:
            why = model.proportionality_reason or "no reason recorded"
            return f"Whether hazards by {label} of the {self.people} are proportional was not tested: {why}."
        overall = model.score_test.overall
        claim = "speaks against" if self.is_small(overall) else "shows no departure from"
        return f"The score test of this model of the {self.people} {claim} proportional hazards ({self.test(overall)})."

    def added(self, found: AddedTerms) -> str:
        begin = f"In the {self.people} the categories of {found.label}, added to the covariates,"
        if found.likelihood_ratio is not None:
            p, told = found.likelihood_ratio.p, f"likelihood ratio {self.test(found.likelihood_ratio)}"
        elif found.pooled_wald is not None:
            p, told = found.pooled_wald.p_value, f"pooled Wald test, {worded_p(found.pooled_wald.p_value)}"
        else:
            return f"{begin} were not tested: {found.reason or 'no reason recorded'}."
        claim = "improve the model" if is_small(p, confidence=self.confidence) else "show no improvement of the model"
        return f"{begin} {claim} ({told})."

    def ranking(self, found: Discrimination) -> Iterator[str]:
        told = listed(
            f"{worded(each.harrell, digits=3, confidence=self.confidence)} with {_lower(each.label)}"
            for each in found.models
            if not each.name.endswith("_alone")
        )
        if told:
            yield (
                f"Harrell's C in the {self.people}, who are those that the models were fitted to, was {told} "
                f"({self.see('discrimination')})."
            )
        for gain in found.gains:
            yield self.gain(gain)

    def gain(self, gain: Gain) -> str:
        first, second = self.label(gain.first), self.label(gain.second)
        against = "of the covariates alone" if gain.second == BASE else f"with {second} in its place"
        claim = shown(
            gain.c, 0.0, above="it ranked better", below="it ranked less well", none="no difference of C is shown"
        )
        told = worded(gain.c, digits=3, confidence=self.confidence)
        ending = "" if gain.c.estimate is None else f": {claim}"
        return f"In the {self.people} C with {first} less C {against} was {told}{ending}."

    def calibrated(self, found: ModelCalibration) -> str:
        begin = f"By the model of {_lower(found.label)}"
        if found.calibration is None:
            return f"{begin} no calibration in the {self.people} is possible: {found.reason or 'no reason recorded'}."
        observed, predicted = found.calibration.observed, found.calibration.predicted
        claim = shown(
            observed,
            predicted,
            above="it underrates",
            below="it overrates",
            none="no departure of the mean is shown",
        )
        return (
            f"{begin} the mean predicted risk at {self.horizon} of the {self.people}, to whom it was fitted, was "
            f"{100 * predicted:.1f} %; {worded_percent(observed, confidence=self.confidence)} was observed: {claim}."
        )

    def reclassified(self, found: Reclassifications) -> Iterator[Block]:
        yield _told(self.moved(each) for each in found.categories)
        if found.contrasts:
            yield _told(self.contrast(each) for each in found.contrasts)
        yield from self.pictures("nri")
        moves = (f"reclassification_table_{each.category}" for each in found.categories)
        yield from self.tables("reclassification", "reclassification_contrasts", *moves)

    def moved(self, found: CategoryReclassification) -> str:
        begin = f"Adding {found.label} to the covariates"
        nri = continuous_nri(found)
        if nri is None:
            why = found.reason or next((each.nri.reason for each in found.nri if each.nri.reason), None)
            return f"{begin} in the {self.people} gives no net reclassification: {why or 'no reason recorded'}."
        parts = (
            f"{worded(part, digits=3, confidence=self.confidence)} {which}"
            for part, which in ((nri.event, "of events"), (nri.nonevent, "of nonevents"), (nri.nri, "overall"))
        )
        claim = shown(
            nri.nri,
            0.0,
            above="overall it moved risks the right way more often than the wrong",
            below="overall it moved risks the wrong way more often than the right",
            none="no net reclassification is shown overall",
        )
        return (
            f"{begin} of the {self.people} gave a continuous net reclassification at {self.horizon} of "
            f"{listed(parts)}: {claim}."
        )

    def contrast(self, found: NriContrast) -> str:
        first, second = self.label(found.first), self.label(found.second)
        claim = shown(
            found.nri,
            0.0,
            above=f"{first} reclassified better",
            below=f"{second} reclassified better",
            none="no difference is shown",
        )
        told = worded(found.nri, digits=3, confidence=self.confidence)
        ending = "" if found.nri.estimate is None else f": {claim}"
        begin = f"Overall net reclassification by {first} less that by {second} in the same {self.people}"
        return f"{begin} was {told}{ending}."

    def label(self, name: str) -> str:
        return next((each.label or each.name for each in self.settings.categories if each.name == name), name)

    def see(self, name: str) -> str:
        return f"[[{'' if self.result.name == MAIN else self.result.name + '_'}{name}]]"

    def is_small(self, test: ChiSquare) -> bool:
        return is_small(test.p, confidence=self.confidence)

    def test(self, found: ChiSquare) -> str:
        return f"chi-square {found.statistic:.2f}, {found.df} df, {worded_p(found.p)}"


def _told(sentences: Iterator[str]) -> Paragraph:
    return Paragraph(tuple(sentences), is_result=True)


def _lower(text: str) -> str:
    return text.replace("Covariates", "the covariates", 1) if text.startswith("Covariates") else text


def _methods(settings: PrognosisSettings) -> Iterator[str]:
    yield (
        f"Every interval covers {100 * settings.confidence:g} %; one that covers the value of no effect is reported as "
        "nothing shown, and p values are two-sided and not adjusted for their number."
    )
    asked = settings.analyses
    for analysis, sentence in _METHODS.items():
        if analysis in asked:
            yield sentence
    if Analysis.HAZARD_RATIOS in asked:
        yield f"Tied events are treated as {settings.ties.value.capitalize()} proposed."
    if settings.strata is not None:
        yield f"Each value of {settings.strata} has a baseline hazard of its own."
    if settings.cluster is not None:
        yield f"Standard errors of hazard ratios allow for clusters by {settings.cluster} (sandwich estimator)."
    yield _MISSING[settings.missing].format(imputations=settings.imputation.imputations)
    table = settings.bootstrap
    yield (
        f"Bootstrap intervals are percentiles ({table.quantile_type.value}) of {table.draws:,} samples of patients "
        f"(seed {table.seed}) in each of which all models were fitted again."
    )
    yield f"Risks are predicted at {settings.horizon:g} {settings.time_unit}."


_METHODS = {
    Analysis.TABLE_ONE: "Groups are compared by the test that is named beside each p value.",
    Analysis.EVENT_RATES: "Event rates have exact Poisson intervals.",
    Analysis.CURVES: "Curves are Kaplan-Meier's with log(-log) intervals, compared by the log-rank test; with "
    "competing events the cumulative incidence is Aalen and Johansen's.",
    Analysis.HAZARD_RATIOS: "Hazard ratios are from Cox regression with Wald intervals; proportional hazards were "
    "tested by the score test and by scaled Schoenfeld residuals.",
    Analysis.ADDED_VALUE: "Added terms were tested by the likelihood ratio.",
    Analysis.DISCRIMINATION: "Discrimination is Harrell's C (infinitesimal jackknife), Uno's C up to the horizon, and "
    "the cumulative/dynamic area under the ROC curve.",
    Analysis.CALIBRATION: "Calibration sets predicted risk against the observed risk of groups of predicted risk.",
    Analysis.RECLASSIFICATION: "Net reclassification of censored data is by Kaplan-Meier and by inverse probability of "
    "censoring weighting, and the integrated discrimination improvement by the latter.",
}
_MISSING = {
    MissingRule.ERROR: "Missing values were not accepted.",
    MissingRule.COMPLETE_CASES: "Patients with a missing value were left out.",
    MissingRule.IMPUTE: "Missing covariates were imputed {imputations} times by chained equations and the results "
    "pooled by Rubin's rules.",
}


def _provenance(study: PrognosisStudy, *, table_sha256: str) -> Iterator[Block]:
    notes = [f"{capital(note)}." for result in study.analyses for note in result.warnings]
    if notes:
        yield Paragraph(tuple(dict.fromkeys(notes)))
    yield from provenance_blocks(study.settings, table_sha256=table_sha256)
