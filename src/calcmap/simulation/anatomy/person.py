"""Who is scanned: sex, age, size, and the body measures that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import Float64Array
from calcmap.simulation.population.profile import Profile

SPINE_SHARE = 0.43
"""Depth of the vertebral bodies' centres behind the chest's middle, over its half depth (seven real CTs)."""
VERTEBRA_HALF_DEPTH_MM = 14.0
HEART_HALF_DEPTH_MM = 56.0
HEART_SIZE_RANGE = (0.58, 1.3)
"""Smallest and largest heart volume over the reference heart's: about 400 to 1100 mL with fat."""
BREAST_IMPLANT_SHARE = 0.03
ARMS_DOWN_SHARE = 0.08


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
    muscle_mm: float
    kyphosis: float
    """Backward bend of the spine: mm at 100 mm from the heart's height."""
    heart_center_mm: tuple[float, float, float]
    heart_scale_xyz: tuple[float, float, float]
    heart_tilt_rad: tuple[float, float, float]
    """Rotation of the heart about x, y, z."""
    epicardial_fat_mm: float
    right_dome_mm: float
    """Top of the right diaphragm dome over the heart's lowest point."""
    left_dome_mm: float
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


def draw_person(rng: np.random.Generator, *, profile: Profile) -> Person:
    """Return a random build of a patient."""
    is_male, age, height, bmi = profile.sex == "M", profile.age_years, profile.height_cm, profile.bmi
    size = height / 170 * (1.0 if is_male else 0.97)
    half_width = float(np.clip(rng.normal(124 * size, 8), 98, 155))
    half_depth = float(np.clip(rng.normal(90 * size + 1.0 * (bmi - 26), 8), 66, 128))
    scale = rng.normal(1.0, 0.06) * size**0.7 * (1 + 0.006 * (bmi - 27)) * (1.0 if is_male else 0.95)
    scales = _fitted(scale * np.exp(rng.normal(0, 0.05, 3)) * [1.0, 1.0, 1.05], half_depth=half_depth)
    return Person(
        sex=profile.sex,
        age_years=age,
        height_cm=height,
        bmi=bmi,
        chest_half_width_mm=half_width,
        chest_half_depth_mm=half_depth,
        fat_mm=float(np.clip((1.3 if is_male else 1.6) * (bmi - 18) + rng.normal(3, 4), 3, 50)),
        muscle_mm=float(rng.uniform(5, 11) * (1.15 if is_male else 0.85)),
        kyphosis=float(rng.uniform(2, 14)),
        heart_center_mm=_heart_center(
            rng, half_depth=half_depth, heart_half_depth=HEART_HALF_DEPTH_MM * float(scales[1])
        ),
        heart_scale_xyz=(float(scales[0]), float(scales[1]), float(scales[2])),
        heart_tilt_rad=(float(rng.normal(0, 0.12)), float(rng.normal(0.14, 0.12)), float(rng.normal(0, 0.2))),
        epicardial_fat_mm=float(np.clip(rng.normal(1.6 + 0.1 * (bmi - 26), 1.2), 0.6, 7)),
        right_dome_mm=float(np.clip(rng.normal(30, 13), 8, 65)),
        left_dome_mm=float(np.clip(rng.normal(14, 11), 0, 48)),
        breast_mm=0.0 if is_male else float(np.clip(rng.normal(32 + 1.2 * (bmi - 26), 12), 8, 80)),
        has_implants=not is_male and bool(rng.random() < BREAST_IMPLANT_SHARE),
        has_arms_down=bool(rng.random() < ARMS_DOWN_SHARE),
        bone_hu=float(np.clip(rng.normal(240 - 2.2 * (age - 50), 40), 60, 330)),
        blood_hu=(blood := float(rng.normal(42, 4))),
        myocardium_hu=blood + float(rng.uniform(0, 8)),
        lung_hu=float(rng.normal(-850, 30)),
        liver_hu=float(np.clip(rng.normal(55, 9), 5, 72)),
    )


def _fitted(scales_xyz: Float64Array, *, half_depth: float) -> Float64Array:
    """Return heart scales that fit between sternum and spine: in a flat chest the heart is flat and wide."""
    room = (SPINE_SHARE + 1) * half_depth - VERTEBRA_HALF_DEPTH_MM + 4
    squeeze = min(1.0, room / (2 * HEART_HALF_DEPTH_MM * float(scales_xyz[1])))
    fitted: Float64Array = scales_xyz * [squeeze**-0.5, squeeze, squeeze**-0.25]
    size = float(np.prod(fitted))
    fitted *= (np.clip(size, *HEART_SIZE_RANGE) / size) ** (1 / 3)
    return fitted


def _heart_center(
    rng: np.random.Generator, *, half_depth: float, heart_half_depth: float
) -> tuple[float, float, float]:
    """Return the box centre: the heart lies behind the front wall, left of the middle (measured on seven real CTs)."""
    front = -half_depth + heart_half_depth + rng.uniform(0, 9)
    spine = SPINE_SHARE * half_depth - VERTEBRA_HALF_DEPTH_MM - heart_half_depth + 3
    y = min(front + 0.2 * max(spine - front, 0.0), spine)
    return float(rng.normal(20, 9)), float(y), 0.0
