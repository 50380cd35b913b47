"""A small scan with four lesions of known score, the machine's result on it, and what the machine missed.

Pixels have 1 mm², slices are 3 mm apart: a pixel of 250 HU scores 2, one of 350 HU 3, one of 450 HU 4.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calcmap.core.result import StudyResult
from calcmap.core.scan import Acquisition, Scan
from calcmap.core.volume import Label, Labels, UInt8Array, Volume, grid_from_spacing
from calcmap.pipeline.score import count_vessels
from calcmap.scoring import PROFILES, Scoring, VesselCode, paper_category, score_volume
from core.results import scored_result

SHAPE_ZYX = (8, 60, 60)
LAD = (2, 21, 21)
"""A voxel of the LAD lesion: 2 slices of 4 px at 250 HU, 16."""
RCA = (4, 40, 20)
"""4 px at 450 HU, 16 as well; ends where the machine called the rest aortic."""
AORTA = (4, 40, 22)
"""6 px at 350 HU beside it, noncoronary, 18."""
UNNAMED = (6, 30, 40)
"""4 px at 140 HU, coronary, of no vessel: 4."""
MISSED = (1, 45, 45)
"""9 px at 260 HU that the machine left out: 18."""
BONE = (5, 5, 5)
"""A rod through all slices and most columns, 500 HU."""
TISSUE = (0, 30, 30)
MACHINE_SCORE = 36.0


def reviewed_volume() -> Volume:
    """Return the CT."""
    ct_hu_zyx = np.full(SHAPE_ZYX, 40, dtype=np.int16)
    ct_hu_zyx[2:4, 20:22, 20:22] = 250
    ct_hu_zyx[4, 40:42, 20:22] = 450
    ct_hu_zyx[4, 40:42, 22:25] = 350
    ct_hu_zyx[6, 30:32, 40:42] = 140
    ct_hu_zyx[1, 44:47, 44:47] = 260
    ct_hu_zyx[:, 4:8, 2:56] = 500
    return Volume(ct_hu_zyx, grid_from_spacing(SHAPE_ZYX, (3.0, 1.0, 1.0), origin_lps_mm=(-30.0, -40.0, 100.0)))


def machine_labels() -> tuple[UInt8Array, UInt8Array]:
    """Return the machine's label map and vessel map."""
    labels_zyx, vessels_zyx = (np.zeros(SHAPE_ZYX, dtype=np.uint8) for _ in range(2))
    labels_zyx[:, 15:50, 10:34] = Label.HEART
    for part, label, vessel in (
        (np.s_[2:4, 20:22, 20:22], Label.CORONARY, VesselCode.LAD),
        (np.s_[4, 40:42, 20:22], Label.CORONARY, VesselCode.RCA),
        (np.s_[4, 40:42, 22:25], Label.NONCORONARY, VesselCode.NONE),
        (np.s_[6, 30:32, 40:42], Label.CORONARY, VesselCode.NONE),
    ):
        labels_zyx[part], vessels_zyx[part] = label, vessel
    return labels_zyx, vessels_zyx


def machine_scan(volume: Volume | None = None) -> Scan:
    """Return the scan; a mass factor and a sex and age come with it."""
    acquisition = Acquisition("dicom", kvp=120.0, mass_factor_mg_per_cm3_hu=0.8, patient_sex="F", patient_age_years=61)
    return Scan(volume or reviewed_volume(), acquisition, "1.2.3", "c" * 64)


def result_of(scoring: Scoring, *, study: str = "study_07", input_sha256: str = "c" * 64) -> StudyResult:
    """Return a result with the scores of a scoring, and everything else of `scored_result`."""
    made = scored_result()
    category = paper_category(scoring.coronary.agatston, n_vessels=count_vessels(scoring))
    return replace(
        made,
        study=study,
        coronary=scoring.coronary,
        noncoronary=scoring.noncoronary,
        category=category,
        vessels=scoring.vessels,
        lesions=scoring.lesions,
        method=scoring.method,
        provenance=replace(made.provenance, input_sha256=input_sha256),
    )


def machine_result(*, profile: str = "clinical", has_vessels: bool = True) -> tuple[Scan, Labels, StudyResult]:
    """Return scan, label map and result as ``calcmap score`` would make them."""
    scan = machine_scan()
    labels_zyx, vessels_zyx = machine_labels()
    scoring = score_volume(
        scan.volume,
        labels_zyx,
        rule=PROFILES[profile],
        mass_factor=0.8,
        vessels_zyx=vessels_zyx if has_vessels else None,
        kvp=120.0,
    )
    return scan, Labels(labels_zyx, scan.volume.grid), result_of(scoring)
