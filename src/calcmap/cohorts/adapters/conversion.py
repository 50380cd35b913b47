"""Labelled scans of any origin to case folders, one after the other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from calcmap.cohorts.simulated import write_labelled
from calcmap.core.errors import InputError, OutputError
from calcmap.core.volume import BoolArray, Label, Labels, UInt8Array, Volume
from calcmap.io.cases import DRAWN_HEART_KEY, Case, read_case
from calcmap.io.nifti import write_labels
from calcmap.segmentation.calcium_input import HEART_REACH_MM, grow_mask

VESSELS_FILE = "vessels.nii.gz"
"""Vessel of each coronary voxel (values of `scoring.agatston.VesselCode`), beside the labels where it is known."""
MADE_WITH_KEY = "made_with"
MIN_CORONARY_SHARE_IN_HEART = 0.5
"""A drawn heart that holds less of the coronary calcium than this has missed the heart (our choice)."""


@dataclass(frozen=True, eq=False)
class LabelledScan:
    """A CT with labels on its grid, as an adapter reads it.

    Parameters
    ----------
    volume, labels : Volume, Labels
        On one grid; the heart may be missing.
    vessels_zyx : ndarray of uint8, shape of the CT, or None
        `scoring.agatston.VesselCode` of coronary voxels; ``None`` where the source knows no vessels.
    """

    volume: Volume
    labels: Labels
    vessels_zyx: UInt8Array | None = None


@dataclass(frozen=True)
class Candidate:
    """Something that may become a case: its name, from file names, and how to read it (raises `InputError`)."""

    name: str
    load: Callable[[], LabelledScan]


@dataclass(frozen=True)
class Heart:
    """Draws hearts where labels have none.

    Parameters
    ----------
    find : callable
        A CT to its heart mask, empty where there is none.
    sha256 : str
        Of the network, for the record.
    """

    find: Callable[[Volume], BoolArray]
    sha256: str


@dataclass(frozen=True)
class Origin:
    """What every case of a folder says of itself.

    Parameters
    ----------
    source, licence : str
        Origin and terms, for the model card.
    site : str or None
        For sampling weights and leave-one-site-out.
    made_with : dict of str
        Every setting that decides a label; a case made with others is not kept.
    """

    source: str
    licence: str
    site: str | None
    made_with: Mapping[str, str]


class Fate(StrEnum):
    """What became of a candidate."""

    WRITTEN = "written"
    KEPT = "kept"
    """It was there already, made with the same settings."""
    REFUSED = "refused"


@dataclass(frozen=True)
class Outcome:
    """One candidate's fate.

    Parameters
    ----------
    case : str
        Its name.
    fate : Fate
        What became of it.
    agatston : float or None
        Coronary score of its labels under the profile ``clinical``; ``None`` when refused.
    reason, reason_code : str or None
        Why it was refused.
    """

    case: str
    fate: Fate
    agatston: float | None = None
    reason: str | None = None
    reason_code: str | None = None


def convert(
    candidates: Sequence[Candidate], out: Path, *, origin: Origin, heart: Heart | None = None
) -> Iterator[Outcome]:
    """Yield what became of each candidate, in their order; a case folder appears only when it is whole.

    Parameters
    ----------
    candidates : sequence of Candidate
        From an adapter; names are unique.
    out : Path
        Folder of the cases, made if absent. Cases that are there already are kept.
    origin : Origin
        What the cases say of themselves.
    heart : Heart or None
        Draws hearts where labels have none; without it such candidates are refused.

    Yields
    ------
    Outcome
        Written, kept or refused, with the reason.

    Raises
    ------
    OutputError
        A case cannot be written.
    """
    for candidate in candidates:
        folder = out / candidate.name
        try:
            if folder.exists():
                yield Outcome(candidate.name, Fate.KEPT, _kept_score(folder, origin))
            else:
                yield Outcome(candidate.name, Fate.WRITTEN, _write(candidate, folder, origin, heart))
        except InputError as error:
            yield Outcome(candidate.name, Fate.REFUSED, None, str(error), error.code)


def _kept_score(folder: Path, origin: Origin) -> float | None:
    case = read_case(folder)
    found = case.extra.get(MADE_WITH_KEY, {})
    if found != dict(origin.made_with):
        raise InputError(f"{folder} was made with other settings ({found}); remove it, or choose another folder")
    return case.reference_agatston


def _write(candidate: Candidate, folder: Path, origin: Origin, heart: Heart | None) -> float | None:
    """Write a case aside, then rename it; return its score."""
    scan = candidate.load()
    extra: dict[str, object] = {MADE_WITH_KEY: dict(origin.made_with)}
    if not (scan.labels.labels_zyx == Label.HEART).any():
        scan = draw_heart(scan, heart)
        extra[DRAWN_HEART_KEY] = heart.sha256 if heart else ""
    case = Case(candidate.name, origin.source, origin.licence, site=origin.site, extra=extra)
    part = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        write_labelled(scan.volume, scan.labels, part, case=case)
        if scan.vessels_zyx is not None:
            write_labels(Labels(scan.vessels_zyx, scan.volume.grid), part / VESSELS_FILE)
        part.rename(folder)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error
    return read_case(folder).reference_agatston


def draw_heart(scan: LabelledScan, heart: Heart | None) -> LabelledScan:
    """Return the scan with a heart drawn under its calcium labels.

    Raises
    ------
    InputError
        Nothing can draw one, none is found, or the one found holds less than `MIN_CORONARY_SHARE_IN_HEART` of the
        coronary calcium.
    """
    if heart is None:
        raise InputError(
            "the labels hold no heart, and both networks are trained with one; --draw-heart lets the shipped network "
            "draw it"
        )
    heart_zyx = heart.find(scan.volume)
    if not heart_zyx.any():
        raise InputError("the heart network finds no heart in this scan")
    coronary = scan.labels.labels_zyx == Label.CORONARY
    reach = grow_mask(heart_zyx, reach_mm=HEART_REACH_MM, spacing_mm_zyx=scan.volume.spacing_mm_zyx)
    if coronary.any() and reach[coronary].mean() < MIN_CORONARY_SHARE_IN_HEART:
        raise InputError(
            f"only {reach[coronary].mean():.0%} of the coronary calcium lies in the heart that the network draws, "
            f"expected at least {MIN_CORONARY_SHARE_IN_HEART:.0%}"
        )
    labels_zyx = scan.labels.labels_zyx.copy()
    labels_zyx[heart_zyx & (labels_zyx == Label.BACKGROUND)] = Label.HEART
    return LabelledScan(scan.volume, Labels(np.ascontiguousarray(labels_zyx), scan.volume.grid), scan.vessels_zyx)
