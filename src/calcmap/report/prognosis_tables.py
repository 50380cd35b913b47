"""The tables of a study of prognosis, as text; those of a sensitivity analysis begin with its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from calcmap.prognosis.cox import ChiSquare, HazardRatio
from calcmap.prognosis.models import ALONE
from calcmap.prognosis.reclassification import CensoringEstimator, ReclassificationTable
from calcmap.prognosis.study import (
    BASE,
    MAIN,
    AnalysisResult,
    CategoryReclassification,
    CoxModel,
    Discrimination,
    HazardRatios,
    PrognosisStudy,
    SubdistributionModel,
    TermRatio,
)
from calcmap.prognosis.table_one import TableOne, printed_table
from calcmap.report.numerals import between, limits, p_value, percent
from calcmap.report.sentences import interval_name
from calcmap.report.tables import TextTable

ESTIMATORS = {
    CensoringEstimator.KAPLAN_MEIER: "Kaplan-Meier",
    CensoringEstimator.INVERSE_WEIGHTING: "inverse weighting",
}


def prognosis_tables(study: PrognosisStudy) -> list[TextTable]:
    """Return all tables of all analyses that were made, the main analysis first."""
    return [table for result in study.analyses for table in _Tables(study, result).tables()]


class _Tables:
    """The tables of one analysis."""

    def __init__(self, study: PrognosisStudy, result: AnalysisResult) -> None:
        self.settings, self.result = study.settings, result
        self.prefix = "" if result.name == MAIN else f"{result.name}_"
        said = [] if result.name == MAIN else [result.label]
        said += ["simulated patients"] if self.settings.is_simulated else []
        self.suffix = f" ({', '.join(said)})" if said else ""

    def tables(self) -> Iterator[TextTable]:
        """Yield the tables that the analysis has."""
        result = self.result
        yield self._patients()
        yield from self._summaries(result.table_one, result.table_by_event)
        if result.event_rates is not None:
            yield self._rates()
        if result.curves is not None:
            yield self._curves()
        if result.hazard_ratios is not None:
            yield from self._hazard_ratios(result.hazard_ratios)
        if result.added_value is not None:
            yield self._added_value()
        if result.discrimination is not None:
            yield self._discrimination(result.discrimination)
            yield self._gains(result.discrimination)
        if result.calibration is not None:
            yield self._calibration()
        if result.reclassification is not None:
            yield self._nri()
            yield self._contrasts()
            tabled = ((each, each.table) for each in result.reclassification.categories)
            yield from (self._moves(each, table) for each, table in tabled if table is not None)

    def _table(
        self, name: str, title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], note: str = ""
    ) -> TextTable:
        whole = f"{title}; {self.result.endpoint_label}, n = {self.result.patients.n}{self.suffix}"
        return TextTable(self.prefix + name, whole, columns, tuple(rows), note)

    @property
    def _interval(self) -> str:
        return interval_name(self.settings.confidence)

    @property
    def _time(self) -> str:
        return f"{self.settings.horizon:g} {self.settings.time_unit}"

    def _patients(self) -> TextTable:
        flow = self.result.patients
        rows = [("rows of the table", str(flow.n_read))]
        rows += [(f"left out: {each.reason}", str(each.n)) for each in flow.left_out]
        rows += [("analysed", str(flow.n)), (f"with {self.result.endpoint_label}", str(flow.n_events))]
        if flow.n_competing:
            rows.append(("with a competing event", str(flow.n_competing)))
        rows += [(f"imputed: {each.reason}", str(each.n)) for each in flow.imputed]
        if self.result.follow_up_quartiles is not None:
            low, middle, high = self.result.follow_up_quartiles
            rows.append(
                (f"follow-up, {self.settings.time_unit}, median (quartiles)", f"{middle:.2f} ({low:.2f} to {high:.2f})")
            )
        if self.result.median_follow_up is not None:
            text = between(self.result.median_follow_up, digits=2)
            rows.append((f"median follow-up, {self.settings.time_unit}, by reverse Kaplan-Meier", text))
        notes = [self.result.reason] if self.result.reason else list(self.result.warnings)
        return self._table("patients", "Patients", ("", "number"), rows, "; ".join(notes))

    def _summaries(self, by_category: TableOne | None, by_event: TableOne | None) -> Iterator[TextTable]:
        for name, title, table in (
            ("table_one", f"Patients by category: {self.settings.categories[0].label or ''}", by_category),
            ("table_by_event", "Patients by event", by_event),
        ):
            if table is not None:
                heads, lines = printed_table(table)
                note = "The test stands beside its p value; not adjusted for their number."
                yield self._table(name, title.rstrip(": "), heads, list(lines), note)

    def _rates(self) -> TextTable:
        rows = [
            (
                each.label,
                at.level,
                str(at.rate.n),
                str(at.rate.n_events),
                f"{at.rate.follow_up:.1f}",
                between(at.rate, digits=2),
            )
            for each in self.result.event_rates or ()
            for at in each.levels
        ]
        unit = self.settings.time_unit
        columns = ("reading", "category", "patients", "events", unit, f"events per 100 {unit} ({self._interval})")
        return self._table("event_rates", "Event rates", columns, rows, "Exact Poisson intervals.")

    def _curves(self) -> TextTable:
        rows: list[tuple[str, ...]] = []
        for each in self.result.curves or ():
            for k, at in enumerate(each.survival):
                tests = (_test(each.log_rank, each.reason), _test(each.trend, each.reason)) if k == 0 else ("", "")
                happened = [percent(each.incidence[k].at_horizon)] if each.incidence else []
                told = (each.label, at.level, str(at.n), str(at.n_events), percent(at.at_horizon), *happened)
                gray = [_test(each.gray, each.gray_reason) if k == 0 else ""] if each.incidence else []
                rows.append((*told, *tests, *gray))
        has_incidence = any(each.incidence for each in self.result.curves or ())
        columns: tuple[str, ...] = (
            "reading",
            "category",
            "patients",
            "events",
            f"event-free at {self._time}, % ({self._interval})",
        )
        columns += ("cumulative incidence, %",) if has_incidence else ()
        note = "Kaplan-Meier, intervals on the log(-log) scale; log-rank test of all categories, and for trend."
        columns = (*columns, "log-rank", "trend", *(("Gray's test",) if has_incidence else ()))
        note += " Gray's test: whether incidences differ, other events competing." if has_incidence else ""
        return self._table("curves", "Event-free patients", columns, rows, note)

    def _hazard_ratios(self, found: HazardRatios) -> Iterator[TextTable]:
        alone = {
            line.ratio.name or f"{line.variable}: {line.level}": line
            for model in found.unadjusted
            for line in model.terms
        }
        covariates = {each.column for each in self.settings.covariates}
        for reading in found.unadjusted:
            if reading.name in covariates:
                continue
            adjusted = next((each for each in found.adjusted if each.name == reading.name), None)
            yield self._ratios(reading, adjusted, alone)
            of_incidence = [each for each in found.subdistribution if each.name == reading.name]
            if of_incidence:
                yield self._incidence_ratios(of_incidence)

    def _incidence_ratios(self, models: Sequence[SubdistributionModel]) -> TextTable:
        last = models[-1]
        single = {line.ratio.name: line for line in models[0].terms}
        rows: list[tuple[str, ...]] = []
        for line in last.terms:
            name = f"{line.label}: {line.level}" if line.level is not None else line.label
            alone = single.get(line.ratio.name)
            cells = ("", "") if alone is None else _ratio(alone)
            rows.append((name, *cells, *(_ratio(line) if last.is_adjusted else ())))
        columns: tuple[str, ...] = ("", f"unadjusted ({self._interval})", "p")
        columns += (f"adjusted ({self._interval})", "p adjusted") if last.is_adjusted else ()
        said = [f"Fine and Gray; {last.n_events} events, {last.n_competing} competing ones."]
        said += [f"{each.reason}." for each in models if each.reason]
        label = next((line.label for line in last.terms if line.variable == last.name), last.name)
        title = f"Subdistribution hazard ratios by {label}"
        return self._table(f"subdistribution_{last.name}", title, columns, rows, " ".join(said))

    def _ratios(self, reading: CoxModel, adjusted: CoxModel | None, alone: dict[str, TermRatio]) -> TextTable:
        lines = adjusted.terms if adjusted is not None else reading.terms
        rows: list[tuple[str, ...]] = []
        for line in lines:
            single = alone.get(line.ratio.name, line)
            cells = (f"{line.label}: {line.level}" if line.level is not None else line.label, *_ratio(single))
            rows.append(
                (*cells, *(() if adjusted is None else _ratio(line)), *_proportional(adjusted or reading, line))
            )
        columns: tuple[str, ...] = ("", f"unadjusted ({self._interval})", "p")
        columns += () if adjusted is None else (f"adjusted ({self._interval})", "p adjusted")
        last = adjusted or reading
        said = [f"Cox, ties by {self.settings.ties.value}; {last.n_events} events."]
        said += ["Intervals are robust to clusters."] if self.settings.cluster else []
        said.append(_whole_test(last))
        said += [f"{warning.detail}." for warning in last.warnings]
        said += [f"{last.reason}."] if last.reason else []
        columns += ("PH: score test p", "PH: scaled Schoenfeld p")
        title = f"Hazard ratios by {lines[0].label}" if lines else "Hazard ratios"
        return self._table(f"hazard_ratios_{reading.name}", title, columns, rows, " ".join(said))

    def _added_value(self) -> TextTable:
        rows = []
        for each in self.result.added_value or ():
            pooled = each.pooled_wald
            if pooled is not None:
                first, second = pooled.degrees_of_freedom
                text = f"F({first:g}, {second:.1f}) = {pooled.f_statistic:.2f}, p {p_value(pooled.p_value)}"
                rows.append((each.label, text))
                continue
            rows.append((each.label, _test(each.likelihood_ratio, each.reason)))
        what = (
            "Likelihood-ratio chi-square of the categories added to the covariates; pooled Wald test with imputation."
        )
        return self._table("added_value", "What categories add", ("reading", "test"), rows, what)

    def _discrimination(self, found: Discrimination) -> TextTable:
        times = next((each.areas for each in found.models if each.areas), ())
        rows = [
            (
                f"{each.label}, alone" if each.name.endswith(ALONE) else each.label,
                between(each.harrell),
                "-" if each.harrell_bootstrap is None else limits(each.harrell_bootstrap),
                "-" if each.harrell_corrected is None else f"{each.harrell_corrected:.3f}",
                between(each.uno),
                *(between(at.area) for at in each.areas or ()),
                *(("-",) * (len(times) - len(each.areas))),
            )
            for each in found.models
        ]
        areas = tuple(f"AUC at {at.time:g}" for at in times)
        columns = (
            "model",
            f"Harrell's C ({self._interval})",
            "bootstrap interval",
            "less optimism",
            f"Uno's C to {self._time}",
            *areas,
        )
        note = (
            "Of the patients that the models were fitted to, which flatters all of them; less optimism: by the "
            "bootstrap (Harrell 1996). AUC: cumulative/dynamic."
        )
        return self._table("discrimination", "Discrimination", columns, rows, note)

    def _gains(self, found: Discrimination) -> TextTable:
        rows = [
            (
                f"{self._label(each.first)} less {self._label(each.second)}",
                between(each.c, digits=4),
                between(each.area, digits=4),
            )
            for each in found.gains
        ]
        columns = ("models", f"Harrell's C ({self._interval})", f"AUC at {self._time}")
        return self._table("gains", "Differences of discrimination", columns, rows, self._bootstrap_note())

    def _calibration(self) -> TextTable:
        rows: list[tuple[str, ...]] = []
        for each in self.result.calibration or ():
            if each.calibration is None:
                rows.append((each.label, each.reason or "-", "-", "-", "-"))
                continue
            found = each.calibration
            slope = f"slope {between(found.slope, digits=2)}"
            rows.append(
                (
                    each.label,
                    f"all, {slope}",
                    str(found.observed.n),
                    f"{100 * found.predicted:.1f}",
                    percent(found.observed),
                )
            )
            rows += [
                (
                    each.label,
                    f"group {k} of {len(found.groups)}",
                    str(group.n),
                    f"{100 * group.predicted:.1f}",
                    percent(group.observed),
                )
                for k, group in enumerate(found.groups, start=1)
            ]
        columns = ("model", "patients", "n", "predicted, %", f"observed, % ({self._interval})")
        note = f"Risk by {self._time}; of the patients that the models were fitted to."
        return self._table("calibration", "Predicted and observed risk", columns, rows, note)

    def _nri(self) -> TextTable:
        found = self.result.reclassification
        rows: list[tuple[str, ...]] = []
        for each in found.categories if found else ():
            if each.reason is not None:
                rows.append((each.label, each.reason, "-", "-", "-"))
                continue
            for nri in each.nri:
                kind = f"{'categorical' if nri.is_categorical else 'continuous'} NRI, {ESTIMATORS[nri.estimator]}"
                rows.append((each.label, kind, between(nri.event), between(nri.nonevent), between(nri.nri)))
            if each.idi is not None:
                told = (between(part, digits=4) for part in (each.idi.event, each.idi.nonevent, each.idi.idi))
                rows.append((each.label, "IDI, inverse weighting", *told))
        columns = ("added", "measure", "event", "nonevent", f"overall ({self._interval})")
        cuts = ", ".join(f"{cut:g}" for cut in self.settings.risk_cut_offs)
        note = f"Risk by {self._time}. " + (f"Cut-offs {cuts}. " if cuts else "") + self._bootstrap_note()
        return self._table("reclassification", "Reclassification by adding categories", columns, rows, note)

    def _contrasts(self) -> TextTable:
        found = self.result.reclassification
        rows = [
            (
                f"{self._label(each.first)} less {self._label(each.second)}",
                between(each.event),
                between(each.nonevent),
                between(each.nri),
            )
            for each in (found.contrasts if found else ())
        ]
        columns = ("readings", "event", "nonevent", f"overall ({self._interval})")
        note = f"Continuous NRI, Kaplan-Meier, on the same draws. {self._bootstrap_note()}"
        return self._table("reclassification_contrasts", "Differences of net reclassification", columns, rows, note)

    def _moves(self, each: CategoryReclassification, table: ReclassificationTable) -> TextTable:
        cuts = [0.0, *self.settings.risk_cut_offs, 1.0]
        names = [f"{100 * low:g}-{100 * high:g} %" for low, high in pairwise(cuts)]
        rows: list[tuple[str, ...]] = []
        for title, counts in (("all", table.all_patients), ("event", table.cases), ("no event", table.controls)):
            rows += [(title, name, *map(str, row)) for name, row in zip(names, counts.tolist(), strict=True)]
        note = f"Risk by {self._time}. Who was censored before is among all alone."
        columns = ("patients", "covariates", *names)
        return self._table(
            f"reclassification_table_{each.category}", f"Risk with {each.label} added", columns, rows, note
        )

    def _label(self, name: str) -> str:
        if name == BASE:
            return "covariates"
        return next((each.label or each.name for each in self.settings.categories if each.name == name), name)

    def _bootstrap_note(self) -> str:
        table = self.settings.bootstrap
        how = f"{table.quantile_type}, {table.draws} draws, seed {table.seed}"
        return f"Percentile bootstrap with all models refitted ({how})."


def _ratio(line: TermRatio) -> tuple[str, str]:
    ratio: HazardRatio = line.ratio
    if line.is_reference:
        return "1 (reference)", ""
    if ratio.estimate is None:
        return ratio.reason or "-", p_value(ratio.p)
    return between(ratio, digits=2), p_value(ratio.p)


def _proportional(model: CoxModel, line: TermRatio) -> tuple[str, str]:
    """Return the p values of both tests: of the variable on its first line, of each term of the older test."""
    score, old = model.score_test, model.schoenfeld_test
    first = next((each for each in model.terms if each.variable == line.variable), None)
    by_variable = "" if score is None or first is not line else _p(score.terms.get(line.variable))
    return by_variable, "" if old is None else _p(old.terms.get(line.ratio.name))


def _p(test: ChiSquare | None) -> str:
    return "" if test is None else p_value(test.p)


def _whole_test(model: CoxModel) -> str:
    if model.score_test is None or model.schoenfeld_test is None:
        return f"Proportional hazards not tested: {model.proportionality_reason or 'no model'}."
    score, old = model.score_test, model.schoenfeld_test
    return (
        f"Proportional hazards, all terms: {score.test}, p {p_value(score.overall.p)}; {old.test}, "
        f"p {p_value(old.overall.p)}; time as {score.transform}."
    )


def _test(test: ChiSquare | None, reason: str | None) -> str:
    return reason or "-" if test is None else f"chi2 {test.statistic:.2f}, df {test.df}, p {p_value(test.p)}"
