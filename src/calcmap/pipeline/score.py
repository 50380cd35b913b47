"""From a study to its result: choose, read, check, segment, check, score."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from calcmap import __version__
from calcmap.core.config import config_sha256
from calcmap.core.errors import InputError, NoScorableSeriesError, UnfitScanError
from calcmap.core.result import Confidence, HeartSummary, Percentile, Provenance, Status, StudyResult
from calcmap.core.scan import QualityFlag, Scan, SeriesChoice, Severity
from calcmap.core.volume import BoolArray, Label, Labels, UInt8Array, Volume
from calcmap.io.choosing import choose_series
from calcmap.io.reading import load_scan
from calcmap.io.study import Study
from calcmap.quality import assess_heart, assess_scan
from calcmap.scoring.agatston import Scoring, score_volume
from calcmap.scoring.categories import paper_category
from calcmap.scoring.percentiles import Ethnicity, arterial_age_years, hoff_percentile, mesa_percentile
from calcmap.scoring.rules import AgatstonRule, get_profile, rule_for_kvp
from calcmap.segmentation.cascade import Cascade, Segmentation

CALIBRATED_PROFILE = "clinical"
"""The rule whose scores the confidence was calibrated with."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreOptions:
    """What a user may ask for.

    Parameters
    ----------
    profile : str
        Name of the Agatston rule.
    series_uid : str or None
        Score this series, whatever the choosing would have taken.
    adapt_threshold_to_kvp : bool
        Use thresholds for the scan's tube voltage instead of 130 HU. Such scores are not Agatston scores.
    ethnicity : Ethnicity or None
        For MESA percentiles, which need it.
    """

    profile: str = "clinical"
    series_uid: str | None = None
    adapt_threshold_to_kvp: bool = False
    ethnicity: Ethnicity | None = None


@dataclass(frozen=True, eq=False)
class ScoredStudy:
    """A result, with the arrays that pictures and label files are made from.

    ``volume`` is ``None`` when nothing could be read, ``labels`` when nothing was segmented.
    """

    result: StudyResult
    volume: Volume | None = None
    labels: Labels | None = None


def score_study(study: Study, cascade: Cascade, *, options: ScoreOptions) -> ScoredStudy:
    """Return the result of one study: a score with its evidence, or a refusal with its reason.

    Parameters
    ----------
    study : Study
        As `calcmap.io.finding.find_studies` returns it.
    cascade : Cascade
        The networks.
    options : ScoreOptions
        Rule, series, extras.

    Returns
    -------
    ScoredStudy
        Never raises for a bad scan: every `InputError` becomes a refusal.

    Raises
    ------
    ConfigError
        The profile is unknown.
    """
    rule = get_profile(options.profile)
    notes = _Notes(study, cascade, options)
    try:
        with notes.timed("choose"):
            notes.choice = choose_series(study, series_uid=options.series_uid)
        with notes.timed("read"):
            scan = notes.scan = load_scan(study, _chosen_uid(notes.choice))
        with notes.timed("quality"):
            notes.add_flags(scan.flags + assess_scan(scan))
            refuse_unfit(notes.flags)
        segmentation = notes.segmentation = cascade.segment(scan.volume)
        notes.seconds.update(segmentation.seconds)
        with notes.timed("quality"):
            notes.add_flags(assess_heart(scan, segmentation.heart_zyx))
            refuse_unfit(notes.flags)
        with notes.timed("score"):
            scoring = score_scan(scan, segmentation.labels, rule=rule, adapt_to_kvp=options.adapt_threshold_to_kvp,
                                 vessels_zyx=segmentation.vessels_zyx)  # fmt: skip
    except InputError as refusal:
        return notes.refused(str(refusal), code=refusal.code)
    return notes.scored(scan, segmentation, scoring)


def score_scan(
    scan: Scan, labels: Labels, *, rule: AgatstonRule, adapt_to_kvp: bool, vessels_zyx: UInt8Array | None = None
) -> Scoring:
    """Return the scores of a scan under a label map; on request with thresholds for its tube voltage.

    With a vessel map (values of `VesselCode`) every coronary lesion gets its vessel.

    Raises
    ------
    UnfitScanError
        Thresholds for the tube voltage are asked for and the scan does not state it.
    InputError
        There are no thresholds for its tube voltage.
    GridMismatchError
        The labels lie on another grid than the scan.
    """
    kvp = scan.acquisition.kvp
    if adapt_to_kvp:
        if kvp is None:
            raise UnfitScanError("thresholds for the tube voltage were asked for, but the scan does not state its kVp")
        rule = rule_for_kvp(rule, kvp)
    labels.check_on(scan.volume)
    factor = scan.acquisition.mass_factor_mg_per_cm3_hu
    return score_volume(scan.volume, labels.labels_zyx, rule=rule, mass_factor=factor, vessels_zyx=vessels_zyx, kvp=kvp)


def above_threshold(volume: Volume, segmentation: Segmentation, *, threshold_hu: int) -> Labels:
    """Return the label map without calcium below the rule's threshold: what it shows is what the rule could count.

    The networks label from a little lower, for rules with a lower threshold. Dropped voxels become heart or background.
    """
    labels_zyx = segmentation.labels.labels_zyx
    shown_zyx = np.zeros_like(labels_zyx)
    for z in np.flatnonzero(labels_zyx.max(axis=(1, 2))):  # empty slices stay untouched
        shown_zyx[z] = labels_zyx[z]
        if labels_zyx[z].max() >= Label.CORONARY:
            below = (labels_zyx[z] >= Label.CORONARY) & (volume.ct_hu_zyx[z] < threshold_hu)
            heart_or_not = np.where(segmentation.heart_zyx[z][below], Label.HEART, Label.BACKGROUND)
            shown_zyx[z][below] = heart_or_not
    return Labels(shown_zyx, volume.grid)


def find_confidence(cascade: Cascade, segmentation: Segmentation, scoring: Scoring) -> Confidence | None:
    """Return how sure a score is; ``None`` where the calibration knows nothing of these networks or this rule."""
    if cascade.confidence is None or scoring.method.profile != CALIBRATED_PROFILE:
        return None
    return cascade.confidence.judge(scoring.coronary.agatston, segmentation.evidence)


def count_vessels(scoring: Scoring) -> int | None:
    """Return the number of vessels with calcium; ``None`` where vessels are not known."""
    return sum(score.agatston > 0 for score in scoring.vessels.values()) if scoring.vessels else None


def refuse_unfit(flags: tuple[QualityFlag, ...]) -> None:
    """Raise `UnfitScanError` with the details of every flag that forbids a score."""
    refusing = [flag.detail for flag in flags if flag.severity is Severity.REFUSE]
    if refusing:
        raise UnfitScanError("; ".join(refusing))


def summarise_heart(volume: Volume, heart_zyx: BoolArray) -> HeartSummary | None:
    """Return volume and box of a heart mask; ``None`` for an empty one."""
    heart = heart_zyx.view(np.uint8)  # the largest of bytes is found ten times as fast as any of booleans
    slices = np.flatnonzero(heart.max(axis=(1, 2)))
    if slices.size == 0:
        return None
    shadow_yx = heart[slices[0] : slices[-1] + 1].max(axis=0)
    rows, columns = np.flatnonzero(shadow_yx.max(axis=1)), np.flatnonzero(shadow_yx.max(axis=0))
    first = volume.grid.lps_mm((float(slices[0]), float(rows[0]), float(columns[0])))
    last = volume.grid.lps_mm((float(slices[-1]), float(rows[-1]), float(columns[-1])))
    low = (min(first[0], last[0]), min(first[1], last[1]), min(first[2], last[2]))
    high = (max(first[0], last[0]), max(first[1], last[1]), max(first[2], last[2]))
    return HeartSummary(np.count_nonzero(heart) * volume.grid.voxel_volume_mm3 / 1000.0, (low, high))


def find_percentiles(scan: Scan, agatston: float, *, ethnicity: Ethnicity | None) -> tuple[Percentile, ...]:
    """Return where a score stands among others, as far as sex, age and ethnicity are known and within the tables."""
    sex, age_years = scan.acquisition.patient_sex, scan.acquisition.patient_age_years
    if sex is None or age_years is None:
        return ()
    tables: list[Callable[[], Percentile]] = [lambda: hoff_percentile(agatston, sex=sex, age_years=age_years)]
    if ethnicity is not None:
        tables.append(lambda: mesa_percentile(agatston, sex=sex, age_years=age_years, ethnicity=ethnicity))
    found = []
    for look_up in tables:
        try:
            found.append(look_up())
        except InputError as error:
            # An age outside one table leaves that percentile out; it takes neither the score nor the others away.
            logger.info("no percentile: %s", error.code)
    return tuple(found)


def refuse_study(study: Study, cascade: Cascade, *, options: ScoreOptions, reason: str, code: str) -> ScoredStudy:
    """Return a refusal of a study of which nothing is known but the reason.

    For process edges, where an unexpected error in one study must not end the others.

    Parameters
    ----------
    study : Study
        As `calcmap.io.finding.find_studies` returns it.
    cascade : Cascade
        The networks, for provenance.
    options : ScoreOptions
        What was asked for, for provenance.
    reason : str
        One sentence without patient data.
    code : str
        Stable snake_case word.

    Returns
    -------
    ScoredStudy
        Status refused, without arrays.
    """
    return _Notes(study, cascade, options).refused(reason, code=code)


def _chosen_uid(choice: SeriesChoice) -> str:
    if choice.chosen is None:
        raise choice.refusal or NoScorableSeriesError("no series of the study can be the attenuation CT")
    return choice.chosen.series_uid


@dataclass
class _Notes:
    """What has been learned of a study so far; becomes its result at whatever step the way ends."""

    study: Study
    cascade: Cascade
    options: ScoreOptions
    choice: SeriesChoice | None = None
    scan: Scan | None = None
    segmentation: Segmentation | None = None
    flags: tuple[QualityFlag, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - started

    def add_flags(self, flags: tuple[QualityFlag, ...]) -> None:
        self.flags += flags

    def refused(self, reason: str, *, code: str) -> ScoredStudy:
        logger.info("refused: %s, seconds %s", code, self._rounded_seconds())
        result = StudyResult(
            status=Status.REFUSED, reason=reason, reason_code=code, heart=self._heart(), **self._common()
        )
        return ScoredStudy(result, self.scan.volume if self.scan else None, self._labels())

    def scored(self, scan: Scan, segmentation: Segmentation, scoring: Scoring) -> ScoredStudy:
        agatston = scoring.coronary.agatston
        result = StudyResult(
            status=Status.SCORED,
            reason=None,
            reason_code=None,
            coronary=scoring.coronary,
            noncoronary=scoring.noncoronary,
            category=paper_category(agatston, n_vessels=count_vessels(scoring)),
            vessels=scoring.vessels,
            lesions=scoring.lesions,
            heart=self._heart(),
            method=scoring.method,
            percentiles=find_percentiles(scan, agatston, ethnicity=self.options.ethnicity),
            arterial_age_years=arterial_age_years(agatston),
            confidence=find_confidence(self.cascade, segmentation, scoring),
            **self._common(),
        )
        logger.info("scored: %d lesions, seconds %s", len(scoring.lesions), self._rounded_seconds())
        labels = above_threshold(scan.volume, segmentation, threshold_hu=scoring.method.threshold_hu)
        return ScoredStudy(result, scan.volume, labels)

    def _common(self) -> dict[str, Any]:  # Any: fields of StudyResult, each of its own type
        choice = self.choice or SeriesChoice(None, ())
        return {
            "study": self.study.name,
            "chosen_series": choice.chosen,
            "rejected_series": choice.rejected,
            "quality": self.flags,
            "provenance": Provenance(
                version=__version__,
                weights_sha256=self.cascade.weights_sha256,
                input_sha256=self.scan.input_sha256 if self.scan else None,
                config_sha256=config_sha256(self.options),
            ),
            "seconds": dict(self.seconds),
        }

    def _heart(self) -> HeartSummary | None:
        if self.scan is None or self.segmentation is None:
            return None
        return summarise_heart(self.scan.volume, self.segmentation.heart_zyx)

    def _labels(self) -> Labels | None:
        return self.segmentation.labels if self.segmentation else None

    def _rounded_seconds(self) -> dict[str, float]:
        return {step: round(seconds, 3) for step, seconds in self.seconds.items()}
