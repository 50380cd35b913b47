"""A CT file and a label file a patient, matched by name: one's own NIfTI pairs, orCaScore and their like."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import numpy as np

from calcmap.cohorts.adapters.conversion import Candidate, LabelledScan
from calcmap.core.errors import ConfigError, InputError
from calcmap.core.volume import Label, Labels, UInt8Array, Volume
from calcmap.io.canonical import VoxelArray, to_canonical
from calcmap.io.reading import read_single_ct
from calcmap.io.sources import FileSource
from calcmap.io.voxel_files import read_voxel_image
from calcmap.scoring.agatston import VesselCode

MAX_VALUE = 65535
"""Highest label value that is read: that of uint16 (our choice)."""


class Part(StrEnum):
    """What a label value may mean."""

    BACKGROUND = "background"
    HEART = "heart"
    CORONARY = "coronary"
    NONCORONARY = "noncoronary"
    LM = "lm"
    LAD = "lad"
    LCX = "lcx"
    RCA = "rca"


_LABELS = {Part.BACKGROUND: Label.BACKGROUND, Part.HEART: Label.HEART, Part.NONCORONARY: Label.NONCORONARY}
_VESSELS = {
    Part.LM: VesselCode.LM,
    Part.LAD: VesselCode.LAD,
    Part.LCX: VesselCode.LCX,
    Part.RCA: VesselCode.RCA,
}


@dataclass(frozen=True)
class PairLayout:
    """How the files of a folder are named and what their label values mean.

    Parameters
    ----------
    ct, labels : str
        Paths below the folder, each with one ``*``, which stands for the case's name and holds no slash. The CT may
        be a DICOM folder.
    label_map : str
        ``heart=1,coronary=2,noncoronary=3`` and the like; several values may mean the same. Words are those of
        `Part`; ``lm``, ``lad``, ``lcx`` and ``rca`` are coronary calcium of that vessel. 0 is the background.
    """

    ct: str
    labels: str
    label_map: str


OWN_PAIRS = PairLayout("*/ct.nii.gz", "*/labels.nii.gz", "heart=1,coronary=2,noncoronary=3")
ORCASCORE = PairLayout("Images/*CTI.mhd", "Reference standard/*R.mhd", "lad=1,lcx=2,rca=3")
"""The training set of orCaScore (Wolterink et al., Med Phys 2016;43:2361-2373): calcium of the left main counts as
LAD there (orcascore.isi.uu.nl/data). ``*CTAI.mhd``, with contrast, is left alone."""


def find_pairs(folder: Path, layout: PairLayout) -> tuple[Candidate, ...]:
    """Return every case of a folder, by name; one that lacks its CT or its labels is refused when it is read.

    Raises
    ------
    ConfigError
        The layout is malformed, or no file has such a name.
    """
    parts = parse_label_map(layout.label_map)
    cts, labels = _matches(folder, layout.ct), _matches(folder, layout.labels)
    if not cts.keys() & labels.keys():
        raise ConfigError(
            f"{folder} holds {len(cts)} x {layout.ct} and {len(labels)} x {layout.labels}, and no * in common; "
            "say with --ct and --labels how the files are named"
        )
    return tuple(
        Candidate(name, partial(_load, cts.get(name), labels.get(name), layout=layout, parts=parts))
        for name in sorted(cts.keys() | labels.keys())
    )


def parse_label_map(text: str) -> dict[int, Part]:
    """Return what each label value means.

    Raises
    ------
    ConfigError
        An entry is no ``word=value``, the word is unknown, or a value is 0, named twice or out of range; all
        complaints together.
    """
    parts: dict[int, Part] = {}
    complaints = []
    for entry in (entry.strip() for entry in text.split(",")):
        word, _, number = entry.partition("=")
        is_known = word.strip().lower() in list(Part) and number.strip().isdecimal()
        value = int(number) if is_known else 0
        if not 1 <= value <= MAX_VALUE:
            complaints.append(f"{entry!r} is not one of {', '.join(Part)} = 1 to {MAX_VALUE}")
        elif value in parts:
            complaints.append(f"value {value} is named twice")
        else:
            parts[value] = Part(word.strip().lower())
    if complaints:
        raise ConfigError("label map: " + "; ".join(complaints))
    return parts


def translate_labels(values_zyx: VoxelArray, parts: dict[int, Part]) -> tuple[UInt8Array, UInt8Array | None]:
    """Return label map and vessel map of stored values; no vessel map where the meanings name no vessel.

    Raises
    ------
    InputError
        Values that are no whole numbers, or that the meanings do not name.
    """
    if values_zyx.dtype.kind == "f" and not np.array_equal(np.rint(values_zyx), values_zyx):
        raise InputError("the labels hold values that are not whole numbers")
    if values_zyx.min() < 0 or values_zyx.max() > MAX_VALUE:
        raise InputError(f"the labels run from {values_zyx.min():g} to {values_zyx.max():g}, expected 0 to {MAX_VALUE}")
    stored_zyx = np.ascontiguousarray(values_zyx, dtype=np.uint16)
    found = np.flatnonzero(np.bincount(stored_zyx.ravel()))
    unknown = [str(value) for value in found if value and int(value) not in parts]
    if unknown:
        raise InputError(
            f"the labels hold the value(s) {', '.join(unknown[:5])}, which the label map does not name; "
            f"background={unknown[0]} would leave it out"
        )
    label_of, vessel_of = np.zeros(MAX_VALUE + 1, np.uint8), np.zeros(MAX_VALUE + 1, np.uint8)
    for value, part in parts.items():
        label_of[value] = _LABELS.get(part, Label.CORONARY)
        vessel_of[value] = _VESSELS.get(part, VesselCode.NONE)
    return label_of[stored_zyx], vessel_of[stored_zyx] if vessel_of.any() else None


def _load(ct: Path | None, labels: Path | None, *, layout: PairLayout, parts: dict[int, Part]) -> LabelledScan:
    if labels is None:
        raise InputError(f"there is no label file {layout.labels} for this CT")
    if ct is None:
        raise InputError(f"there is no CT {layout.ct} for these labels")
    volume = read_single_ct(ct).volume
    values_zyx = _values_on(volume, labels)
    labels_zyx, vessels_zyx = translate_labels(values_zyx, parts)
    return LabelledScan(volume, Labels(labels_zyx, volume.grid), vessels_zyx)


def _values_on(volume: Volume, path: Path) -> VoxelArray:
    """Return a label file's values in the CT's order of voxels; `GridMismatchError` on another grid."""
    source = FileSource(path)
    image = read_voxel_image(source, content=source.read_bytes())
    values_zyx, grid = to_canonical(image.voxels_zyx, image.affine_lps_mm)
    Labels(np.zeros(grid.shape_zyx, np.uint8), grid).check_on(volume)
    return values_zyx


def _matches(folder: Path, pattern: str) -> dict[str, Path]:
    """Return the files whose path below ``folder`` fits, by what the star stands for."""
    if pattern.count("*") != 1 or pattern.startswith("/") or ".." in Path(pattern).parts:
        raise ConfigError(f"{pattern!r} is no path below the folder with one *, which stands for the case's name")
    before, after = pattern.split("*")
    found = {}
    for path in folder.glob(f"{glob.escape(before)}*{glob.escape(after)}"):
        name = path.relative_to(folder).as_posix().removeprefix(before).removesuffix(after)
        if name and not name.startswith("."):
            found[name] = path
    return found
