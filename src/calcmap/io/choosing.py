"""Which series of a study is the attenuation CT, with a reason for each one taken or left.

Rules come in two kinds. A veto says that a series can never be it. A criterion gives or takes points. Each is a small
function that returns a `Finding`, whose text is the reason that a user reads. The weights are ours: what a nuclear
series says of its own correction outweighs everything, names outweigh geometry, geometry outweighs habits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from calcmap.core.errors import (
    InputError,
    NoScorableSeriesError,
    NotAnImageError,
    NotHounsfieldError,
    OrientationError,
    TooFewSlicesError,
    WrongModalityError,
)
from calcmap.core.scan import SeriesCandidate, SeriesChoice, Verdict
from calcmap.io.headers import CLASSIC_CT, ENHANCED_CT
from calcmap.io.series_facts import NuclearContext, SeriesFacts, nuclear_context, series_facts
from calcmap.io.slices import is_localizer
from calcmap.io.stacking import MIN_NORMAL_Z, MIN_SLICES
from calcmap.io.study import Series, Study

USUAL_COVERAGE_MM = 100.0
USUAL_INCREMENT_MM = (1.0, 6.0)
USUAL_SLICES = 15
"""What attenuation CTs of the heart have; less speaks against a series without ruling it out."""

GATED_MAX_THICKNESS_MM = 3.0
"""Calcium scans are reconstructed at 2.5 or 3 mm; attenuation CTs usually thicker."""

_ATTENUATION_WORDS = re.compile(
    r"\bct[ _-]?ac|\bac[ _-]*(?:ct|rest|stress|\d)|ctac|att?en|\bac\b|\bxct\b|low[ _-]?dose|\bldct\b|\bwb[ _-]?ct"
)
_MU_MAP_WORDS = re.compile(r"ctacmap|acmap|mu[ _-]?map|µ[ _-]?map|umap|transform")
_CALCIUM_SCAN_WORDS = re.compile(r"ca[ _-]?sc|calc|cacs|agatston|score")
_CONTRAST_WORDS = re.compile(
    r"\bcta\b|angio|\bccta\b|(?<!non)(?<!non[ -])(?<!without )(?<!no )(?<!w/o )contrast|\bkm\b"
)
_PROJECTION_TYPES = frozenset({"MIP", "MINIP", "VRT", "VOLUME RENDERING", "PROJECTION IMAGE", "SSD"})
_REFORMATTED_TYPES = frozenset({"MPR", "REFORMATTED", "CSA MPR"})
_STRESS_WORDS = re.compile(r"stress|adeno|regad|exerc")
_REST_WORDS = re.compile(r"\brest|\bruhe")
_SOFT_KERNELS = re.compile(
    r"^(b|br|bf|h|hr|j|i|qr)?0*([0-4]\d)[a-z]*(\W.*)?$|^fc0?[0-1]?\d$|soft|stand|body|^[abc]$|smooth"
)
_SHARP_KERNELS = re.compile(
    r"^(b|br|bl|h|hr|j|i|qr)?0*([5-9]\d)[a-z]*(\W.*)?$|^fc[3-8]\d$|lung|bone|edge|detail|sharp|^[del]$|^y"
)


@dataclass(frozen=True)
class Finding:
    """What one rule says of a series."""

    text: str
    points: float = 0.0
    error: type[InputError] | None = None
    """Set by vetoes: the class of the refusal when this is the only series."""


Rule: TypeAlias = Callable[[SeriesFacts, NuclearContext], Finding | None]


@dataclass(frozen=True)
class _Judged:
    """A series with everything the rules say of it."""

    series: Series
    facts: SeriesFacts | None
    vetoes: tuple[Finding, ...]
    findings: tuple[Finding, ...]

    @property
    def points(self) -> float:
        return sum(finding.points for finding in self.findings)


def choose_series(study: Study, *, series_uid: str | None = None) -> SeriesChoice:
    """Return the series to score, and why each series of the study was taken or left.

    Of the series without a veto the one with most points is taken; ties go to the one with more slices, then to the
    later one, then to the smaller UID. The order of series and files does not matter.

    Parameters
    ----------
    study : Study
        From ``finding.find_studies``.
    series_uid : str, optional
        Takes this series whatever the rules say; whether it can be read is for ``reading.load_scan`` to find out.

    Returns
    -------
    SeriesChoice
        ``chosen`` is ``None`` when every series has a veto, or there is none; ``refusal`` then says why.

    Raises
    ------
    SeriesNotFoundError
        ``series_uid`` is not in the study.
    """
    context = nuclear_context(study)
    judged = [_judge(series, context) for series in study.series]
    if series_uid is not None:
        return _asked_for(judged, study.find_series(series_uid).uid)
    usable = sorted((one for one in judged if not one.vetoes), key=_order)
    candidates = [_usable_candidate(one, rank, usable[0]) for rank, one in enumerate(usable, start=1)]
    candidates += [_vetoed_candidate(one) for one in judged if one.vetoes]
    if usable:
        return SeriesChoice(candidates[0], tuple(candidates))
    return SeriesChoice(None, tuple(candidates), _refusal(study, judged))


def _judge(series: Series, context: NuclearContext) -> _Judged:
    if series.image is not None:
        return _Judged(series, None, (), (Finding("the only image of the file"),))
    facts = series_facts(series)
    vetoes = [finding for rule in VETOES if (finding := rule(facts, context)) is not None]
    findings = [finding for rule in CRITERIA if (finding := rule(facts, context)) is not None]
    return _Judged(series, facts, tuple(vetoes), tuple(findings))


def _order(one: _Judged) -> tuple[float, int, tuple[int, ...], str]:
    acquired_at = one.facts.acquired_at if one.facts else ""
    later_first = tuple(-ord(character) for character in acquired_at)
    return -one.points, -one.series.n_images, later_first, one.series.uid


def _usable_candidate(one: _Judged, rank: int, best: _Judged) -> SeriesCandidate:
    if one is best:
        good = [finding.text for finding in one.findings if finding.points >= 0]
        bad = [finding.text for finding in one.findings if finding.points < 0]
        reason = "taken: " + ("; ".join(good) or "the only CT that can be scored")
        return _candidate(one, Verdict.CHOSEN, reason + (f" (though {'; '.join(bad)})" if bad else ""), rank)
    return _candidate(one, Verdict.REJECTED, _left_reason(one, best), rank)


def _left_reason(one: _Judged, best: _Judged) -> str:
    """Return why another usable series was left: its own drawbacks, then what the chosen one has more."""
    drawbacks = [finding.text for finding in one.findings if finding.points < 0]
    own = {finding.text for finding in one.findings}
    advantages = [finding for finding in best.findings if finding.points > 0 and finding.text not in own]
    advantages.sort(key=lambda finding: -finding.points)
    if advantages:
        better = f"the series taken fits better ({'; '.join(finding.text for finding in advantages[:2])})"
    elif one.points < best.points:
        better = "the series taken has no such drawback"
    else:
        better = "equal by every rule, and the series taken has more slices, is later or comes first by UID"
    return "left: " + "; ".join([*drawbacks, better])


def _vetoed_candidate(one: _Judged) -> SeriesCandidate:
    return _candidate(one, Verdict.REJECTED, f"left: {'; '.join(veto.text for veto in one.vetoes)}", None)


def _candidate(one: _Judged, verdict: Verdict, reason: str, rank: int | None) -> SeriesCandidate:
    series = one.series
    return SeriesCandidate(series.uid, series.modality, series.description, series.n_images, verdict, reason, rank=rank)


def _asked_for(judged: Sequence[_Judged], uid: str) -> SeriesChoice:
    candidates = []
    for one in sorted(judged, key=lambda one: one.series.uid != uid):
        if one.series.uid == uid:
            doubts = "; ".join(finding.text for finding in (*one.vetoes, *one.findings) if finding.points <= 0)
            reason = "taken: asked for by its UID" + (f" (though {doubts})" if doubts else "")
            candidates.append(_candidate(one, Verdict.CHOSEN, reason, 1))
        else:
            candidates.append(_candidate(one, Verdict.REJECTED, "left: another series was asked for", None))
    return SeriesChoice(candidates[0], tuple(candidates))


def _refusal(study: Study, judged: Sequence[_Judged]) -> InputError:
    """Return the error for a study in which nothing can be scored."""
    if len(judged) == 1:
        veto = judged[0].vetoes[0]
        return (veto.error or NoScorableSeriesError)(f"the only series cannot be scored: {veto.text}")
    if judged:
        reasons = "; ".join(f"{one.series.modality} series: {one.vetoes[0].text}" for one in judged)
        return NoScorableSeriesError(f"none of {len(judged)} series can be the attenuation CT: {reasons}")
    if not study.problems:
        return NoScorableSeriesError("no image was found, expected a CT series, NIfTI, NRRD or MHA")
    damaged = [problem for problem in study.problems if not isinstance(problem.error, NotAnImageError)]
    first = (damaged or study.problems)[0]
    more = f" (and {len(study.problems) - 1} more)" if len(study.problems) > 1 else ""
    return type(first.error)(f"nothing readable was found: {first.error}{more}")


# Vetoes: a series with one of these can never be the attenuation CT.


def _is_no_ct(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    if facts.modality == "CT":
        return None
    return Finding(f"its modality is {facts.modality or 'absent'}, not CT", error=WrongModalityError)


def _is_mu_map(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    if not _MU_MAP_WORDS.search(facts.words):
        return None
    return Finding("an attenuation map made from the CT, not the CT itself in HU", error=NotHounsfieldError)


def _is_no_ct_object(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    if facts.modality != "CT" or facts.sop_class_uid in (CLASSIC_CT, *ENHANCED_CT):
        return None
    return Finding("a secondary capture or another object that holds no HU", error=NotHounsfieldError)


def _is_picture(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    if facts.modality != "CT" or (facts.has_enough_bits and facts.has_rescale):
        return None
    what = "no rescale to HU" if facts.has_enough_bits else "eight bits a pixel, a windowed picture"
    return Finding(f"{what}", error=NotHounsfieldError)


def _is_localizer_only(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    if facts.n_axial_images > 0 or not is_localizer(tuple(facts.image_types)):
        return None
    return Finding("a localizer", error=NoScorableSeriesError)


def _is_projection(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    kinds = facts.image_types & _PROJECTION_TYPES
    if not kinds:
        return None
    return Finding(f"a projection made from another series ({', '.join(sorted(kinds))})", error=NoScorableSeriesError)


def _is_not_axial(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    if facts.normal_z is None or facts.normal_z >= MIN_NORMAL_Z:
        return None
    return Finding("slices are coronal or sagittal, not axial", error=OrientationError)


def _has_too_few_slices(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    if facts.modality != "CT" or facts.n_axial_images == 0 or facts.n_axial_images >= MIN_SLICES:
        return None
    return Finding(f"{facts.n_axial_images} slices, expected at least {MIN_SLICES}", error=TooFewSlicesError)


def _is_enhanced_by_contrast(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    if facts.modality != "CT":
        return None
    if facts.contrast is not None:
        return Finding("contrast agent was given into the vessels", error=NoScorableSeriesError)
    if _CONTRAST_WORDS.search(facts.words):
        return Finding("its description names contrast or angiography", error=NoScorableSeriesError)
    return None


VETOES: tuple[Rule, ...] = (
    _is_no_ct,
    _is_mu_map,
    _is_no_ct_object,
    _is_picture,
    _is_localizer_only,
    _is_projection,
    _is_not_axial,
    _has_too_few_slices,
    _is_enhanced_by_contrast,
)


# Criteria: points for and against.


def _named_by_nuclear_series(facts: SeriesFacts, context: NuclearContext) -> Finding | None:
    if facts.uid not in context.corrected_with:
        return None
    return Finding("the nuclear images name it as their attenuation correction", 1000.0)


def _named_as_attenuation_ct(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    if not _ATTENUATION_WORDS.search(facts.words):
        return None
    return Finding("its description names an attenuation or low-dose CT", 40.0)


def _shares_nuclear_frame(facts: SeriesFacts, context: NuclearContext) -> Finding | None:
    if facts.frame_of_reference not in context.frames_of_reference:
        return None
    return Finding("it shares the frame of reference of the nuclear images", 20.0)


def _is_gated_calcium_scan(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    is_thin = facts.thickness_mm is not None and facts.thickness_mm <= GATED_MAX_THICKNESS_MM
    evidence = facts.gating
    if evidence is None and is_thin and _CALCIUM_SCAN_WORDS.search(facts.words):
        evidence = "its name, and slices of 3 mm or less"
    if evidence is None:
        return None
    return Finding(f"a heart-gated or calcium scan ({evidence}), the attenuation CT is preferred", -60.0)


def _is_reformatted(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    # Some scanners mark every axial reconstruction so: it speaks against a series, it does not rule it out.
    if facts.image_types.isdisjoint(_REFORMATTED_TYPES):
        return None
    return Finding("reformatted from another series (MPR)", -15.0)


def _has_usual_increment(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    if facts.increment_mm is None:
        return Finding("slice positions are absent", -30.0)
    low, high = USUAL_INCREMENT_MM
    if low <= facts.increment_mm <= high:
        return Finding(f"slices lie {facts.increment_mm:.3g} mm apart", 5.0)
    return Finding(f"slices lie {facts.increment_mm:.3g} mm apart, usual are {low:g} to {high:g}", -10.0)


def _has_usual_coverage(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    if facts.coverage_mm is None:
        return None
    if facts.coverage_mm >= USUAL_COVERAGE_MM and facts.n_axial_images >= USUAL_SLICES:
        return Finding(f"it covers {facts.coverage_mm:.0f} mm", 10.0)
    return Finding(f"{facts.n_axial_images} slices cover only {facts.coverage_mm:.0f} mm", -10.0)


def _stress_before_rest(facts: SeriesFacts, context: NuclearContext) -> Finding | None:
    if _STRESS_WORDS.search(facts.words):
        return Finding("it belongs to the stress study", 3.0)
    if _REST_WORDS.search(facts.words):
        return Finding("it belongs to the rest study, stress is preferred", -3.0)
    # The CT's own name often does not tell; the nuclear images that it corrected do.
    told = context.words.get(facts.uid) or context.words.get(facts.frame_of_reference, "")
    is_stress, is_rest = bool(_STRESS_WORDS.search(told)), bool(_REST_WORDS.search(told))
    if is_stress == is_rest:
        return None
    if is_stress:
        return Finding("by the nuclear images it belongs to the stress study", 3.0)
    return Finding("by the nuclear images it belongs to the rest study, stress is preferred", -3.0)


def _has_soft_kernel(facts: SeriesFacts, _: NuclearContext) -> Finding | None:
    kernel = facts.kernel.split("\\")[0].strip().lower()
    if _SHARP_KERNELS.search(kernel):
        return Finding(f"a sharp kernel ({kernel.upper()})", -8.0)
    if _SOFT_KERNELS.search(kernel):
        return Finding(f"a soft kernel ({kernel.upper()})", 2.0)
    return None


CRITERIA: tuple[Rule, ...] = (
    _named_by_nuclear_series,
    _named_as_attenuation_ct,
    _shares_nuclear_frame,
    _is_gated_calcium_scan,
    _is_reformatted,
    _has_usual_increment,
    _has_usual_coverage,
    _stress_before_rest,
    _has_soft_kernel,
)
