"""The cases of the conformance suite: what is drawn into each tiny scan, and the right answers."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from calcmap.core.errors import ConfigError
from calcmap.core.volume import BoolArray, Grid, Volume
from calcmap.scoring.rules import get_profile


@dataclass(frozen=True)
class ConformanceBox:
    """A block of equal voxels; ranges are first and last index, both inside."""

    z: tuple[int, int]
    y: tuple[int, int]
    x: tuple[int, int]
    hu: int
    is_marked: bool
    """Whether the mask marks the block."""

    @property
    def index_zyx(self) -> tuple[slice, slice, slice]:
        """The block as array index."""
        (z0, z1), (y0, y1), (x0, x1) = self.z, self.y, self.x
        return slice(z0, z1 + 1), slice(y0, y1 + 1), slice(x0, x1 + 1)


@dataclass(frozen=True)
class Answer:
    """What a scorer says of one case; ``None`` where it says nothing."""

    agatston: float
    volume_mm3: float | None = None
    n_lesions: int | None = None
    mass_mg: float | None = None


@dataclass(frozen=True)
class ConformanceCase:
    """One tiny scan with its mask and its right answer under every profile."""

    id: str
    about: str
    shape_zyx: tuple[int, int, int]
    spacing_mm_zyx: tuple[float, float, float]
    axes_lps: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
    """Directions of growing column, row and slice index (unit vectors, LPS)."""
    background_hu: int
    boxes: tuple[ConformanceBox, ...]
    """Drawn in this order; later boxes replace earlier ones, in the mask as well."""
    answers: dict[str, Answer]
    """By profile."""
    arithmetic: dict[str, str]
    """By profile: how the Agatston score comes about, term by term."""

    def answer(self, profile: str) -> Answer:
        """Return the right answer under a profile.

        Raises
        ------
        ConfigError
            The suite has no answers for the profile.
        """
        if profile not in self.answers:
            raise ConfigError(f"the conformance suite has no answers for {profile!r}, only {', '.join(self.answers)}")
        return self.answers[profile]


@functools.cache
def load_cases() -> tuple[ConformanceCase, ...]:
    """Return every case of the suite, in the order of the file."""
    return tuple(_case(fields) for fields in _suite()["cases"])


def suite_mass_factor() -> float:
    """Return the calibration, mg per cm³ and HU, with which the suite's masses are computed."""
    return float(_suite()["mass_factor_mg_per_cm3_hu"])


def build_case(case: ConformanceCase) -> tuple[Volume, BoolArray]:
    """Return the scan of a case and its mask.

    Parameters
    ----------
    case : ConformanceCase
        One of `load_cases`.

    Returns
    -------
    volume : Volume
        The boxes on the background, HU, on the case's grid with its origin at 0.
    mask_zyx : ndarray of bool, shape of the scan
        True where candidate calcium is marked.
    """
    ct_hu_zyx = np.full(case.shape_zyx, case.background_hu, dtype=np.int16)
    mask_zyx = np.zeros(case.shape_zyx, dtype=np.bool_)
    for box in case.boxes:
        ct_hu_zyx[box.index_zyx] = box.hu
        mask_zyx[box.index_zyx] = box.is_marked
    spacing_mm_xyz = np.array(case.spacing_mm_zyx[::-1])
    affine_lps_mm = np.eye(4)
    affine_lps_mm[:3, :3] = np.array(case.axes_lps).T * spacing_mm_xyz
    return Volume(ct_hu_zyx, Grid(case.shape_zyx, affine_lps_mm)), mask_zyx


# Any: the layout of cases.json is what `_case` reads from it.
@functools.cache
def _suite() -> dict[str, Any]:
    text = resources.files("calcmap.scoring.conformance").joinpath("cases.json").read_text(encoding="utf-8")
    suite: dict[str, Any] = json.loads(text)
    return suite


def _case(fields: dict[str, Any]) -> ConformanceCase:
    axes = fields.get("axes_lps", {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)})
    by_profile = [(get_profile(name).name, answer) for answer in fields["answers"] for name in answer["profiles"]]
    return ConformanceCase(
        id=fields["id"],
        about=fields["about"],
        shape_zyx=tuple(fields["shape_zyx"]),
        spacing_mm_zyx=tuple(fields["spacing_mm_zyx"]),
        axes_lps=(tuple(axes["x"]), tuple(axes["y"]), tuple(axes["z"])),
        background_hu=fields["background_hu"],
        boxes=tuple(_box(box) for box in fields["boxes"]),
        answers={name: _answer(answer) for name, answer in by_profile},
        arithmetic={name: answer["arithmetic"] for name, answer in by_profile},
    )


def _box(fields: dict[str, Any]) -> ConformanceBox:
    return ConformanceBox(
        z=tuple(fields["z"]), y=tuple(fields["y"]), x=tuple(fields["x"]), hu=fields["hu"], is_marked=fields["mask"]
    )


def _answer(fields: dict[str, Any]) -> Answer:
    return Answer(
        agatston=fields["agatston"],
        volume_mm3=fields["volume_mm3"],
        n_lesions=fields["n_lesions"],
        mass_mg=fields.get("mass_mg"),
    )
