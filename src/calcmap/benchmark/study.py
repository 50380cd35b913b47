"""The study to be timed: one that is given, or one made on the spot."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from calcmap.core.errors import ConfigError
from calcmap.core.volume import BoolArray, Grid, Label, Volume
from calcmap.io.ct_writing import CtHeader, write_ct_series
from calcmap.simulation.patient import Recipe, simulate_patient
from calcmap.simulation.scanner.sites import SITES

INCREMENT_MM = 3.27
"""A usual increment of PET/CT; 60 slices are then 196 mm, the heart and as much lung again."""
AROUND_HEART_MM = (60.0, 60.0)
"""How far the scan reaches beyond the heart before it is cut to the number of slices."""
SITE = replace(
    SITES["pet_ct"],
    kvp=(120.0,),
    increment_mm=(INCREMENT_MM,),
    above_heart_mm=AROUND_HEART_MM,
    below_heart_mm=AROUND_HEART_MM,
)
CATEGORY = 2
"""Score category of the simulated patient: there is calcium for the second network to look at."""


@dataclass(frozen=True)
class StudyPlan:
    """A study to simulate.

    Parameters
    ----------
    slices : int
        Slices of the CT, the heart in their middle.
    seed : int
        Of the patient.
    scale : int
        Coarseness: 1 gives 512 x 512 pixels, 8 gives 64 x 64, for tests.
    """

    slices: int = 60
    seed: int = 1
    scale: int = 1

    @property
    def folder_name(self) -> str:
        """Name of the study's folder, different for each plan."""
        return f"bench-{self.slices}-slices-seed-{self.seed}-scale-{self.scale}"


def make_study(folder: Path, plan: StudyPlan) -> Path:
    """Return the folder of a simulated DICOM study inside ``folder``; one that is there already is used again.

    Raises
    ------
    ConfigError
        The simulated scan has fewer slices than asked for.
    OutputError
        The folder cannot be written.
    """
    study = folder / plan.folder_name
    if study.is_dir():
        return study
    patient = simulate_patient(plan.seed, site=SITE, recipe=Recipe(category=CATEGORY), scale=plan.scale)
    volume = cut_around_heart(patient.volume, patient.labels.labels_zyx == Label.HEART, slices=plan.slices)
    part = study.with_name(study.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    header = CtHeader(
        seed=plan.folder_name,
        patient_id=plan.folder_name,
        patient_sex=patient.facts.sex,
        patient_age_years=round(patient.facts.age_years),
        kvp=patient.facts.acquisition.kvp,
        slice_thickness_mm=patient.facts.acquisition.thickness_mm,
    )
    write_ct_series(volume, part, header=header)
    part.rename(study)
    return study


def cut_around_heart(volume: Volume, heart_zyx: BoolArray, *, slices: int) -> Volume:
    """Return ``slices`` consecutive slices of a CT with the heart as near to their middle as the scan allows.

    Raises
    ------
    ConfigError
        The scan has fewer slices than that.
    """
    n = volume.grid.shape_zyx[0]
    if not 1 <= slices <= n:
        raise ConfigError(f"{slices} slices asked for, the simulated scan has {n}")
    hit = np.flatnonzero(heart_zyx.any(axis=(1, 2)))
    middle = (hit[0] + hit[-1] + 1) / 2 if hit.size else n / 2
    first = min(max(round(middle - slices / 2), 0), n - slices)
    affine = np.array(volume.grid.affine_lps_mm)
    affine[:3, 3] = volume.grid.lps_mm((first, 0, 0))
    ct_hu_zyx = volume.ct_hu_zyx[first : first + slices]
    return Volume(ct_hu_zyx, Grid((slices, *volume.grid.shape_zyx[1:]), affine))
