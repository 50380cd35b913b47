"""``report.html`` of a study of agreement: its results in sentences, with its tables and figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from calcmap.evaluation.agreement import Weighting
from calcmap.evaluation.bland_altman import Line, VaryingLimits
from calcmap.evaluation.detection import Detection
from calcmap.evaluation.study import REFERENCE, TEST, VISUAL, AgreementReport, PairAgreement, ScoreAgreement, ThreeWay
from calcmap.report.agreement_tables import agreement_tables, who
from calcmap.report.page import Block, Page, Paragraph, Picture, Section
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
from calcmap.statistics.bootstrap import DrawnInterval
from calcmap.statistics.estimates import Estimate


def agreement_page(report: AgreementReport, *, pictures: Mapping[str, bytes], table_sha256: str = "") -> Page:
    """Return the report's page.

    Parameters
    ----------
    report : AgreementReport
        What `assess_agreement` found.
    pictures : mapping of str to bytes
        PNG of each of `agreement_figures`, by name.
    table_sha256 : str
        Hash of the table that was read; left out when empty.

    Returns
    -------
    Page
        Sentences, tables and pictures in the order in which they are read.
    """
    tables = {table.name: table for table in agreement_tables(report)}
    shown_pictures = {name: _picture(report, name, png) for name, png in pictures.items()}
    sections = [
        Section("Patients and readings", (_readings(report),)),
        Section(
            "Agreement of categories",
            (_categories(report), tables["concordance"], shown_pictures["concordance"], tables["kappa"]),
        ),
        Section("Detection at each cut", (_detection(report), tables["detection"])),
        Section("Patients who change category", (_moved(report), tables["reclassified"])),
    ]
    if report.scores is not None:
        sections += _score_sections(report, report.scores, tables, shown_pictures)
    if report.three_way is not None:
        sections.append(_three_readers(report, report.three_way, tables, shown_pictures))
    sections += [
        Section("Methods", (_methods(report),)),
        Section("Notes and provenance", _provenance(report, table_sha256=table_sha256)),
    ]
    return Page(
        title="Agreement of calcium readings",
        lead=f"{capital(who(report, TEST))} against {who(report, REFERENCE)}; {_people(report, report.readings.n)}.",
        sections=tuple(sections),
        made_by=MADE_BY,
        is_simulated=report.settings.is_simulated,
    )


def _people(report: AgreementReport, n: int) -> str:
    return counted(n, f"{_kind(report)}patient")


def _kind(report: AgreementReport) -> str:
    return "simulated " if report.settings.is_simulated else ""


def _result(*sentences: str) -> Paragraph:
    return Paragraph(sentences, is_result=True)


def _picture(report: AgreementReport, name: str, png: bytes) -> Picture:
    caption = _caption(report, name)
    return Picture(name, png, caption, alt=f"{caption} Its numbers are in the tables.")


def _caption(report: AgreementReport, name: str) -> str:
    people = _people(report, report.readings.n)
    if name.startswith("concordance"):
        first, second = REFERENCE, TEST
        if name != "concordance":
            _, first, second = name.split("_")
        return f"Category by {first} (rows) and by {second} (columns) of {people}; per cent of each row."
    if name == "scatter_log":
        return f"Scores by reference and by test of {people}, on the scale log(1 + score), with the line of identity."
    scale = "scores" if name.endswith("raw") else "log(1 + score)"
    return (
        f"Test less reference against their mean, {scale}, of {people}: bias (solid) and limits of agreement (dashed) "
        "with intervals (bands); orange, where they can be fitted, lines of bias and limits that vary with the mean."
    )


def _readings(report: AgreementReport) -> Paragraph:
    readings = report.readings
    columns = listed(
        f"{part} in column {reading.name} ({reading.kind.value})" for part, reading in readings.by_part.items()
    )
    sentences = [f"The readings of {_people(report, readings.n)} were compared: {columns}."]
    if readings.n_dropped:
        rows = counted(readings.n_dropped, f"row of {_kind(report)}patients", f"rows of {_kind(report)}patients")
        sentences.append(f"A reading was missing in {rows}, which were left out.")
    return _result(*sentences)


def _categories(report: AgreementReport) -> Paragraph:
    pair, confidence = report.pair, report.settings.confidence
    same = sum(pair.matrix[k][k] for k in range(len(pair.matrix)))
    sentences = [
        f"Test and reference put {same:,} of {_people(report, pair.exact.n)} into the same category, "
        f"{worded_percent(pair.exact, confidence=confidence)} ([[concordance]], [[figure.concordance]])."
    ]
    sentences += [_kappa(report, pair, weighting) for weighting in Weighting]
    return _result(*sentences)


def _kappa(report: AgreementReport, pair: PairAgreement, weighting: Weighting) -> str:
    kappa = next(each for each in pair.kappas if each.value.weighting is weighting)
    name = f"Cohen's kappa{'' if weighting is Weighting.UNWEIGHTED else f' with {weighting.value} weights'}"
    told = f"{name} of the {_kind(report)}patients was {worded(kappa.value, confidence=report.settings.confidence)}"
    if kappa.value.estimate is None:
        return f"{told}."
    claim = shown(
        kappa.value,
        0.0,
        above="agreement beyond chance is shown",
        below="agreement is less than by chance",
        none="no agreement beyond chance is shown",
    )
    return f"{told}, by bootstrap {_drawn(kappa.bootstrap)}: {claim}."


def _detection(report: AgreementReport) -> Paragraph:
    return _result(*(_one_cut(report, each) for each in report.pair.detections))


def _one_cut(report: AgreementReport, found: Detection) -> str:
    confidence = report.settings.confidence
    return (
        f"For category {found.from_category} or higher the sensitivity in the {_kind(report)}patients was "
        f"{worded_percent(found.sensitivity, confidence=confidence)} and the specificity "
        f"{worded_percent(found.specificity, confidence=confidence)}."
    )


def _moved(report: AgreementReport) -> Paragraph:
    shifts, confidence = report.pair.shifts, report.settings.confidence
    whole = shifts.overall
    p = shifts.p_up_equals_down
    if p is None:
        claim = "no patient moved, so that no direction can be tested"
    elif not is_small(p, confidence=confidence):
        claim = f"no difference between moves up and down is shown ({worded_p(p)})"
    else:
        often = "up" if (whole.up.estimate or 0.0) > (whole.down.estimate or 0.0) else "down"
        claim = f"moves {often} were the more frequent ({worded_p(p)})"
    up, down, more = (worded_percent(share, confidence=confidence) for share in (whole.up, whole.down, shifts.by_more))
    return _result(
        f"Of {_people(report, whole.same.n)} the test put {up} into a higher category than the reference, and {down} "
        f"into a lower one; {claim}.",
        f"Of the {_kind(report)}patients {more} moved by more than one category ([[reclassified]]).",
    )


def _score_sections(
    report: AgreementReport, scores: ScoreAgreement, tables: dict[str, TextTable], pictures: dict[str, Picture]
) -> list[Section]:
    varying = [tables[name] for name in ("varying_limits_raw", "varying_limits_log") if name in tables]
    return [
        Section(
            "Correlation of scores",
            (_correlations(report, scores), tables["correlation"], tables["icc"], pictures["scatter_log"]),
        ),
        Section(
            "Limits of agreement",
            (
                _limits(report, scores),
                tables["limits_of_agreement"],
                pictures["bland_altman_raw"],
                pictures["bland_altman_log"],
                *varying,
            ),
        ),
    ]


def _correlations(report: AgreementReport, scores: ScoreAgreement) -> Paragraph:
    confidence, kind = report.settings.confidence, _kind(report)
    icc = next(each for each in scores.icc_log if each.form.value == "ICC(A,1)")
    sentences = [
        f"The squared correlation of the scores of the {kind}patients was "
        f"{worded(scores.r2_raw.value, digits=3, confidence=confidence)}, that of log(1 + score) "
        f"{worded(scores.r2_log.value, digits=3, confidence=confidence)}.",
        f"Spearman's rho of the {kind}patients' scores was "
        f"{worded(scores.spearman.value, digits=3, confidence=confidence)}, and Lin's concordance of log(1 + score) "
        f"{worded(scores.concordance_log.value, digits=3, confidence=confidence)} ([[correlation]]).",
        f"The intraclass correlation {icc.form.value} of log(1 + score) in the {kind}patients was "
        f"{worded(icc, digits=3, confidence=confidence)} ([[icc]]).",
    ]
    return _result(*sentences)


def _limits(report: AgreementReport, scores: ScoreAgreement) -> Paragraph:
    confidence, kind = report.settings.confidence, _kind(report)
    raw, ratios = scores.raw.limits, scores.ratios
    bias = shown(
        raw.bias,
        0.0,
        above="the test read higher on average",
        below="the test read lower on average",
        none="no bias is shown",
    )
    ratio = shown(
        ratios.bias,
        1.0,
        above="the test read higher in ratio",
        below="the test read lower in ratio",
        none="no bias in ratio is shown",
    )
    mean, lower, upper = (worded(each, digits=1, confidence=confidence) for each in (raw.bias, raw.lower, raw.upper))
    return _result(
        f"Test less reference was {mean} Agatston units in the mean of the {kind}patients: {bias}.",
        f"The limits of agreement of the {kind}patients' scores were {lower} and {upper} ([[limits_of_agreement]], "
        "[[figure.bland_altman_raw]]).",
        f"As a ratio, (test + 1) / (reference + 1) of the {kind}patients was "
        f"{worded(ratios.bias, confidence=confidence)}, with limits from {_value(ratios.lower)} to "
        f"{_value(ratios.upper)}: {ratio}.",
        *_varying(report, scores.raw.varying),
    )


def _varying(report: AgreementReport, varying: VaryingLimits | None) -> Iterator[str]:
    if varying is None:
        return
    for what, line in (("bias", varying.bias), ("spread of the differences", varying.spread)):
        yield f"The {what} of the {_kind(report)}patients' scores {_trend(line)}."


def _trend(line: Line) -> str:
    clause = shown(
        line.slope,
        0.0,
        above="rose with the mean of both readings",
        below="fell with the mean of both readings",
        none="shows no change with the mean of both readings",
    )
    return f"{clause} ({worded_p(line.p)})"


def _three_readers(
    report: AgreementReport, three_way: ThreeWay, tables: dict[str, TextTable], pictures: dict[str, Picture]
) -> Section:
    names = [f"concordance_{pair.first}_{pair.second}" for pair in (three_way.reference_visual, three_way.test_visual)]
    blocks: list[Block] = [_contrasts(report, three_way), tables["kappa_comparison"]]
    for name in names:
        blocks += [tables[name], pictures[name]]
    return Section("Three readers", tuple(blocks))


def _contrasts(report: AgreementReport, three_way: ThreeWay) -> Paragraph:
    confidence, kind = report.settings.confidence, _kind(report)
    sentences = []
    for contrast in three_way.contrasts:
        if contrast.weighting is not Weighting.LINEAR:
            continue
        first, second = (" and ".join(pair) for pair in (contrast.first, contrast.second))
        claim = shown(
            contrast.difference,
            0.0,
            above=f"{first} agreed better than {second}",
            below=f"{first} agreed less well than {second}",
            none="no difference is shown",
        )
        told = worded(contrast.difference, digits=3, confidence=confidence)
        ending = "" if contrast.difference.estimate is None else f" ({worded_p(contrast.difference.p)}): {claim}"
        sentences.append(
            f"In the same {kind}patients the linear weighted kappa of {first} less that of {second} was {told}{ending}."
        )
    right = three_way.right
    hits = "who hits it more often cannot be tested" if right.p is None else f"McNemar's exact {worded_p(right.p)}"
    if right.p is not None and not is_small(right.p, confidence=confidence):
        hits += ", no difference shown"
    sentences.append(
        f"The reference's category of the {kind}patients was found by the {TEST} alone in {right.test_only:,} and by "
        f"the {VISUAL} alone in {right.visual_only:,}: {hits}."
    )
    return _result(*sentences)


def _methods(report: AgreementReport) -> Paragraph:
    settings = report.settings
    sentences = [
        f"Scores were put into the categories {', '.join(settings.categories.names)} by the cuts "
        f"{', '.join(f'{cut:g}' for cut in settings.categories.cuts)}, not rounded first.",
        f"Every interval covers {100 * settings.confidence:g} %; one that covers the value of no effect is reported as "
        "no difference shown, and p values are two-sided and not adjusted for their number.",
        "Kappa is Cohen's, with the large-sample standard error of Fleiss, Cohen and Everitt; shares have Wilson's "
        "interval; moves up and down are compared by the exact sign test.",
    ]
    if report.scores is not None:
        sentences.append(
            "The squared Pearson correlation has Fisher's interval, Spearman's rho that of Bonett and Wright, Lin's "
            "concordance that of the bootstrap, intraclass correlations (McGraw and Wong) those of F; limits of "
            "agreement are Bland and Altman's, constant and by regression on the mean."
        )
    if report.three_way is not None:
        sentences.append(
            "Kappas of the same patients were compared by the delta method over the joint multinomial, and hits of the "
            "reference's category by McNemar's exact test."
        )
    sentences.append(
        f"Patients were resampled {settings.draws:,} times (seed {settings.seed}); the bootstrap's limits are of the "
        f"kind {settings.interval.value}."
    )
    return Paragraph(tuple(sentences))


def _provenance(report: AgreementReport, *, table_sha256: str) -> tuple[Block, ...]:
    notes = Paragraph(tuple(f"{capital(note)}." for note in report.notes))
    return (notes, *provenance_blocks(report.settings, table_sha256=table_sha256))


def _drawn(interval: DrawnInterval) -> str:
    if interval.low is None or interval.high is None:
        return f"without interval ({interval.reason or 'too few draws'})"
    return f"{interval.low:.2f} to {interval.high:.2f}"


def _value(estimate: Estimate) -> str:
    return "not estimable" if estimate.estimate is None else f"{estimate.estimate:.2f}"
