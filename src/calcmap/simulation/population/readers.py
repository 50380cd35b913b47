"""Simulated readers: which of the planted calcium an expert, a second one, a gated scan's or a hasty one reports.

A reader misses small lesions, the more the noisier the scan; takes calcium at a coronary's origin for the aorta's and
the other way round; now and then calls other cardiac calcium, or a speck of noise, coronary; and draws outlines a
little too wide or too tight. Part of what makes a lesion hard is the lesion's own and the same for all readers. Two
forms: on the lesions of a plan (a whole cohort in seconds) and on the label map of a painted scan.

The parameters were set so that agreement comes out as published; see the constants. ``DL_LIKE`` is a reader too, made
to agree with an expert as the paper's network did: it stands in for a network where no images were scored, and is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.special import expit, ndtr

from calcmap.core.errors import ConfigError
from calcmap.core.volume import BoolArray, Float64Array, Int16Array, Label, Labels, UInt8Array
from calcmap.simulation.calcium.deposits import Tissue
from calcmap.simulation.patient import DepositFacts, SimulatedPatient
from calcmap.simulation.visibility import CARDIAC_PLACES, VisibleCalcium, is_at_ostium

SHARED_DIFFICULTY = 0.3
"""Share of a decision's variance that all readers have in common (calibrated, with the readers below)."""
REFERENCE_NOISE_HU = 20.0
"""Noise SD at which a reader's ``half_seen_mm3`` holds; it grows in proportion to the noise."""
LEAST_NOISE_FACTOR = 0.5
"""Even without noise small lesions are missed."""
SPECKS_AT_REFERENCE = 0.12
"""Bright specks a heart at `REFERENCE_NOISE_HU` that could be taken for calcium (our choice)."""
SPECK_POWER = 3.0
"""Specks grow with this power of the noise: slower than pixels beyond 130 HU do, as readers of noisy scans look twice
(our choice)."""
SPECK_AGATSTON = 2.0
SPECK_LOG_SD = 0.5
THRESHOLD_HU = 130
NOISE_LAG_PIXELS = 4
"""Farther apart than noise is alike, nearer than tissues change."""
MAD_TO_SD = 1.4826
SPECK_PIXELS = (2, 8)
"""Size of a speck on a label map, pixels of one slice."""


@dataclass(frozen=True)
class Reader:
    """How someone reads.

    Parameters
    ----------
    name : str
        Part of the reader's random stream.
    is_gated : bool
        Reads a gated scan (sharp, still), not the attenuation CT.
    half_seen_mm3 : float
        Visible volume of a lesion that is found half of the time, at `REFERENCE_NOISE_HU`.
    steepness : float
        Slope of the chance to find a lesion, per unit of the log of its volume.
    ostial_swap : float
        Chance that calcium at a coronary's origin is given to the wrong side.
    noncoronary_share : float
        Chance that other cardiac calcium is called coronary.
    speck_share : float
        Chance that a bright speck of noise is called calcium.
    lesion_log_sd : float
        Spread of the log of each lesion's score: the outline.
    patient_log_sd : float
        Spread of the log of the whole score.

    Raises
    ------
    ConfigError
        A chance lies outside 0 to 1, or a size or spread is negative.
    """

    name: str
    is_gated: bool = False
    half_seen_mm3: float = 3.0
    steepness: float = 2.0
    ostial_swap: float = 0.1
    noncoronary_share: float = 0.01
    speck_share: float = 0.1
    lesion_log_sd: float = 0.1
    patient_log_sd: float = 0.0

    def __post_init__(self) -> None:
        chances = (self.ostial_swap, self.noncoronary_share, self.speck_share)
        sizes = (self.half_seen_mm3, self.steepness, self.lesion_log_sd, self.patient_log_sd)
        if min(chances) < 0 or max(chances) > 1 or min(sizes) < 0:
            raise ConfigError(
                f"reader {self.name!r} has chances {chances} and sizes {sizes}, expected chances from 0 to 1 and sizes "
                "of 0 or more"
            )


EXPERT_1 = Reader("expert_1", half_seen_mm3=4.0, steepness=1.1, ostial_swap=0.24, noncoronary_share=0.035,
                  speck_share=0.12, lesion_log_sd=0.25)  # fmt: skip
EXPERT_2 = replace(EXPERT_1, name="expert_2")
"""Calibrated: two experts on one attenuation CT agree with a linear kappa of 0.85 in five categories (PMC9529893)."""
GATED = Reader("gated", is_gated=True, half_seen_mm3=4.0, steepness=1.3, ostial_swap=0.08, lesion_log_sd=0.2)
GATED_2 = replace(GATED, name="gated_2")
"""Calibrated: two experts on one gated scan agree with 0.92; one on the gated scan and one on the attenuation CT with
0.75 to 0.80."""
VISUAL = Reader("visual", half_seen_mm3=5.0, steepness=1.5, ostial_swap=0.15, noncoronary_share=0.03,
                lesion_log_sd=0.3, patient_log_sd=0.5)  # fmt: skip
"""Grades by eye; calibrated: sees calcium or none otherwise than ``DL_LIKE`` in about 10 % (Miller 2023)."""
DL_LIKE = Reader("dl_like", half_seen_mm3=5.0, steepness=1.3, ostial_swap=0.23, noncoronary_share=0.06,
                 speck_share=0.12, lesion_log_sd=0.35, patient_log_sd=0.42)  # fmt: skip
"""Calibrated: agrees with an expert with a linear kappa of 0.80 in four categories and r2 0.69 (Miller 2023)."""
READERS = (EXPERT_1, EXPERT_2, GATED, GATED_2, VISUAL, DL_LIKE)
"""The readers of a cohort's table."""


@dataclass(frozen=True)
class Reading:
    """What one reader reports of one patient."""

    agatston: float
    """0 when nothing was called coronary calcium."""
    n_lesions: int
    """Called coronary, specks of noise among them."""
    false_agatston: float
    """Part of the score that is not coronary calcium."""


def read_lesions(scan: VisibleCalcium, *, reader: Reader, seed: int) -> Reading:
    """Return what a reader makes of the calcium that a scan shows.

    Parameters
    ----------
    scan : VisibleCalcium
        Of one patient: of the gated scan for a gated reader, else of the attenuation CT.
    reader : Reader
        Who reads.
    seed : int
        Of the patient, 0 or more: readers of one patient share what is hard about it.

    Returns
    -------
    Reading
        Scores and what was missed or mistaken.
    """
    decisions = _Decisions(reader, seed=seed, n=len(scan.lesions))
    noise = scan.noise_sd_hu
    right = wrong = 0.0
    n_called = 0
    for k, lesion in enumerate(scan.lesions):
        is_coronary = lesion.tissue is Tissue.CORONARY
        is_called = is_coronary != decisions.is_swapped(k, is_coronary=is_coronary, is_ostial=lesion.is_ostial)
        if not is_called or lesion.agatston <= 0:
            continue
        if decisions.is_found(k, size_mm3=lesion.visible_mm3, noise_sd_hu=noise):
            n_called += 1
            right += is_coronary * lesion.agatston * decisions.outline_factor(k)
            wrong += (not is_coronary) * lesion.agatston * decisions.outline_factor(k)
    specks = list(decisions.specks(noise))
    factor = decisions.patient_factor
    return Reading((right + wrong + sum(specks)) * factor, n_called + len(specks), (wrong + sum(specks)) * factor)


class _Decisions:
    """One reader's draws on one patient: part shared with all readers, part the reader's own."""

    def __init__(self, reader: Reader, *, seed: int, n: int) -> None:
        self._reader = reader
        scan = b"gated" if reader.is_gated else b"ungated"
        self._shared_rng = np.random.default_rng([seed, *b"difficulty", *scan])
        self._own_rng = np.random.default_rng([seed, *b"reader", *reader.name.encode()])
        shared = self._shared_rng.standard_normal((n, 2))
        own = self._own_rng.standard_normal((n, 2))
        latent = np.sqrt(SHARED_DIFFICULTY) * shared + np.sqrt(1 - SHARED_DIFFICULTY) * own
        self._chance_found, self._chance_swapped = ndtr(latent).T
        self._outline = _factors(self._own_rng.standard_normal(n), log_sd=reader.lesion_log_sd)
        self.patient_factor = float(_factors(self._own_rng.standard_normal(1), log_sd=reader.patient_log_sd)[0])

    def is_found(self, k: int, *, size_mm3: float, noise_sd_hu: float) -> bool:
        """Tell whether the reader sees lesion k at all."""
        half = self._reader.half_seen_mm3 * max(noise_sd_hu / REFERENCE_NOISE_HU, LEAST_NOISE_FACTOR)
        chance = expit(self._reader.steepness * np.log(max(size_mm3, 1e-6) / max(half, 1e-6)))
        return bool(self._chance_found[k] < chance)

    def is_swapped(self, k: int, *, is_coronary: bool, is_ostial: bool) -> bool:
        """Tell whether the reader takes lesion k for what it is not: coronary for noncoronary, or the other way."""
        reader = self._reader
        chance = reader.ostial_swap if is_ostial else (0.0 if is_coronary else reader.noncoronary_share)
        return bool(self._chance_swapped[k] < chance)

    def outline_factor(self, k: int) -> float:
        """Return what the outline makes of lesion k's score."""
        return float(self._outline[k])

    def specks(self, noise_sd_hu: float) -> Iterator[float]:
        """Yield the scores of noise specks that the reader takes for calcium."""
        mean = SPECKS_AT_REFERENCE * (noise_sd_hu / REFERENCE_NOISE_HU) ** SPECK_POWER
        candidates = np.exp(
            self._shared_rng.normal(np.log(SPECK_AGATSTON), SPECK_LOG_SD, self._shared_rng.poisson(mean))
        )
        for score in candidates:
            if self.takes_speck():
                yield float(score)

    def takes_speck(self) -> bool:
        """Tell whether the reader takes one more bright speck for calcium."""
        return bool(self._own_rng.random() < self._reader.speck_share)


def _factors(normal: Float64Array, *, log_sd: float) -> Float64Array:
    """Return log-normal factors of mean 1: readers err to both sides."""
    factors: Float64Array = np.exp(log_sd * normal - 0.5 * log_sd**2)
    return factors


def read_labels(patient: SimulatedPatient, *, reader: Reader, seed: int) -> Labels:
    """Return the label map that a reader would draw on a painted scan.

    Coronary lesions that are missed lose their label, those given to the aorta become noncoronary; other calcium that
    is called coronary becomes it; outlines lose their dimmest voxels or take in bright neighbours; a speck of noise
    inside the heart may become coronary calcium. The heart's outline stays as it is.

    Parameters
    ----------
    patient : SimulatedPatient
        Scan, truth and facts.
    reader : Reader
        Who reads; not one of a gated scan.
    seed : int
        Of the patient, 0 or more: readers of one patient share what is hard about it.

    Returns
    -------
    Labels
        On the scan's grid; the patient's own labels stay as they are.

    Raises
    ------
    ConfigError
        The reader reads gated scans.
    """
    if reader.is_gated:
        raise ConfigError(f"reader {reader.name!r} reads gated scans, this is an attenuation CT")
    truth, ct = patient.labels.labels_zyx, patient.volume.ct_hu_zyx
    read: UInt8Array = truth.copy()
    components, n = ndimage.label(truth >= Label.CORONARY, np.ones((3, 3, 3)))
    decisions, noise = _Decisions(reader, seed=seed, n=n), _heart_noise_hu(ct, truth)
    for k, found in enumerate(ndimage.find_objects(components)):
        box = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in found)
        mask = components[box] == k + 1
        is_coronary = bool(np.mean(truth[box][mask] == Label.CORONARY) >= 0.5)
        middle = [part.start + at for part, at in zip(box, ndimage.center_of_mass(mask), strict=True)]
        deposit = _deposit_at(patient, (middle[0], middle[1], middle[2]))
        size = float(mask.sum()) * patient.volume.grid.voxel_volume_mm3
        is_seen = decisions.is_found(k, size_mm3=size, noise_sd_hu=noise)
        is_swapped = (is_coronary or deposit.place in CARDIAC_PLACES) and decisions.is_swapped(
            k, is_coronary=is_coronary, is_ostial=_is_ostial(patient, deposit)
        )
        if is_coronary and not is_seen:
            read[box][mask] = Label.HEART
        elif is_coronary and is_swapped:
            read[box][mask] = Label.NONCORONARY
        elif is_seen and is_coronary != is_swapped:
            read[box][mask] = Label.CORONARY
            _redraw_outline(read[box], ct[box], mask, factor=decisions.outline_factor(k))
    _mark_specks(read, ct, decisions)
    return Labels(read, patient.labels.grid)


def _heart_noise_hu(hu_zyx: Int16Array, labels_zyx: UInt8Array) -> float:
    """Return the noise SD in the heart: robust spread of differences between voxels some pixels apart in a row."""
    is_heart = labels_zyx == Label.HEART
    both = is_heart[..., NOISE_LAG_PIXELS:] & is_heart[..., :-NOISE_LAG_PIXELS]
    if not both.any():
        return REFERENCE_NOISE_HU
    difference = hu_zyx[..., NOISE_LAG_PIXELS:][both].astype(float) - hu_zyx[..., :-NOISE_LAG_PIXELS][both]
    return float(MAD_TO_SD * np.median(np.abs(difference)) / np.sqrt(2))


def _deposit_at(patient: SimulatedPatient, middle_zyx: tuple[float, float, float]) -> DepositFacts:
    """Return the planned deposit nearest to a place on the grid."""
    at_mm = np.array(patient.labels.grid.lps_mm(middle_zyx))
    distances = [float(np.linalg.norm(np.array(deposit.center_mm) - at_mm)) for deposit in patient.facts.deposits]
    return patient.facts.deposits[int(np.argmin(distances))]


def _is_ostial(patient: SimulatedPatient, deposit: DepositFacts) -> bool:
    ostia = [branch.points_mm[0] for branch in patient.coronaries if branch.name in {"LM", "RCA"}]
    return is_at_ostium(deposit.place, np.array(deposit.center_mm), ostia)


def _redraw_outline(labels_zyx: UInt8Array, hu_zyx: Int16Array, lesion_zyx: BoolArray, *, factor: float) -> None:
    """Take a lesion's dimmest voxels away, or its brightest unlabelled neighbours in, in place, to change its size."""
    size = int(lesion_zyx.sum())
    n = round(size * abs(factor - 1))
    if factor < 1:
        chosen = np.argwhere(lesion_zyx)[np.argsort(hu_zyx[lesion_zyx], kind="stable")][: min(n, size - 1)]
        labels_zyx[tuple(chosen.T)] = Label.HEART
        return
    rim = ndimage.binary_dilation(lesion_zyx, np.ones((1, 3, 3), dtype=np.bool_)) & (labels_zyx == Label.HEART)
    rim &= hu_zyx >= THRESHOLD_HU
    chosen = np.argwhere(rim)[np.argsort(-hu_zyx[rim].astype(int), kind="stable")][:n]
    labels_zyx[tuple(chosen.T)] = Label.CORONARY


def _mark_specks(labels_zyx: UInt8Array, hu_zyx: Int16Array, decisions: _Decisions) -> None:
    """Call some of the small bright specks inside the heart coronary calcium, in place."""
    bright = (hu_zyx >= THRESHOLD_HU) & (labels_zyx == Label.HEART)
    in_plane = np.zeros((3, 3, 3))
    in_plane[1] = 1
    specks, n = ndimage.label(bright, in_plane)
    size = np.bincount(specks.ravel(), minlength=n + 1)
    for k in range(1, n + 1):
        if SPECK_PIXELS[0] <= size[k] <= SPECK_PIXELS[1] and decisions.takes_speck():
            labels_zyx[specks == k] = Label.CORONARY
