"""The heart measures what real hearts measure (FACTS 8.3 and the seven labelled scans of ../shared)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.volume import BoolArray, Float32Array, Float64Array
from calcmap.io.cases import load_case_arrays
from calcmap.simulation.anatomy.heart import (
    AORTA,
    FLOOR_MM,
    LEFT_MAIN_MM,
    TOP_ABOVE_LEFT_MAIN_MM,
    heart_distances_mm,
    heart_frame,
    reference_points,
)
from calcmap.simulation.anatomy.person import draw_person
from calcmap.simulation.population.profile import draw_profile

STEP_MM = 4.0
MOST_FAT_MM = 6.5


@dataclass(frozen=True)
class HeartSize:
    volume_ml: float
    box_mm: tuple[float, float, float]
    fat_share: float

    @property
    def fill(self) -> float:
        return 1000 * self.volume_ml / float(np.prod(self.box_mm))


def size_of(heart_zyx: BoolArray, step_zyx: tuple[float, float, float], *, fat_share: float) -> HeartSize:
    extents = [int(np.ptp(axis)) + 1 for axis in np.nonzero(heart_zyx)]
    z, y, x = (n * step for n, step in zip(extents, step_zyx, strict=True))
    return HeartSize(float(heart_zyx.sum() * np.prod(step_zyx)) / 1000, (x, y, z), fat_share)


def simulated_size(seed: int) -> HeartSize:
    rng = np.random.default_rng(seed)
    person = draw_person(rng, profile=draw_profile(rng, category=seed % 4))
    frame = heart_frame(person)
    grid = np.meshgrid(*(np.arange(-116, 117, STEP_MM, dtype=np.float32),) * 3, indexing="ij")
    x, y, z = (axis + np.float32(c) for axis, c in zip(grid[::-1], frame.center_mm, strict=True))
    chambers, sac = heart_distances_mm(frame.to_reference((x, y, z)), fat_mm=person.epicardial_fat_mm)
    left_main = frame.from_reference(np.array([LEFT_MAIN_MM]))[0, 2]
    heart = (sac < 0) & (z < left_main + TOP_ABOVE_LEFT_MAIN_MM * person.heart_scale_xyz[2])
    return size_of(heart, (STEP_MM,) * 3, fat_share=float((heart & (chambers > 0)).sum() / heart.sum()))


@pytest.fixture(scope="module")
def hearts() -> list[HeartSize]:
    return [simulated_size(seed) for seed in range(40)]


def test_volumes_centre_on_real_ones_and_spread_beyond_them(hearts: list[HeartSize]) -> None:
    volumes = np.array([heart.volume_ml for heart in hearts])

    assert 590 <= np.median(volumes) <= 730  # four masks of FACTS 8.3 and seven labels: 466 to 917, median 645
    assert 100 <= volumes.std() <= 200
    assert volumes.min() > 320
    assert volumes.max() < 1250


def test_boxes_and_their_filling_are_those_of_real_hearts(hearts: list[HeartSize]) -> None:
    x, y, z = np.median([heart.box_mm for heart in hearts], axis=0)

    assert 108 <= x <= 133
    assert 98 <= y <= 117
    assert 102 <= z <= 120
    assert 0.41 <= np.median([heart.fill for heart in hearts]) <= 0.48


def test_fat_in_the_sac_runs_from_almost_none_to_a_quarter(hearts: list[HeartSize]) -> None:
    shares = np.array([heart.fat_share for heart in hearts])

    assert shares.min() < 0.07
    assert 0.08 <= np.median(shares) <= 0.2
    assert 0.2 < shares.max() < 0.4


@pytest.mark.real_data
def test_every_real_heart_lies_within_the_simulated_spread(hearts: list[HeartSize], shared_data: Path) -> None:
    folders = sorted(path for path in (shared_data / "real_ct").iterdir() if path.is_dir())
    volumes, boxes = [heart.volume_ml for heart in hearts], np.array([heart.box_mm for heart in hearts])
    assert folders
    for folder in folders:
        volume, labels, _ = load_case_arrays(folder)
        real = size_of(np.isin(labels.labels_zyx, (1, 2)), volume.spacing_mm_zyx, fat_share=0.0)

        assert min(volumes) <= real.volume_ml <= max(volumes), folder.name
        assert (np.abs(boxes.mean(axis=0) - real.box_mm) < 2.5 * boxes.std(axis=0)).all(), folder.name


def surface_points() -> Float64Array:
    points: Float64Array = np.random.default_rng(0).uniform(-60, 60, (4000, 3))
    return points


def sac_of(points_mm: Float64Array, *, fat_mm: float) -> Float32Array:
    return heart_distances_mm(reference_points(points_mm), fat_mm=fat_mm)[1]


def test_more_fat_never_makes_the_sac_smaller() -> None:
    points = surface_points()

    assert (sac_of(points, fat_mm=MOST_FAT_MM) <= sac_of(points, fat_mm=0.0) + 1e-4).all()


def test_the_sac_holds_the_chambers_above_the_diaphragm() -> None:
    points = surface_points()
    points = points[points[:, 2] > FLOOR_MM + 25]
    chambers, sac = heart_distances_mm(reference_points(points), fat_mm=1.0)

    assert (sac[chambers < 0] < 0.5).all()


def test_the_aortic_root_is_inside_the_sac_and_widest_at_its_sinuses() -> None:
    assert (sac_of(AORTA.points_mm[:4], fat_mm=0.0) < 0).all()
    assert int(np.argmax(AORTA.radii_mm)) == 1


def test_reference_and_model_coordinates_are_inverse() -> None:
    rng = np.random.default_rng(4)
    frame = heart_frame(draw_person(rng, profile=draw_profile(rng, category=1)))
    points = surface_points()[:50]
    back = np.stack(frame.to_reference(reference_points(frame.from_reference(points))), axis=1)

    assert back == pytest.approx(points, abs=1e-3)
