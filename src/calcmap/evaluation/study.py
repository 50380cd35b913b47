"""A whole study of agreement: a reference and a test, and a visual reading beside them, over the same patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations

import numpy as np

from calcmap.core.errors import ConfigError, InputError
from calcmap.core.volume import BoolArray, Float64Array
from calcmap.evaluation.agreement import (
    Kappa,
    Weighting,
    concordance_correlation,
    confusion_matrix,
    proportion_agreement,
    r_squared,
    weighted_kappa,
)
from calcmap.evaluation.bland_altman import BlandAltman, Ratios, bland_altman, ratios_of_log
from calcmap.evaluation.correlation import spearman
from calcmap.evaluation.detection import Detection, Shifts, detections, shifts, sign_test
from calcmap.evaluation.icc import Icc, intraclass_correlations
from calcmap.evaluation.kappa_comparison import KappaDifference, KappaEquality, kappa_difference, kappas_equal
from calcmap.evaluation.readings import CategoryScheme, Reading, ReadingKind, read_reading
from calcmap.evaluation.resampling import Draws, ResampledPatients, n_samples, resample_patients
from calcmap.statistics.bootstrap import Bootstrap, DrawnInterval, IntervalMethod
from calcmap.statistics.cells import Cells, are_missing, check_ids
from calcmap.statistics.estimates import CONFIDENCE, Estimate

REFERENCE, TEST, VISUAL = "reference", "test", "visual"
"""The readers' parts; the names of their columns stand beside them."""


class Missing(StrEnum):
    """What to do with a row in which a reading is missing."""

    ERROR = "error"
    DROP = "drop"
    """Leave the row out of everything, and say how many were."""


@dataclass(frozen=True)
class ReaderSettings:
    """How to understand one reader's column."""

    kind: ReadingKind = ReadingKind.AUTO
    names: tuple[str, ...] = ()
    """This reader's words for the categories, ascending; the categories' own names if none are given."""


@dataclass(frozen=True)
class AgreementSettings:
    """Settings of `assess_agreement` and of the columns it reads."""

    id: str | None = None
    """Column that tells patients apart; no two rows may share a value."""
    is_simulated: bool = False
    """Whether the patients are; then every page and figure says so."""
    missing: Missing = Missing.ERROR
    confidence: float = CONFIDENCE
    draws: int = 2000
    """Bootstrap samples."""
    seed: int = 1
    interval: IntervalMethod = IntervalMethod.PERCENTILE
    workers: int = 1
    """Processes for the bootstrap."""
    categories: CategoryScheme = field(default_factory=CategoryScheme)
    reference: ReaderSettings = field(default_factory=ReaderSettings)
    test: ReaderSettings = field(default_factory=ReaderSettings)
    visual: ReaderSettings = field(default_factory=ReaderSettings)

    def __post_init__(self) -> None:
        """Refuse words that do not fit the categories, and a bootstrap that cannot be."""
        k = len(self.categories.names)
        wrong = [
            f"{part}.names has {len(reader.names)} words for {k} categories"
            for part, reader in self.readers.items()
            if reader.names and len(reader.names) != k
        ]
        try:
            _ = self.bootstrap
        except ConfigError as error:
            wrong.append(str(error))
        if wrong:
            raise ConfigError("; ".join(wrong))

    @property
    def readers(self) -> dict[str, ReaderSettings]:
        """The settings of each reader by its part."""
        return {REFERENCE: self.reference, TEST: self.test, VISUAL: self.visual}

    @property
    def bootstrap(self) -> Bootstrap:
        """How to resample."""
        return Bootstrap(self.draws, self.seed, self.interval, self.confidence, self.workers)


@dataclass(frozen=True)
class Readings:
    """What the readers said of the same patients, by part: reference, test and maybe visual."""

    by_part: Mapping[str, Reading]
    n: int
    n_dropped: int
    """Rows left out because a reading was missing."""


@dataclass(frozen=True)
class Resampled:
    """An estimate with its analytic interval, and the bootstrap's beside it."""

    value: Estimate
    bootstrap: DrawnInterval


@dataclass(frozen=True)
class ResampledKappa:
    """A kappa with its analytic interval, and the bootstrap's beside it."""

    value: Kappa
    bootstrap: DrawnInterval


@dataclass(frozen=True)
class PairAgreement:
    """Categories of two readers."""

    first: str
    second: str
    matrix: tuple[tuple[int, ...], ...]
    """Rows the first, columns the second."""
    exact: Estimate
    kappas: tuple[ResampledKappa, ...]
    """In the order of `Weighting`."""
    detections: tuple[Detection, ...]
    shifts: Shifts


@dataclass(frozen=True)
class ScoreAgreement:
    """Scores of reference and test; ``log`` is of log(1 + score)."""

    r2_raw: Resampled
    r2_log: Resampled
    spearman: Resampled
    concordance_raw: Resampled
    """Lin's; with the bootstrap's interval alone."""
    concordance_log: Resampled
    icc_raw: tuple[Icc, ...]
    icc_log: tuple[Icc, ...]
    icc_a1_raw: DrawnInterval
    """Of ICC(A,1)."""
    icc_a1_log: DrawnInterval
    raw: BlandAltman
    log: BlandAltman
    ratios: Ratios


@dataclass(frozen=True)
class KappaContrast:
    """Two kappas of the same patients: first pair of readers minus second."""

    first: tuple[str, str]
    second: tuple[str, str]
    weighting: Weighting
    difference: KappaDifference
    bootstrap: DrawnInterval
    bootstrap_p: float | None


@dataclass(frozen=True)
class PairedRight:
    """Test and visual against the reference, patient by patient: who hits its category."""

    both: int
    test_only: int
    visual_only: int
    neither: int
    p: float | None
    """McNemar's exact test; ``None`` where no patient tells them apart."""


@dataclass(frozen=True)
class ThreeWay:
    """Automatic, expert and visual reading of the same patients."""

    reference_visual: PairAgreement
    test_visual: PairAgreement
    contrasts: tuple[KappaContrast, ...]
    equality: tuple[KappaEquality, ...]
    """That all three kappas are equal, in the order of `Weighting`."""
    right: PairedRight


@dataclass(frozen=True)
class AgreementReport:
    """Everything that is known of the agreement in one table."""

    settings: AgreementSettings
    readings: Readings
    pair: PairAgreement
    r2: Estimate
    """Of the scores, or of the category numbers where there are no scores."""
    scores: ScoreAgreement | None
    three_way: ThreeWay | None
    notes: tuple[str, ...]
    """What a reader of the numbers must know: how columns were understood, rows left out, empty categories."""


def read_columns(
    cells: Mapping[str, Cells],
    *,
    columns: Mapping[str, str],
    settings: AgreementSettings,
    ids: Cells | None = None,
) -> Readings:
    """Return the readings in the columns of a table, checked.

    Parameters
    ----------
    cells : mapping of str to sequence
        By part (``reference``, ``test`` and maybe ``visual``) the cells, ``None`` or NaN where missing.
    columns : mapping of str to str
        By part the name of its column, for messages; ``id`` too.
    settings : AgreementSettings
        Categories, kinds, what to do with missing cells.
    ids : sequence, optional
        Identifiers of the patients.

    Returns
    -------
    Readings
        Of the patients that have every reading.

    Raises
    ------
    InputError
        Fewer than two patients with all readings, a patient twice, or cells that are no readings.
    """
    if ids is not None:
        check_ids(ids, name=columns["id"])
    n_rows = len(cells[REFERENCE])
    is_whole = np.ones(n_rows, dtype=np.bool_)
    if settings.missing is Missing.DROP:
        is_whole = ~np.logical_or.reduce([are_missing(column) for column in cells.values()])
    kept = np.flatnonzero(is_whole).tolist()
    if len(kept) < 2:
        raise InputError(f"agreement needs at least 2 patients with every reading, got {len(kept)} of {n_rows} rows")
    by_part = {
        part: read_reading(
            [column[row] for row in kept] if len(kept) < n_rows else column,
            name=columns[part],
            scheme=settings.categories,
            kind=settings.readers[part].kind,
            names=settings.readers[part].names,
        )
        for part, column in cells.items()
    }
    return Readings(by_part, n=len(kept), n_dropped=n_rows - len(kept))


def assess_agreement(
    readings: Readings, *, settings: AgreementSettings, advance: Callable[[int], object] | None = None
) -> AgreementReport:
    """Return every statistic of agreement of the readings.

    Parameters
    ----------
    readings : Readings
        Of the same patients.
    settings : AgreementSettings
        Categories, coverage, bootstrap.
    advance : callable, optional
        Called with the number of bootstrap samples just finished; `n_bootstrap_samples` is their total.

    Returns
    -------
    AgreementReport
        With `ThreeWay` where there are three readers, with `ScoreAgreement` where reference and test gave scores.
    """
    patients = _patients(readings, settings)
    draws = resample_patients(patients, settings=settings.bootstrap, advance=advance)
    pairs = {
        pair: _pair_agreement(readings, *pair, settings=settings, draws=draws)
        for pair in combinations(readings.by_part, 2)
    }
    scores = None if patients.scores is None else _score_agreement(patients.scores, settings=settings, draws=draws)
    return AgreementReport(
        settings=settings,
        readings=readings,
        pair=pairs[REFERENCE, TEST],
        r2=_r2(readings, patients, settings),
        scores=scores,
        three_way=_three_way(readings, pairs, settings=settings, draws=draws) if len(pairs) > 1 else None,
        notes=tuple(_notes(readings, settings)),
    )


def n_bootstrap_samples(readings: Readings, settings: AgreementSettings) -> int:
    """Return how many samples `assess_agreement` draws, for a progress bar."""
    return n_samples(readings.n, settings.bootstrap)


def _patients(readings: Readings, settings: AgreementSettings) -> ResampledPatients:
    reference, test = readings.by_part[REFERENCE].scores, readings.by_part[TEST].scores
    return ResampledPatients(
        readers=tuple(readings.by_part),
        categories=np.stack([reading.categories for reading in readings.by_part.values()], axis=1),
        n_categories=len(settings.categories.names),
        scores=None if reference is None or test is None else np.stack([reference, test], axis=1),
    )


def _pair_agreement(
    readings: Readings, first: str, second: str, *, settings: AgreementSettings, draws: Draws
) -> PairAgreement:
    names, confidence = settings.categories.names, settings.confidence
    matrix = confusion_matrix(
        readings.by_part[first].categories, readings.by_part[second].categories, n_categories=len(names)
    )
    kappas = tuple(
        ResampledKappa(
            weighted_kappa(matrix, weighting, confidence=confidence), draws.interval((first, second, weighting))
        )
        for weighting in Weighting
    )
    return PairAgreement(
        first=first,
        second=second,
        matrix=tuple(tuple(int(count) for count in row) for row in matrix),
        exact=proportion_agreement(matrix, confidence=confidence),
        kappas=kappas,
        detections=detections(matrix, names=names, confidence=confidence),
        shifts=shifts(matrix, names=names, confidence=confidence),
    )


def _r2(readings: Readings, patients: ResampledPatients, settings: AgreementSettings) -> Estimate:
    values = patients.categories[:, :2] if patients.scores is None else patients.scores
    return r_squared(values[:, 0], values[:, 1], confidence=settings.confidence)


def _score_agreement(scores: Float64Array, *, settings: AgreementSettings, draws: Draws) -> ScoreAgreement:
    confidence = settings.confidence
    log = np.log1p(scores)
    x, y, log_x, log_y = scores[:, 0], scores[:, 1], log[:, 0], log[:, 1]
    on_log = bland_altman(log_x, log_y, confidence=confidence)
    return ScoreAgreement(
        r2_raw=Resampled(r_squared(x, y, confidence=confidence), draws.interval("r2_raw")),
        r2_log=Resampled(r_squared(log_x, log_y, confidence=confidence), draws.interval("r2_log")),
        spearman=Resampled(spearman(x, y, confidence=confidence), draws.interval("spearman")),
        concordance_raw=_concordance(x, y, interval=draws.interval("concordance_raw")),
        concordance_log=_concordance(log_x, log_y, interval=draws.interval("concordance_log")),
        icc_raw=intraclass_correlations(scores, confidence=confidence),
        icc_log=intraclass_correlations(log, confidence=confidence),
        icc_a1_raw=draws.interval("icc_a1_raw"),
        icc_a1_log=draws.interval("icc_a1_log"),
        raw=bland_altman(x, y, confidence=confidence),
        log=on_log,
        ratios=ratios_of_log(on_log.limits),
    )


def _concordance(x: Float64Array, y: Float64Array, *, interval: DrawnInterval) -> Resampled:
    return Resampled(Estimate(concordance_correlation(x, y), interval.low, interval.high, len(x)), interval)


def _three_way(
    readings: Readings,
    pairs: Mapping[tuple[str, str], PairAgreement],
    *,
    settings: AgreementSettings,
    draws: Draws,
) -> ThreeWay:
    categories = {part: reading.categories for part, reading in readings.by_part.items()}
    of_readers = {pair: (categories[pair[0]], categories[pair[1]]) for pair in pairs}
    k = len(settings.categories.names)
    contrasts = []
    for first, second in combinations(pairs, 2):
        for weighting in Weighting:
            difference = kappa_difference(
                of_readers[first],
                of_readers[second],
                n_categories=k,
                weighting=weighting,
                confidence=settings.confidence,
            )
            interval, p = draws.difference((*first, weighting), (*second, weighting))
            contrasts.append(KappaContrast(first, second, weighting, difference, interval, p))
    is_right = [categories[part] == categories[REFERENCE] for part in (TEST, VISUAL)]
    return ThreeWay(
        reference_visual=pairs[REFERENCE, VISUAL],
        test_visual=pairs[TEST, VISUAL],
        contrasts=tuple(contrasts),
        equality=tuple(
            kappas_equal(list(of_readers.values()), n_categories=k, weighting=weighting) for weighting in Weighting
        ),
        right=_paired_right(*is_right),
    )


def _paired_right(test: BoolArray, visual: BoolArray) -> PairedRight:
    """Return the fourfold table of two readers' hits of the reference's category."""
    test_only, visual_only = int((test & ~visual).sum()), int((~test & visual).sum())
    return PairedRight(
        both=int((test & visual).sum()),
        test_only=test_only,
        visual_only=visual_only,
        neither=int((~test & ~visual).sum()),
        p=sign_test(test_only, visual_only),
    )


def _notes(readings: Readings, settings: AgreementSettings) -> list[str]:
    names = settings.categories.names
    notes = []
    for part, reading in readings.by_part.items():
        what = "scores" if reading.kind is ReadingKind.SCORE else "categories"
        told = " (told from its cells)" if settings.readers[part].kind is ReadingKind.AUTO else ""
        notes.append(f"{part}: column {reading.name} holds {what}{told}")
        empty = [names[k] for k in range(len(names)) if not np.any(reading.categories == k)]
        if empty:
            notes.append(f"{part}: no patient in category {', '.join(empty)}; it still counts in the kappa's weights")
    if readings.n_dropped:
        notes.append(f"{readings.n_dropped} rows with a missing reading were left out")
    if any(readings.by_part[part].scores is None for part in (REFERENCE, TEST)):
        notes.append("without scores of both readers r2 is of category numbers, and there are no limits of agreement")
    return notes
