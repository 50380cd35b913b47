"""A chest that every quality rule accepts, with calcium of known score, and a cascade that knows its labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calcmap.core.volume import Label, Labels, UInt8Array, Volume
from calcmap.io.ct_writing import CtHeader, write_ct_series
from calcmap.io.nifti import write_volume
from calcmap.segmentation.cascade import Segmentation
from quality.chest_phantom import make_chest

CORONARY_AGATSTON = 180.0
"""Four pixels of 9 mm2 at 350 HU (weight 3) in one slice, slices 5 mm apart: 36 * 3 * 5 / 3."""
NONCORONARY_AGATSTON = 120.0
"""Two pixels at 450 HU (weight 4): 18 * 4 * 5 / 3."""
HEADER = CtHeader(seed="chest", patient_sex="F", patient_age_years=61)


def scored_chest() -> tuple[Volume, Labels]:
    """Return a scan and its labels."""
    chest = make_chest()
    labels = chest.heart_zyx.astype(np.uint8) * np.uint8(Label.HEART)
    for part, hu, label in (
        (np.s_[22, 45:47, 62:64], 350.0, Label.CORONARY),
        (np.s_[25, 60, 75:77], 450.0, Label.NONCORONARY),
    ):
        chest.hu_zyx[part], labels[part] = hu, label
    volume = chest.scan().volume
    return volume, Labels(labels, volume.grid)


class StubCascade:
    """Gives every scan of the right shape the labels it was made with, and others none."""

    def __init__(self, labels_zyx: UInt8Array) -> None:
        self.labels_zyx = labels_zyx
        self.weights_sha256 = {"heart": "a" * 64, "calcium": "b" * 64}
        self.confidence = None

    def segment(self, volume: Volume) -> Segmentation:
        """Return the labels; nothing at all on another grid."""
        is_known = volume.grid.shape_zyx == self.labels_zyx.shape
        labels = self.labels_zyx if is_known else np.zeros(volume.grid.shape_zyx, dtype=np.uint8)
        return Segmentation(Labels(labels, volume.grid), labels > Label.BACKGROUND, {"heart": 0.25, "calcium": 0.5})


def write_chest(folder: Path, *, header: CtHeader = HEADER) -> Path:
    """Write the chest as a DICOM series and return its folder."""
    write_ct_series(scored_chest()[0], folder, header=header)
    return folder


def write_chest_file(path: Path) -> Path:
    """Write the chest as one NIfTI file and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(scored_chest()[0], path)
    return path
