"""Great vessels run where they run in people, and the painted inside of a chest has the tissues it should have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from calcmap.core.errors import GeometryError
from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.abdomen import abdomen_distance_mm, diaphragm_mm
from calcmap.simulation.anatomy.cardiac import confined, heart_field, heart_share, paint_heart
from calcmap.simulation.anatomy.chest import paint_thorax
from calcmap.simulation.anatomy.deformation import draw_deformation
from calcmap.simulation.anatomy.heart import (
    LEFT_CAVITY,
    LEFT_MAIN_MM,
    TOP_ABOVE_LEFT_MAIN_MM,
    heart_distances_mm,
    heart_frame,
    reference_points,
)
from calcmap.simulation.anatomy.lungs import airway_curves
from calcmap.simulation.anatomy.mediastinum import great_vessel_curve, venous_line_curve
from calcmap.simulation.anatomy.person import draw_person
from calcmap.simulation.anatomy.shapes import Canvas
from calcmap.simulation.anatomy.thorax import TILE, Anatomy, Thorax, heart_floor_mm, refined
from calcmap.simulation.population.profile import Profile

LOW, HIGH = np.array([-190.0, -160.0, -130.0]), np.array([190.0, 150.0, 130.0])


def anatomy_of(seed: int, *, age: float = 65.0, bmi: float = 27.0) -> Anatomy:
    rng = np.random.default_rng(seed)
    profile = Profile(category=0, sex="MF"[seed % 2], age_years=age, height_cm=170.0, bmi=bmi)
    person = draw_person(rng, profile=profile, arms_down_share=0.0)
    bend = draw_deformation(rng, low_mm_xyz=LOW - 100, high_mm_xyz=HIGH + 100, sd_mm=2.0)
    return Anatomy(person, heart_frame(person), bend)


def thorax_of(anatomy: Anatomy, *, low_z_mm: float = -130.0, high_z_mm: float = 130.0) -> Thorax:
    steps = (4.0, 2.7, 2.7)
    axes = tuple(
        np.arange(a, b, s) for a, b, s in zip((low_z_mm, *LOW[1::-1]), (high_z_mm, *HIGH[1::-1]), steps, strict=True)
    )
    grid = (axes[0], axes[1], axes[2])
    canvas = Canvas(grid, anatomy.deformation.model_grid(grid), slack_mm=anatomy.deformation.slack_mm)
    tile = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((TILE,) * 3), 1.3, mode="wrap")
    return Thorax(anatomy.person, anatomy.frame, anatomy.deformation, canvas, (5,),
                  (tile / tile.std()).astype(np.float32))  # fmt: skip


@dataclass(frozen=True)
class Painted:
    thorax: Thorax
    share: Float32Array


@pytest.fixture(scope="module", params=[(2, 19.0), (5, 36.0)], ids=["lean", "stout"])
def painted(request: pytest.FixtureRequest) -> Painted:
    seed, bmi = request.param
    thorax = thorax_of(anatomy_of(seed, bmi=bmi))
    return Painted(thorax, paint_thorax(thorax))


def hu_at(painted: Painted, points_mm: Float64Array) -> Float32Array:
    """Return the painted HU nearest to model points that lie on the canvas."""
    canvas = painted.thorax.canvas
    patient = painted.thorax.patient_points(points_mm)
    index = [np.rint((patient[:, 2 - k] - axis[0]) / (axis[1] - axis[0])).astype(int)
             for k, axis in enumerate(canvas.axes_mm_zyx)]  # fmt: skip
    inside = np.all([(i >= 0) & (i < n) for i, n in zip(index, canvas.hu.shape, strict=True)], axis=0)
    return canvas.hu[index[0][inside], index[1][inside], index[2][inside]]


@pytest.mark.parametrize("seed", range(6))
def test_the_descending_aorta_runs_beside_heart_and_spine_not_through_them(seed: int) -> None:
    anatomy = anatomy_of(seed, age=50.0 + 7 * seed, bmi=20.0 + 3 * seed)
    curve, radii = great_vessel_curve(anatomy, "aorta")
    z_top = curve[:, 2].max()
    down = curve[
        (np.arange(len(curve)) > int(np.argmax(curve[:, 2]))) & (curve[:, 2] < z_top - 45) & (curve[:, 2] > -90)
    ]
    reference = anatomy.frame.to_reference(reference_points(down))
    sac = heart_distances_mm(reference, fat_mm=anatomy.person.epicardial_fat_mm)[1]
    from_spine = np.hypot(down[:, 0], down[:, 1] - anatomy.spine_y_mm(down[:, 2]))

    assert len(down) > 20
    assert sac.min() > 0
    assert from_spine.min() > 20
    assert radii.min() > 6


@pytest.mark.parametrize("seed", range(6))
def test_the_aorta_keeps_clear_of_the_windpipe(seed: int) -> None:
    anatomy = anatomy_of(seed)
    curve, radii = great_vessel_curve(anatomy, "aorta")
    windpipe, width = airway_curves(anatomy)[0]
    high = curve[:, 2] > windpipe[:, 2].min()
    apart = np.linalg.norm(curve[high][:, None, :2] - windpipe[None, :, :2], axis=2)
    near = np.abs(curve[high][:, None, 2] - windpipe[None, :, 2]) < 6

    assert (apart[near] > (radii[high][:, None] + 0.5 * width[None, :])[near]).all()


def test_the_arch_tops_the_heart_by_some_centimetres() -> None:
    for seed in range(6):
        anatomy = anatomy_of(seed)
        left_main = anatomy.frame.from_reference(np.array([LEFT_MAIN_MM]))[0]
        top = great_vessel_curve(anatomy, "aorta")[0][:, 2].max()

        assert 35 <= top - left_main[2] <= 90


def test_an_old_aorta_is_wider_and_reaches_further_to_the_left() -> None:
    young, old = ([great_vessel_curve(anatomy_of(seed, age=age), "aorta") for seed in range(8)] for age in (25.0, 92.0))

    assert np.mean([r[10] for _, r in old]) > np.mean([r[10] for _, r in young]) + 1
    at_heart = [np.mean([c[np.abs(c[:, 2]) < 15, 0].mean() for c, _ in curves]) for curves in (old, young)]
    assert at_heart[0] > at_heart[1] + 2


def test_vessels_have_a_radius_at_every_point_two_millimetres_apart() -> None:
    for name in ("aorta", "pulmonary_trunk", "cava_superior", "cava_inferior", "left_brachiocephalic_vein"):
        curve, radii = great_vessel_curve(anatomy_of(1), name)
        steps = np.linalg.norm(np.diff(curve, axis=0), axis=1)

        assert len(curve) == len(radii)
        assert (radii > 1).all()
        assert 0.5 < np.median(steps) < 3.5


def test_a_venous_line_leads_from_the_arm_through_the_cava_to_the_atrium() -> None:
    anatomy = anatomy_of(3)
    curve, radii = venous_line_curve(anatomy)
    cava = great_vessel_curve(anatomy, "cava_superior")[0]
    end = np.stack(anatomy.frame.to_reference(reference_points(curve[-1:])), axis=1)[0]

    assert curve[0, 0] < -90
    assert curve[-1] == pytest.approx(cava[0], abs=3)
    assert -5 < end[2] < 30
    assert (radii < 2).all()


def test_the_heart_is_blood_and_fat_within_one_outline(painted: Painted) -> None:
    heart = painted.thorax.canvas.hu[painted.share > 0.9]

    assert np.median(heart) == pytest.approx(painted.thorax.person.blood_hu, abs=6)
    assert ndimage.label(painted.share > 0.5)[1] == 1
    assert (heart < -300).mean() < 0.005


def test_stout_hearts_hold_more_fat_than_lean_ones() -> None:
    shares = []
    for seed, bmi in ((2, 19.0), (5, 36.0)):
        thorax = thorax_of(anatomy_of(seed, bmi=bmi))
        heart = heart_field(thorax)
        paint_heart(thorax, heart)
        shares.append(float((thorax.canvas.hu[heart_share(thorax, heart) > 0.9] < -30).mean()))

    assert shares[0] < 0.05 < shares[1]


def test_great_vessels_hold_blood(painted: Painted) -> None:
    for name in ("aorta", "pulmonary_trunk", "cava_superior"):
        curve, _ = great_vessel_curve(painted.thorax, name)

        assert np.median(hu_at(painted, curve[5:-5])) == pytest.approx(painted.thorax.person.blood_hu, abs=8)


def test_the_middle_of_the_left_ventricle_is_blood(painted: Painted) -> None:
    center = painted.thorax.frame.from_reference(LEFT_CAVITY.center_mm[None])

    assert hu_at(painted, center) == pytest.approx(painted.thorax.person.blood_hu, abs=8)


def test_liver_lies_under_the_right_dome(painted: Painted) -> None:
    person = painted.thorax.person
    top = heart_floor_mm(person) + person.right_dome_mm
    points = np.array(
        [[-0.5 * person.chest_half_width_mm, -0.1 * person.chest_half_depth_mm, top - d] for d in (18, 25)]
    )

    assert np.median(hu_at(painted, points)) == pytest.approx(person.liver_hu, abs=20)


def test_nothing_but_bone_and_devices_is_as_bright_as_calcium_inside_the_heart(painted: Painted) -> None:
    assert painted.thorax.canvas.hu[painted.share > 0.9].max() < 110


def test_the_label_ends_above_the_left_main(painted: Painted) -> None:
    thorax = painted.thorax
    left_main = thorax.patient_points(thorax.frame.from_reference(np.array([LEFT_MAIN_MM])))[0, 2]
    z = thorax.canvas.axes_mm_zyx[0][(painted.share > 0.5).any(axis=(1, 2))]

    expected = left_main + TOP_ABOVE_LEFT_MAIN_MM * thorax.person.heart_scale_xyz[2]
    assert z.max() == pytest.approx(expected, abs=thorax.canvas.step_mm_zyx[0])


def test_a_scan_beside_the_heart_is_refused() -> None:
    with pytest.raises(GeometryError, match="does not reach the heart"):
        heart_field(thorax_of(anatomy_of(1), low_z_mm=300.0, high_z_mm=340.0))


def test_a_heart_far_from_the_wall_keeps_its_shape_and_one_at_the_wall_is_flattened() -> None:
    heart = heart_field(thorax := thorax_of(anatomy_of(1)))
    far = np.full_like(thorax.canvas.hu, -100.0)

    assert np.array_equal(confined(heart, far).sac_mm, heart.sac_mm)
    assert (confined(heart, np.full_like(far, -3.0)).sac_mm >= -0.5 - 1e-5).all()


def test_the_abdomen_stays_within_the_rib_cage_and_under_the_heart() -> None:
    anatomy = anatomy_of(1)
    x, y = (axis.astype(np.float32) for axis in np.meshgrid(np.linspace(-100, 100, 21), np.linspace(-80, 60, 15)))
    deep = np.full_like(x, heart_floor_mm(anatomy.person) - 40)
    high = np.full_like(x, heart_floor_mm(anatomy.person) + 75)

    assert (abdomen_distance_mm(anatomy, (x, y, deep), np.full_like(x, 5.0)) > 0).all()
    assert (diaphragm_mm(anatomy, (x, y, high)) > 0).all()
    assert (diaphragm_mm(anatomy, (x, y, deep)) < 0).mean() > 0.5


@pytest.mark.parametrize("shape", [(1, 2, 3), (5, 8, 7), (6, 7, 9)])
def test_a_plane_is_interpolated_exactly_between_coarse_values(shape: tuple[int, int, int]) -> None:
    z, y, x = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij")
    plane = 2 * z - y + 0.5 * x
    steps = (2, 2, 3)
    fine = refined(plane[:: steps[0], :: steps[1], :: steps[2]], steps=steps, shape=shape)
    covered = tuple(slice(0, (n - 1) // s * s + 1) for n, s in zip(shape, steps, strict=True))

    assert fine.shape == shape
    assert fine[covered] == pytest.approx(plane[covered], abs=1e-5)
