"""Who is scanned: sex, age, size, and the body measures that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from calcmap.core.errors import ConfigError
from calcmap.core.volume import Float64Array
from calcmap.simulation.population.profile import Profile

SPINE_SHARE = 0.48
"""Depth of the vertebral bodies' centres behind the chest's middle, over its half depth (seven real CTs)."""
VERTEBRA_HALF_DEPTH_MM = 14.0
HEART_HALF_DEPTH_MM = 55.0
HEART_SIZE_RANGE = (0.6, 1.85)
"""Smallest and largest heart over the reference heart: about 380 to 1150 mL with fat."""
HEART_SIZE_LOG_SD = 0.17
"""Spread of heart volumes of one body size (FACTS 8.3 and seven real scans together: 466 to 917 mL)."""
HEART_BOX_FACTORS = (0.93, 1.0, 1.075)
"""Proportions that turn the reference heart into the mean of the real ones' boxes."""
BREAST_IMPLANT_SHARE = 0.03
ARMS_DOWN_SHARE = 0.08
ANAEMIA_SHARE = 0.08
FATTY_LIVER_PER_BMI = 0.02
"""Share of fatty livers per unit of BMI above 22 (our choice: about a fifth of such patients)."""
HIATUS_HERNIA_SHARE = 0.05
EFFUSION_SHARE = 0.12
"""Share with enough fluid in the pericardium to be seen (our choice)."""


@dataclass(frozen=True)
class Person:
    """One patient's measures; lengths in mm, in the thorax's own coordinates (origin at the heart box's height)."""

    sex: str
    age_years: float
    height_cm: float
    bmi: float
    chest_half_width_mm: float
    """Half the inner width of the rib cage at heart level."""
    chest_half_depth_mm: float
    fat_mm: float
    """Subcutaneous fat at the side of the chest."""
    visceral_fat: float
    """Fat inside chest and belly: 0 lean, 1 usual, above 2 very much."""
    muscle_mm: float
    kyphosis: float
    """Backward bend of the spine: mm at 100 mm from the heart's height."""
    heart_center_mm: tuple[float, float, float]
    heart_scale_xyz: tuple[float, float, float]
    heart_tilt_rad: tuple[float, float, float]
    """Rotation of the heart about x, y, z."""
    epicardial_fat_mm: float
    pericardial_fluid_mm: float
    """Thickness of the fluid layer at the heart's back; 0 in most."""
    aorta_mm: float
    """Radius of the ascending aorta."""
    aorta_elongation: float
    """0 straight, 1 long and winding."""
    right_dome_mm: float
    """Top of the right diaphragm dome over the heart's floor."""
    left_dome_mm: float
    has_hiatus_hernia: bool
    breast_mm: float
    """Breast thickness; 0 in men."""
    has_implants: bool
    has_arms_down: bool
    bone_hu: float
    """Mean trabecular bone, at 120 kVp."""
    blood_hu: float
    myocardium_hu: float
    lung_hu: float
    liver_hu: float


def draw_person(
    rng: np.random.Generator, *, profile: Profile, spread: float = 1.0, arms_down_share: float = ARMS_DOWN_SHARE
) -> Person:
    """Return a random build of a patient.

    Parameters
    ----------
    rng : Generator
        Source of chance.
    profile : Profile
        Sex, age, height and BMI, kept as they are.
    spread : float
        Multiplies the random part of every body measure: 0 gives the mean build of the profile.
    arms_down_share : float
        Probability of arms beside the body.

    Returns
    -------
    Person
        Every measure within the limits of its kind, whatever the spread.

    Raises
    ------
    ConfigError
        ``spread`` is negative or ``arms_down_share`` is no probability.

    Notes
    -----
    Means and correlations are our choice, measured on seven real scans, unless a constant names its source.
    """
    if spread < 0 or not 0 <= arms_down_share <= 1:
        raise ConfigError(f"spread is {spread} and arms_down_share {arms_down_share}, expected 0 or more and 0 to 1")
    draw = _Draw(rng, spread)
    is_male, age, bmi = profile.sex == "M", profile.age_years, profile.bmi
    fat = draw.within(0.85 + 0.085 * (bmi - 27) + (0.15 if is_male else -0.1) + 0.008 * (age - 65), 0.35, (0.0, 3.0))
    return Person(
        sex=profile.sex,
        age_years=age,
        height_cm=profile.height_cm,
        bmi=bmi,
        **_draw_trunk(draw, profile, visceral_fat=fat),
        visceral_fat=fat,
        epicardial_fat_mm=draw.within(0.2 + 1.5 * fat, 0.55, (0.0, 6.5)),
        pericardial_fluid_mm=float(rng.uniform(1.5, 6.0)) if rng.random() < EFFUSION_SHARE else 0.0,
        aorta_mm=draw.within(15.6 + 0.06 * (age - 60) + (0.8 if is_male else -0.5) + 0.05 * (bmi - 27), 1.5, (12, 24)),
        aorta_elongation=draw.within(0.4 + 0.014 * (age - 60), 0.25, (0.0, 1.2)),
        has_hiatus_hernia=bool(rng.random() < HIATUS_HERNIA_SHARE * age / 65),
        breast_mm=0.0 if is_male else draw.within(32 + 1.2 * (bmi - 26), 12, (8, 80)),
        has_implants=not is_male and bool(rng.random() < BREAST_IMPLANT_SHARE),
        has_arms_down=bool(rng.random() < arms_down_share),
        **_draw_hu(draw, profile),
    )


@dataclass(frozen=True)
class _Draw:
    """Normal random measures whose spread is scaled."""

    rng: np.random.Generator
    spread: float

    def normal(self, mean: float, sd: float) -> float:
        return float(mean + self.spread * sd * self.rng.standard_normal())

    def within(self, mean: float, sd: float, limits: tuple[float, float]) -> float:
        return float(np.clip(self.normal(mean, sd), *limits))


class _Trunk(TypedDict):
    chest_half_width_mm: float
    chest_half_depth_mm: float
    fat_mm: float
    muscle_mm: float
    kyphosis: float
    heart_center_mm: tuple[float, float, float]
    heart_scale_xyz: tuple[float, float, float]
    heart_tilt_rad: tuple[float, float, float]
    right_dome_mm: float
    left_dome_mm: float


def _draw_trunk(draw: _Draw, profile: Profile, *, visceral_fat: float) -> _Trunk:
    """Return the chest's size and the heart's in it: flat and deep chests, horizontal and vertical hearts."""
    is_male, age, bmi = profile.sex == "M", profile.age_years, profile.bmi
    size = profile.height_cm / 170 * (1.0 if is_male else 0.97)
    half_width = draw.within(124 * size, 8, (98, 155))
    half_depth = draw.within(95 * size + 1.0 * (bmi - 26) + 0.12 * (age - 60), 12, (58, 135))
    scales = _heart_scales(draw, profile, half_depth=half_depth)
    dome = draw.within(23 + 8 * (visceral_fat - 1), 14, (-4, 66))
    return _Trunk(
        chest_half_width_mm=half_width,
        chest_half_depth_mm=half_depth,
        fat_mm=draw.within((1.3 if is_male else 1.6) * (bmi - 18) + 3, 4, (2, 50)),
        muscle_mm=draw.within(8.0, 1.8, (4, 13)) * (1.15 if is_male else 0.85),
        kyphosis=draw.within(6 + 0.12 * (age - 60), 3.5, (0, 22)),
        heart_center_mm=_heart_center(draw, half_depth=half_depth, heart_half_depth=HEART_HALF_DEPTH_MM * scales[1]),
        heart_scale_xyz=scales,
        heart_tilt_rad=(
            draw.normal(0, 0.1), draw.normal(0.02 - 0.004 * (dome - 23) - 0.012 * (bmi - 27), 0.1), draw.normal(0, 0.18)
        ),
        right_dome_mm=dome,
        left_dome_mm=draw.within(dome - 12, 8, (-14, 54)),
    )  # fmt: skip


class _Hounsfield(TypedDict):
    bone_hu: float
    blood_hu: float
    myocardium_hu: float
    lung_hu: float
    liver_hu: float


def _draw_hu(draw: _Draw, profile: Profile) -> _Hounsfield:
    rng = draw.rng
    blood = draw.within(43 + (1.5 if profile.sex == "M" else -1.5), 3.0, (34, 53))
    if rng.random() < ANAEMIA_SHARE:
        blood -= float(rng.uniform(5, 13))
    is_fatty = rng.random() < FATTY_LIVER_PER_BMI * (profile.bmi - 22)
    return _Hounsfield(
        bone_hu=draw.within(240 - 2.2 * (profile.age_years - 50), 40, (60, 330)),
        blood_hu=blood,
        myocardium_hu=max(blood, draw.normal(45, 2.5)),
        lung_hu=draw.within(-850, 30, (-930, -740)),
        liver_hu=float(rng.uniform(0, 42)) if is_fatty else draw.within(57, 5, (44, 72)),
    )


def _heart_scales(draw: _Draw, profile: Profile, *, half_depth: float) -> tuple[float, float, float]:
    """Return heart scales along x, y, z: size from body size, sex and chance, shape from the room there is."""
    area = np.sqrt(profile.height_cm * profile.bmi * (profile.height_cm / 100) ** 2 / 3600)
    by_sex, by_age = 1.12 if profile.sex == "M" else 1.0, 1 + 0.002 * (profile.age_years - 65)
    volume = (area / 1.9) ** 0.8 * by_sex * by_age
    volume *= float(np.exp(draw.normal(0, HEART_SIZE_LOG_SD)))
    shape = np.exp([draw.normal(0, 0.06) for _ in range(3)])
    scales = np.cbrt(volume) * np.asarray(HEART_BOX_FACTORS) * shape / np.cbrt(shape.prod())
    return _fitted(scales, half_depth=half_depth)


def _fitted(scales_xyz: Float64Array, *, half_depth: float) -> tuple[float, float, float]:
    """Return heart scales that fit between sternum and spine: in a flat chest the heart is flat, wide and tall."""
    size = float(np.prod(scales_xyz))
    sized = scales_xyz * (np.clip(size, *HEART_SIZE_RANGE) / size) ** (1 / 3)
    room = (SPINE_SHARE + 1) * half_depth - VERTEBRA_HALF_DEPTH_MM + 2
    squeeze = min(1.0, room / (2 * HEART_HALF_DEPTH_MM * float(sized[1])))
    x, y, z = sized * [squeeze**-0.45, squeeze, squeeze**-0.45]
    return float(x), float(y), float(z)


def _heart_center(draw: _Draw, *, half_depth: float, heart_half_depth: float) -> tuple[float, float, float]:
    """Return the box centre: the heart lies behind the front wall, left of the middle (measured on seven real CTs)."""
    front = -half_depth + heart_half_depth + draw.within(2.5, 3, (-1, 12))
    spine = SPINE_SHARE * half_depth - VERTEBRA_HALF_DEPTH_MM - heart_half_depth + 1
    y = min(front + 0.08 * max(spine - front, 0.0), spine)
    return draw.within(22, 7, (2, 42)), float(y), 0.0
