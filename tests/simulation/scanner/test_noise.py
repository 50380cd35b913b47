"""Noise and artefacts depend on dose, size, slice and kernel as in a scanner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calcmap.core.volume import Float32Array
from calcmap.simulation.scanner.axes import CtAxes
from calcmap.simulation.scanner.noise import body_density, error_image, make_beam, white_quanta
from calcmap.simulation.scanner.sites import Acquisition

MATRIX, PIXEL_MM = 160, 3.0
CANVAS_MM = np.arange(-330, 330, 3.0)
QUIET = Acquisition(120.0, PIXEL_MM, 5.0, 5.0, 2.2, 40.0, 0.0, 0.0, 0.0, None, MATRIX, scatter=0.0, hardening=0.0)


def _ellipse(half_width_mm: float, half_depth_mm: float) -> Float32Array:
    inside = (CANVAS_MM[None, :] / half_width_mm) ** 2 + (CANVAS_MM[:, None] / half_depth_mm) ** 2 < 1
    return np.where(inside, 0, -1000).astype(np.float32)


def _errors(acquisition: Acquisition, plane_yx: Float32Array, *, n: int = 4) -> Float32Array:
    across = (np.arange(MATRIX) - (MATRIX - 1) / 2) * PIXEL_MM
    axes = CtAxes(z_mm=np.arange(0, 20, 5.0), y_mm=across, x_mm=across)
    beam = make_beam(np.random.default_rng(0), acquisition, axes=axes, canvas_y_mm=CANVAS_MM, canvas_x_mm=CANVAS_MM)
    density = body_density(plane_yx, beam)
    streams = [[white_quanta(np.random.default_rng(10 * k + i), beam) for i in (0, 1)] for k in range(n)]
    return np.stack([error_image(density, beam, own=own, following=following) for own, following in streams])


def _middle_sd(errors: Float32Array) -> float:
    return float(errors[:, MATRIX // 2 - 12 : MATRIX // 2 + 12, MATRIX // 2 - 12 : MATRIX // 2 + 12].std())


def test_four_times_the_current_halves_the_noise() -> None:
    disc = _ellipse(120, 120)

    few, many = (_middle_sd(_errors(replace(QUIET, mas=mas), disc)) for mas in (40.0, 160.0))

    assert few / many == pytest.approx(2.0, rel=0.08)


def test_noise_grows_with_the_root_of_what_is_attenuated() -> None:
    slim, stout = (_middle_sd(_errors(replace(QUIET, mas=160.0), _ellipse(r, r))) for r in (100, 130))

    # 60 mm more water: exp(0.5 * 0.0193 * 60) = 1.78
    assert stout / slim == pytest.approx(1.78, rel=0.12)


def test_a_thicker_slice_and_a_softer_kernel_are_quieter() -> None:
    disc = _ellipse(120, 120)
    plain = _middle_sd(_errors(QUIET, disc))

    assert _middle_sd(_errors(replace(QUIET, thickness_mm=2.5, increment_mm=2.5), disc)) > 1.3 * plain
    assert _middle_sd(_errors(replace(QUIET, psf_sigma_mm=3.2), disc)) < 0.75 * plain


def test_noise_alone_has_no_mean() -> None:
    errors = _errors(replace(QUIET, mas=160.0), _ellipse(120, 120), n=8)

    assert abs(float(errors[:, 40:120, 40:120].mean())) < 0.5


def test_shoulders_streak_along_the_rows() -> None:
    errors = _errors(replace(QUIET, mas=15.0), _ellipse(240, 110))[:, 70:90, 40:120]

    along = float((errors[:, :, :-5] * errors[:, :, 5:]).mean() / errors.var())
    across = float((errors[:, :-5] * errors[:, 5:]).mean() / errors.var())
    assert along > 0.15
    assert along > across + 0.15


def test_starved_rays_are_smoothed_so_that_noise_grows_less_than_they_starve() -> None:
    stout = _ellipse(180, 160)

    some, few = (_middle_sd(_errors(replace(QUIET, mas=mas), stout)) for mas in (40.0, 10.0))

    # four times fewer quanta would give more than twice the noise, electronic noise included
    assert 1.0 < few / some < 1.9


def test_hardening_darkens_the_band_between_dense_bones() -> None:
    bones = _ellipse(150, 110)
    for side in (-70, 70):
        bones[(CANVAS_MM[:, None] ** 2 + (CANVAS_MM[None, :] - side) ** 2) < 15**2] = 900
    silent = replace(QUIET, mas=1e6)

    change = _errors(replace(silent, hardening=1.0), bones, n=1)[0] - _errors(silent, bones, n=1)[0]

    middle = MATRIX // 2
    assert change[middle - 2 : middle + 2, middle - 8 : middle + 8].mean() < -5
    assert change[middle - 2 : middle + 2, middle - 8 : middle + 8].mean() < change[middle + 25, middle] - 3


def test_a_body_beyond_the_field_brightens_its_rim() -> None:
    silent = replace(QUIET, mas=1e6, scan_fov_mm=400.0)

    error = _errors(silent, _ellipse(260, 120), n=1)[0]

    middle, rim = MATRIX // 2, MATRIX // 2 + int(195 / PIXEL_MM)
    assert error[middle, rim - 1 : rim + 1].mean() > error[middle, middle] + 30


def test_detector_errors_make_rings() -> None:
    error = _errors(replace(QUIET, mas=1e6, ring_mm=0.3), _ellipse(120, 120), n=1)[0]

    y, x = np.mgrid[:MATRIX, :MATRIX] - (MATRIX - 1) / 2
    inside = (np.hypot(x, y) < 60) & (np.hypot(x, y) > 4)
    turned = np.rot90(error)
    assert np.corrcoef(error[inside], turned[inside])[0, 1] > 0.95
