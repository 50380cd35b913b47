"""Heart and breath move as published, and slices see the phases that their times say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calcmap.simulation.anatomy.heart import HeartFrame
from calcmap.simulation.calcium.deposits import Deposit, Tissue
from calcmap.simulation.calcium.rendering import Blur, seen_by_scanner
from calcmap.simulation.scanner.axes import CtAxes
from calcmap.simulation.scanner.motion import (
    BEAT_INWARD,
    BEAT_PHASES,
    BEAT_SIDEWAYS,
    DepositMotion,
    beat_amplitude_mm,
    deposit_motion,
    draw_view_times,
    heart_motion,
    motion_vectors,
    seen_heart,
)
from calcmap.simulation.scanner.optics import slice_weights
from calcmap.simulation.scanner.sites import SITES, Acquisition, draw_acquisition, gated

FRAME = HeartFrame(np.array([10.0, -5.0, 0.0]), np.eye(3))
Z_MM = np.arange(0, 100, 5.0)
AXES = CtAxes(z_mm=np.arange(0, 60, 3.0), y_mm=np.arange(0, 80, 1.0), x_mm=np.arange(0, 80, 1.0))


@pytest.fixture
def acquisition() -> Acquisition:
    drawn = draw_acquisition(np.random.default_rng(0), site=SITES["ge_nmct"])
    return replace(drawn, beat_share=1.0, heart_rate_bpm=70.0, breath_mm=0.0, window_turns=0.5)


def test_the_right_coronary_has_its_published_mean_speed(acquisition: Acquisition) -> None:
    phase = np.linspace(0, 1, 5001)
    x, y = (beat_amplitude_mm(acquisition) * np.interp(phase, BEAT_PHASES, c) for c in (BEAT_INWARD, BEAT_SIDEWAYS))
    path_mm = float(np.hypot(np.diff(x), np.diff(y)).sum())

    assert path_mm / (60 / 70) == pytest.approx(69.5, rel=0.01)


def test_diastasis_is_a_rest_period(acquisition: Acquisition) -> None:
    # less than 1 mm for about 100 ms in the middle of diastole
    rest = np.interp(np.linspace(0.66, 0.78, 50), BEAT_PHASES, BEAT_INWARD)

    assert np.ptp(rest) * beat_amplitude_mm(acquisition) < 1.0


def test_helical_slices_see_successive_phases_and_a_flat_panel_sees_all_in_each(acquisition: Acquisition) -> None:
    helical = draw_view_times(np.random.default_rng(1), z_mm=Z_MM, acquisition=acquisition)
    flat = replace(acquisition, is_flat_panel=True, rotation_s=40.0)
    panel = draw_view_times(np.random.default_rng(1), z_mm=Z_MM, acquisition=flat)

    assert np.ptp(helical.inward.mean(axis=(1, 2))) > 0.4
    assert np.ptp(panel.inward.mean(axis=(1, 2))) < 1e-9
    assert np.ptp(panel.inward[0]) > 0.8


def test_a_gated_scan_sees_little_motion_and_the_same_in_every_slice(acquisition: Acquisition) -> None:
    calm = gated(acquisition, rng=np.random.default_rng(2))
    times = draw_view_times(np.random.default_rng(3), z_mm=Z_MM, acquisition=calm)

    assert np.ptp(times.inward) * times.amplitude_mm < 2.0
    assert not times.breath_mm_zy.any()


def test_breathing_shifts_neighbouring_slices_and_a_hold_does_not(acquisition: Acquisition) -> None:
    breathing = draw_view_times(
        np.random.default_rng(4), z_mm=Z_MM, acquisition=replace(acquisition, breath_mm=8.0, breath_s=4.0)
    )
    held = draw_view_times(np.random.default_rng(4), z_mm=Z_MM, acquisition=acquisition)

    heights = breathing.breath_mm_zy[..., 0].mean(axis=(1, 2))
    assert 2 < np.ptp(heights) <= 8.0
    assert np.ptp(held.breath_mm_zy) == 0


def test_overlapping_slices_share_moments_so_that_neighbours_differ_less(acquisition: Acquisition) -> None:
    slow = replace(acquisition, increment_mm=5.0, table_mm_s=25.0, breath_mm=8.0)

    def steps(thickness_mm: float) -> tuple[float, float]:
        times = draw_view_times(
            np.random.default_rng(8), z_mm=Z_MM, acquisition=replace(slow, thickness_mm=thickness_mm)
        )
        beat, breath = times.inward.mean(axis=(1, 2)), times.breath_mm_zy[..., 0].mean(axis=(1, 2))
        return float(np.abs(np.diff(beat)).mean()), float(np.abs(np.diff(breath)).mean())

    thin, thick = steps(0.5), steps(10.0)

    assert thick[0] < 0.75 * thin[0]
    assert thick[1] < thin[1]


def test_the_base_moves_to_the_apex_and_the_apex_rests() -> None:
    base, apex = np.array([[-30.0, -10.0, 25.0]]), np.array([[60.0, -45.0, -55.0]])

    moved, _ = motion_vectors(np.concatenate([base, apex]), frame=FRAME)

    assert moved[0] @ np.array([0.70, -0.52, -0.49]) > 0.4
    assert np.linalg.norm(moved[1]) < 0.4 * np.linalg.norm(moved[0])


def test_a_deposit_moves_by_its_vessels_share(acquisition: Acquisition) -> None:
    times = draw_view_times(np.random.default_rng(5), z_mm=Z_MM, acquisition=acquisition)

    full, third = (
        deposit_motion(times, center_mm=np.array([-30.0, -10.0, 25.0]), share=share, frame=FRAME)
        for share in (1.0, 0.35)
    )

    np.testing.assert_allclose(third.displacement_mm, 0.35 * full.displacement_mm, atol=1e-9)


def _point() -> Deposit:
    axis = np.arange(-1.5, 1.6, 0.3)
    parts = np.stack([grid.ravel() for grid in np.meshgrid(axis, axis, axis, indexing="ij")], axis=1)
    return Deposit(
        Tissue.CORONARY,
        "RCA",
        parts + 40.0 - np.array([0.0, 0.0, 10.0]),
        np.full(len(parts), 700.0),
        0.027,
        motion_share=1.0,
    )


def _motion(displacement_mm: np.ndarray) -> DepositMotion:
    return DepositMotion(np.zeros(len(AXES.z_mm)), np.broadcast_to(displacement_mm, (len(AXES.z_mm), 1, 8, 3)).copy())


def test_a_deposit_displaced_alike_in_all_views_is_the_still_deposit_elsewhere() -> None:
    still = seen_by_scanner(_point(), axes=AXES, blur=Blur(0.8, 3.0))
    moved = seen_by_scanner(_point(), axes=AXES, blur=Blur(0.8, 3.0, motion=_motion(np.array([4.0, -3.0, 0.0]))))

    assert still is not None
    assert moved is not None
    at = np.unravel_index(int(np.argmax(still[1])), still[1].shape)
    to = np.unravel_index(int(np.argmax(moved[1])), moved[1].shape)
    assert AXES.x_mm[moved[0][2]][to[2]] - AXES.x_mm[still[0][2]][at[2]] == pytest.approx(4)
    assert AXES.y_mm[moved[0][1]][to[1]] - AXES.y_mm[still[0][1]][at[1]] == pytest.approx(-3)
    assert moved[1].max() == pytest.approx(still[1].max(), rel=0.02)


def test_motion_between_views_keeps_the_mass_lowers_the_peak_and_leaves_arcs() -> None:
    views = np.zeros((8, 3))
    views[:, 0] = np.linspace(-5, 5, 8)

    still = seen_by_scanner(_point(), axes=AXES, blur=Blur(0.8, 3.0))
    moved = seen_by_scanner(_point(), axes=AXES, blur=Blur(0.8, 3.0, motion=_motion(views)))

    assert still is not None
    assert moved is not None
    assert moved[1].sum() == pytest.approx(still[1].sum(), rel=0.03)
    assert moved[1].max() < 0.7 * still[1].max()
    assert moved[1].min() < -0.03 * still[1].max()


def test_the_heart_beats_and_what_is_far_from_it_rests(acquisition: Acquisition) -> None:
    axes = (np.arange(0, 100, 4.0), np.arange(0, 180, 3.0), np.arange(0, 180, 3.0))
    share = np.zeros((25, 60, 60), dtype=np.float32)
    share[7:18, 20:40, 20:40] = 1
    hu = np.where(share > 0.5, 40, -800).astype(np.float32)
    frame = HeartFrame(np.array([90.0, 90.0, 50.0]), np.eye(3))
    times = draw_view_times(np.random.default_rng(6), z_mm=Z_MM, acquisition=acquisition)
    profile = slice_weights(axes[0], axes[0], thickness_mm=5.0)

    motion = heart_motion(hu, share, axes_mm_zyx=axes, profile=profile, times=times, frame=frame)

    assert motion is not None
    changes = [seen_heart(motion, k, z_mm=float(Z_MM[k])) for k in range(8, 14)]
    assert max(float(np.abs(change).max()) for change, _ in changes) > 150
    assert all(float(change[:2].std()) < 0.15 * float(change.std()) for change, _ in changes)
    assert all(float(np.abs(moved).max()) <= 1.0001 for _, moved in changes)


def test_a_still_heart_needs_no_motion(acquisition: Acquisition) -> None:
    times = draw_view_times(np.random.default_rng(7), z_mm=Z_MM, acquisition=replace(acquisition, beat_share=0.0))
    share = np.ones((5, 8, 8), dtype=np.float32)
    axes = (np.arange(5.0), np.arange(8.0), np.arange(8.0))

    assert heart_motion(share, share, axes_mm_zyx=axes, profile=np.eye(5), times=times, frame=FRAME) is None
