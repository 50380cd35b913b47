"""``agreement.json``: every number of a study of agreement, under names that stay."""

from __future__ import annotations

from dataclasses import asdict

from calcmap import __version__
from calcmap.core.config import config_to_dict
from calcmap.evaluation.icc import Icc
from calcmap.evaluation.study import (
    REFERENCE,
    AgreementReport,
    PairAgreement,
    ResampledKappa,
    ScoreAgreement,
    ThreeWay,
)
from calcmap.report.plain_json import Json, plain_json
from calcmap.report.provenance import settings_sha256
from calcmap.statistics.bootstrap import DrawnInterval
from calcmap.statistics.estimates import Estimate


def agreement_to_json(report: AgreementReport) -> Json:
    """Return a report as JSON-ready dicts; what is not defined is ``null`` with a reason beside it.

    The number of processes is left out: no result depends on it.
    """
    settings, readings = report.settings, report.readings
    columns = {part: {"column": reading.name, "kind": str(reading.kind)} for part, reading in readings.by_part.items()}
    whole: Json = {
        "made_by": f"CalcMap {__version__}; research use only",
        "n": readings.n,
        "n_dropped": readings.n_dropped,
        "columns": columns,
        "categories": {"names": list(settings.categories.names), "cuts": list(settings.categories.cuts)},
        "confidence": settings.confidence,
        **_pair(report.pair),
        "r2": report.r2.estimate,
        "r2_interval": {"of": "category numbers" if report.scores is None else "scores", **_estimate(report.r2)},
        "scores": None if report.scores is None else _scores(report.scores),
        "three_way": None if report.three_way is None else _three_way(report.three_way),
        "notes": list(report.notes),
        "settings": {name: value for name, value in config_to_dict(settings).items() if name != "workers"},
        "settings_sha256": settings_sha256(settings),
    }
    plain: Json = plain_json(whole)
    return plain


def _pair(pair: PairAgreement) -> Json:
    return {
        "matrix": [list(row) for row in pair.matrix],
        "matrix_axes": {"rows": pair.first, "columns": pair.second},
        **{f"kappa_{kappa.value.weighting}": _kappa(kappa) for kappa in pair.kappas},
        "exact_agreement": _estimate(pair.exact),
        "detection": [asdict(each) for each in pair.detections],
        "reclassified": asdict(pair.shifts),
    }


def _kappa(kappa: ResampledKappa) -> Json:
    value = kappa.value
    return {
        **_estimate(value),
        "standard_error": value.standard_error,
        "weighting": value.weighting,
        "bootstrap": _drawn(kappa.bootstrap),
    }


def _scores(scores: ScoreAgreement) -> Json:
    correlations = {
        name: {**_estimate(getattr(scores, name).value), "bootstrap": _drawn(getattr(scores, name).bootstrap)}
        for name in ("r2_raw", "r2_log", "spearman", "concordance_raw", "concordance_log")
    }
    return {
        **correlations,
        "icc_raw": _iccs(scores.icc_raw),
        "icc_raw_a1_bootstrap": _drawn(scores.icc_a1_raw),
        "icc_log": _iccs(scores.icc_log),
        "icc_log_a1_bootstrap": _drawn(scores.icc_a1_log),
        "bland_altman_raw": asdict(scores.raw),
        "bland_altman_log": asdict(scores.log),
        "bland_altman_ratios": asdict(scores.ratios),
    }


def _iccs(iccs: tuple[Icc, ...]) -> Json:
    return {icc.form: asdict(icc) for icc in iccs}


def _three_way(three_way: ThreeWay) -> Json:
    contrasts = [
        {
            "first": list(contrast.first),
            "second": list(contrast.second),
            "weighting": contrast.weighting,
            "delta_method": asdict(contrast.difference),
            "bootstrap": {**_drawn(contrast.bootstrap), "p": contrast.bootstrap_p},
        }
        for contrast in three_way.contrasts
    ]
    return {
        "reference_visual": _pair(three_way.reference_visual),
        "test_visual": _pair(three_way.test_visual),
        "kappa_differences": contrasts,
        "kappas_equal": [asdict(each) for each in three_way.equality],
        f"hits_of_{REFERENCE}": asdict(three_way.right),
    }


def _estimate(estimate: Estimate) -> Json:
    return {
        "estimate": estimate.estimate,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "reason": estimate.reason,
    }


def _drawn(interval: DrawnInterval) -> Json:
    return asdict(interval)
