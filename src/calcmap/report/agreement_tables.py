"""The tables of a study of agreement, as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from calcmap.evaluation.agreement import Weighting
from calcmap.evaluation.bland_altman import Limits, Ratios, VaryingLimits
from calcmap.evaluation.detection import Reclassified
from calcmap.evaluation.icc import Icc
from calcmap.evaluation.study import AgreementReport, PairAgreement, ScoreAgreement, ThreeWay
from calcmap.report.numerals import between, limits, p_value, percent
from calcmap.report.sentences import interval_name
from calcmap.report.tables import TextTable

WEIGHTS_NOTE = {
    Weighting.UNWEIGHTED: "unweighted: every disagreement counts all",
    Weighting.LINEAR: "linear: 1 - |i - j| / (k - 1)",
    Weighting.QUADRATIC: "quadratic: 1 - (i - j)^2 / (k - 1)^2",
}


def agreement_tables(report: AgreementReport) -> list[TextTable]:
    """Return the tables that this report has: those of scores and of a third reader where there are any."""
    tables = [
        _matrix(report, report.pair),
        _kappas(report),
        _detection(report),
        _reclassified(report),
        *([] if report.scores is None else _of_scores(report, report.scores)),
    ]
    if report.three_way is not None:
        tables += [
            _matrix(report, report.three_way.reference_visual),
            _matrix(report, report.three_way.test_visual),
            _comparison(report, report.three_way),
        ]
    if report.settings.is_simulated:
        return [replace(table, note=f"Simulated patients. {table.note}".strip()) for table in tables]
    return tables


def _matrix(report: AgreementReport, pair: PairAgreement) -> TextTable:
    names = report.settings.categories.names
    rows = [(name, *map(str, counts), str(sum(counts))) for name, counts in zip(names, pair.matrix, strict=True)]
    totals = [sum(row[column] for row in pair.matrix) for column in range(len(names))]
    whole = "concordance" if pair is report.pair else f"concordance_{pair.first}_{pair.second}"
    return TextTable(
        name=whole,
        title=f"Patients by category: rows {who(report, pair.first)}, columns {who(report, pair.second)}",
        columns=(pair.first, *(f"{pair.second} {name}" for name in names), "all"),
        rows=(*rows, ("all", *map(str, totals), str(sum(totals)))),
        note=f"Same category: {percent(pair.exact)} %.",
    )


def _kappas(report: AgreementReport) -> TextTable:
    pairs = [report.pair]
    if report.three_way is not None:
        pairs += [report.three_way.reference_visual, report.three_way.test_visual]
    rows = tuple(
        (f"{pair.first} and {pair.second}", kappa.value.weighting, between(kappa.value), limits(kappa.bootstrap))
        for pair in pairs
        for kappa in pair.kappas
    )
    note = f"{'; '.join(WEIGHTS_NOTE.values())}. {_bootstrap_note(report)}"
    columns = ("readers", "weights", f"kappa ({_interval(report)})", "bootstrap interval")
    return TextTable("kappa", f"Cohen's kappa of categories, n = {report.readings.n}", columns, rows, note)


def _detection(report: AgreementReport) -> TextTable:
    rows = tuple(
        (
            f"{each.from_category} or higher",
            *(percent(value) for value in (each.sensitivity, each.specificity, each.ppv, each.npv, each.accuracy)),
        )
        for each in report.pair.detections
    )
    columns = ("positive", "sensitivity %", "specificity %", "PPV %", "NPV %", "accuracy %")
    note = f"Wilson {_interval(report)}. The first row is any calcium. Predictive values hold at this prevalence."
    return TextTable("detection", f"{who(report, 'test')} against {who(report, 'reference')}", columns, rows, note)


def _reclassified(report: AgreementReport) -> TextTable:
    shifts = report.pair.shifts
    rows = tuple(_moved(each) for each in (shifts.overall, *shifts.by_reference))
    note = (
        f"One category apart {percent(shifts.by_one)} %, more {percent(shifts.by_more)} %; as many up as down: "
        f"exact sign test p {p_value(shifts.p_up_equals_down)}. Wilson {_interval(report)}."
    )
    columns = ("reference category", "patients", "up %", "same %", "down %")
    return TextTable("reclassified", "Patients whom the test puts higher or lower", columns, rows, note)


def _moved(moved: Reclassified) -> tuple[str, ...]:
    name = "all" if moved.reference_category is None else moved.reference_category
    return (name, str(moved.same.n), percent(moved.up), percent(moved.same), percent(moved.down))


def _of_scores(report: AgreementReport, scores: ScoreAgreement) -> list[TextTable]:
    return [
        _correlations(report, scores),
        _iccs(report, scores),
        _limits(report, scores),
        *_varying_limits(scores),
    ]


def _correlations(report: AgreementReport, scores: ScoreAgreement) -> TextTable:
    named = {
        "r2, scores": scores.r2_raw,
        "r2, log(1 + score)": scores.r2_log,
        "Spearman's rho": scores.spearman,
        "Lin's concordance, scores": scores.concordance_raw,
        "Lin's concordance, log(1 + score)": scores.concordance_log,
    }
    rows = tuple((name, between(each.value), limits(each.bootstrap)) for name, each in named.items())
    columns = ("", f"estimate ({_interval(report)})", "bootstrap interval")
    note = f"r2 by Fisher, rho by Bonett and Wright, Lin's by bootstrap. {_bootstrap_note(report)}"
    return TextTable("correlation", f"Scores of test and reference, n = {report.readings.n}", columns, rows, note)


def _iccs(report: AgreementReport, scores: ScoreAgreement) -> TextTable:
    rows = tuple(
        (raw.form.value, between(raw), _f_test(raw), between(log), _f_test(log))
        for raw, log in zip(scores.icc_raw, scores.icc_log, strict=True)
    )
    note = (
        f"Intervals by F ({_interval(report)}). Bootstrap of ICC(A,1): scores {limits(scores.icc_a1_raw)}, "
        f"log(1 + score) {limits(scores.icc_a1_log)}."
    )
    columns = ("form", "scores", "F test", "log(1 + score)", "F test of log")
    return TextTable("icc", f"Intraclass correlation, 2 readers, n = {report.readings.n}", columns, rows, note)


def _f_test(icc: Icc) -> str:
    if icc.f is None or icc.df1 is None or icc.df2 is None:
        return "-"
    return f"F({icc.df1:.0f}, {icc.df2:.1f}) = {icc.f:.3f}, p {p_value(icc.p)}"


def _limits(report: AgreementReport, scores: ScoreAgreement) -> TextTable:
    raw, log, ratios = scores.raw.limits, scores.log.limits, scores.ratios
    rows = (
        ("test - reference, Agatston", *_three(raw, digits=1), _sd(raw, digits=1)),
        ("log(1 + test) - log(1 + reference)", *_three(log, digits=3), _sd(log, digits=3)),
        ("(test + 1) / (reference + 1)", *_three(ratios, digits=2), "-"),
    )
    columns = ("difference", "bias", "lower limit", "upper limit", "SD")
    note = f"Bland and Altman; in brackets {_interval(report)} of bias and limits. 1 is no bias for the ratio."
    return TextTable("limits_of_agreement", f"Limits of agreement, n = {report.readings.n}", columns, rows, note)


def _three(found: Limits | Ratios, *, digits: int) -> tuple[str, ...]:
    return tuple(between(each, digits=digits) for each in (found.bias, found.lower, found.upper))


def _sd(found: Limits, *, digits: int) -> str:
    return "-" if found.sd is None else f"{found.sd:.{digits}f}"


def _varying_limits(scores: ScoreAgreement) -> Iterator[TextTable]:
    for name, varying, digits in (("raw", scores.raw.varying, 1), ("log", scores.log.varying, 3)):
        if varying is not None:
            yield _places(name, varying, digits=digits)


def _places(name: str, varying: VaryingLimits, *, digits: int) -> TextTable:
    rows = tuple(
        tuple("-" if value is None else f"{value:.{digits}f}" for value in (at.mean, at.bias, at.lower, at.upper))
        for at in varying.places
    )
    note = (
        f"Slope of the difference {between(varying.bias.slope, digits=3)}, p {p_value(varying.bias.p)}; slope of the "
        f"absolute residual {between(varying.spread.slope, digits=3)}, p {p_value(varying.spread.p)}. "
        "At the least, the quartiles and the greatest mean of both, each once."
    )
    what = "scores" if name == "raw" else "log(1 + score)"
    columns = ("mean of both", "bias", "lower limit", "upper limit")
    return TextTable(f"varying_limits_{name}", f"Limits that vary with the mean, {what}", columns, rows, note)


def _comparison(report: AgreementReport, three_way: ThreeWay) -> TextTable:
    rows = tuple(
        (
            f"{' and '.join(each.first)} less {' and '.join(each.second)}",
            each.weighting.value,
            between(each.difference),
            p_value(each.difference.p),
            limits(each.bootstrap),
            p_value(each.bootstrap_p),
        )
        for each in three_way.contrasts
    )
    equal = "; ".join(
        f"{weighting} p {p_value(test.p)}" for weighting, test in zip(Weighting, three_way.equality, strict=True)
    )
    right = three_way.right
    note = (
        f"Same patients; p of the delta method (normal) and of the bootstrap, not adjusted for their number. All three "
        f"kappas equal (Hotelling): {equal}. In the reference's category: test alone {right.test_only}, visual alone "
        f"{right.visual_only}, McNemar p {p_value(right.p)}. {_bootstrap_note(report)}"
    )
    columns = ("difference of kappas", "weights", "delta method", "p", "bootstrap interval", "bootstrap p")
    return TextTable("kappa_comparison", f"Three readers compared, n = {report.readings.n}", columns, rows, note)


def who(report: AgreementReport, part: str) -> str:
    """Return a reader with the column that it stands in."""
    return f"{part} ({report.readings.by_part[part].name})"


def _interval(report: AgreementReport) -> str:
    return interval_name(report.settings.confidence)


def _bootstrap_note(report: AgreementReport) -> str:
    settings = report.settings
    return f"Bootstrap of patients: {settings.interval}, {settings.draws} draws, seed {settings.seed}."
