"""Where the tracer goes: the wall of the left ventricle with its defects, liver, body and lungs.

As simple as a picture may be that only has to be of the right heart, in the right place, with a defect of the right
size: no gating, no scatter, no bowel.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from scipy import ndimage

from calcmap.core.errors import ConfigError
from calcmap.core.volume import BoolArray, Float32Array, Float64Array
from calcmap.simulation.anatomy.heart import LEFT_CAVITY, LEFT_VENTRICLE, RIGHT_VENTRICLE
from calcmap.simulation.anatomy.shapes import Coordinates, ellipsoid
from calcmap.simulation.anatomy.thorax import Anatomy, heart_floor_mm

BODY_UPTAKE, LUNG_UPTAKE, LIVER_UPTAKE, RIGHT_UPTAKE = 0.08, 0.04, 0.45, 0.2
"""Tracer over that in the healthy left ventricle's wall (our choice; a tracer such as sestamibi at rest or stress)."""
RIGHT_WALL_MM = 4.0
TISSUE_FROM_HU = -400.0
SEVERITY = 0.7
"""Uptake that a defect takes away where it is deepest (our choice)."""
DEFECT_EDGE = 0.25
"""Width of a defect's edge, in cosines about its middle (our choice)."""
ABNORMAL_SHARE_BY_CATEGORY = (0.10, 0.18, 0.28, 0.38)
"""Share of studies with a real defect, for patients without a clinical table (our choice: rises with calcium)."""
ABNORMAL_FROM_PERCENT = 5.0
MEAN_ABOVE_PERCENT = 7.0
NORMAL_SD_PERCENT = 1.5
HIGHEST_TPD_PERCENT = 45.0


class Territory(Enum):
    """Whose ground a defect lies on: its middle, as parts of apex, anterior wall and left lateral wall."""

    LAD = (0.55, 0.75, -0.1)
    LCX = (0.1, 0.1, 1.0)
    RCA = (0.1, -1.0, 0.1)


@dataclass(frozen=True)
class Perfusion:
    """What a perfusion study shows.

    Parameters
    ----------
    stress_tpd_percent, rest_tpd_percent : float
        Total perfusion deficit: extent times severity, percent of the left ventricle.
    territory : Territory
        Where the defect lies.

    Raises
    ------
    ConfigError
        A deficit is not within 0 to 100 percent.
    """

    stress_tpd_percent: float
    rest_tpd_percent: float
    territory: Territory

    def __post_init__(self) -> None:
        worst = max(self.stress_tpd_percent, self.rest_tpd_percent)
        if min(self.stress_tpd_percent, self.rest_tpd_percent) < 0 or worst > 100:
            raise ConfigError(
                f"perfusion deficits are {self.stress_tpd_percent} and {self.rest_tpd_percent} %, expected 0 to 100"
            )


def draw_perfusion(rng: np.random.Generator, *, category: int) -> Perfusion:
    """Return a random finding for a patient of one calcium category (0 to 3) who has no row in a clinical table."""
    if rng.random() < ABNORMAL_SHARE_BY_CATEGORY[category]:
        stress = min(ABNORMAL_FROM_PERCENT + rng.exponential(MEAN_ABOVE_PERCENT), HIGHEST_TPD_PERCENT)
    else:
        stress = min(abs(rng.normal(0, NORMAL_SD_PERCENT)), ABNORMAL_FROM_PERCENT)
    rest = stress * rng.uniform(0.0, 0.7)
    territory = tuple(Territory)[int(rng.integers(len(Territory)))]
    return Perfusion(round(float(stress), 1), round(float(rest), 1), territory)


def tracer_uptake(
    anatomy: Anatomy, model_xyz: Coordinates, ct_hu_zyx: Float32Array, *, tpd_percent: float, territory: Territory
) -> Float32Array:
    """Return the tracer's concentration, 1 in the healthy wall of the left ventricle.

    Parameters
    ----------
    anatomy : Anatomy
        Whose heart.
    model_xyz : tuple of ndarray
        Model coordinates of the voxels, mm.
    ct_hu_zyx : ndarray of float32
        The same voxels' mean HU: says what is body and what is lung.
    tpd_percent : float
        Size of the defect.
    territory : Territory
        Its place.

    Returns
    -------
    ndarray of float32
        Shape of ``ct_hu_zyx``; partial volumes at edges are shares.
    """
    reference = anatomy.frame.to_reference(model_xyz)
    step_mm = _step_mm(model_xyz)
    uptake = np.where(ct_hu_zyx > TISSUE_FROM_HU, BODY_UPTAKE, LUNG_UPTAKE) * _body(ct_hu_zyx)
    _lay(uptake, _share(_liver_distance_mm(anatomy, model_xyz), step_mm), LIVER_UPTAKE)
    right_mm = np.asarray(RIGHT_VENTRICLE.distance_mm(reference))
    _lay(uptake, _share(right_mm, step_mm), RIGHT_UPTAKE)
    _lay(uptake, _share(right_mm + np.float32(RIGHT_WALL_MM), step_mm), BODY_UPTAKE)
    defect = defect_depth(reference, tpd_percent=tpd_percent, territory=territory)
    _lay(uptake, _share(LEFT_VENTRICLE.distance_mm(reference), step_mm), 1 - defect)
    _lay(uptake, _share(LEFT_CAVITY.distance_mm(reference), step_mm), BODY_UPTAKE)
    return uptake.astype(np.float32)


def defect_depth(reference: Coordinates, *, tpd_percent: float, territory: Territory) -> Float32Array:
    """Return the share of uptake that is missing, by the direction from the left ventricle's middle.

    The defect is a cap about the territory's middle. Over all directions its depth averages to ``tpd_percent``; larger
    deficits than `SEVERITY` allows fill the whole ventricle.
    """
    offset = [axis - np.float32(c) for axis, c in zip(reference, LEFT_VENTRICLE.center_mm, strict=True)]
    middle = _middle_of(territory)
    norm = np.sqrt(offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2) + np.float32(1e-3)
    cosine = (offset[0] * middle[0] + offset[1] * middle[1] + offset[2] * middle[2]) / norm
    # a cap within cosine c of its middle covers (1 - c) / 2 of the sphere, and a linear edge about c changes nothing
    limit = 1 - 2 * tpd_percent / 100 / SEVERITY
    edge = min(DEFECT_EDGE, 1 - limit)
    if edge <= 0:
        return np.zeros_like(cosine, dtype=np.float32)
    depth: Float32Array = (SEVERITY * np.clip((cosine - limit) / (2 * edge) + 0.5, 0, 1)).astype(np.float32)
    return depth


def _middle_of(territory: Territory) -> Float64Array:
    """Return the unit vector from the left ventricle's middle to that of a territory, reference axes."""
    apex = LEFT_VENTRICLE.rotation[0]
    anterior = _perpendicular(np.array([0.0, -0.4, 1.0]), apex)
    lateral = _perpendicular(np.array([1.0, 0.6, 0.0]), apex)
    along = np.array(territory.value) @ np.stack([apex, anterior, lateral])
    middle: Float64Array = along / np.linalg.norm(along)
    return middle


def _perpendicular(vector: Float64Array, axis: Float64Array) -> Float64Array:
    left = vector - (vector @ axis) * axis
    perpendicular: Float64Array = left / np.linalg.norm(left)
    return perpendicular


def _body(ct_hu_zyx: Float32Array) -> BoolArray:
    """Return the patient without table and air: the largest piece of tissue, lungs filled in."""
    pieces, n_pieces = ndimage.label(ct_hu_zyx > TISSUE_FROM_HU)
    body = np.zeros(ct_hu_zyx.shape, dtype=np.bool_)
    if n_pieces:
        largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
        for k, plane in enumerate(largest):
            body[k] = ndimage.binary_fill_holes(plane)
    return body


def _liver_distance_mm(anatomy: Anatomy, model_xyz: Coordinates) -> Float32Array:
    """Return the distance to a liver under the right dome: about where the CT's painted one is."""
    person = anatomy.person
    wide, deep = person.chest_half_width_mm, person.chest_half_depth_mm
    top = heart_floor_mm(person) + person.right_dome_mm
    return ellipsoid((-0.42 * wide, -4.0, top - 66), (0.56 * wide, 0.8 * deep, 62)).distance_mm(model_xyz)


def _step_mm(model_xyz: Coordinates) -> np.float32:
    return np.float32(abs(float(np.diff(model_xyz[0][0, 0, :2])[0])))


def _share(distance_mm: Float32Array, step_mm: np.float32) -> Float32Array:
    share: Float32Array = np.clip(np.float32(0.5) - distance_mm / step_mm, 0, 1)
    return share


def _lay(uptake: Float64Array, share: Float32Array, value: float | Float32Array) -> None:
    """Put a tissue over what is there, in place."""
    uptake += share * (value - uptake)
