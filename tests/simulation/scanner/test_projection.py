"""Line integrals and backprojection agree with a disc's known ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.scanner.projection import PolarGrid, backprojection, line_integrals, polar_grid

SIZE, RADIUS, CENTER_X, CENTER_Y = 128, 20.0, 12.0, -17.0


@pytest.fixture(scope="module")
def grid() -> PolarGrid:
    return polar_grid(SIZE, n_views=180)


def _disc() -> tuple[Float32Array, Float64Array]:
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    distance = np.hypot(x - CENTER_X, y - CENTER_Y)
    return np.clip(RADIUS - distance + 0.5, 0, 1).astype(np.float32), distance


def test_the_shadow_of_a_disc_is_its_chord(grid: PolarGrid) -> None:
    seen = line_integrals(_disc()[0], grid)

    bins = np.arange(grid.padded) - (grid.padded - 1) / 2
    middle = CENTER_X * np.cos(grid.angles_rad) + CENTER_Y * np.sin(grid.angles_rad)
    chord = 2 * np.sqrt(np.maximum(RADIUS**2 - (bins[None, :] - middle[:, None]) ** 2, 0))
    assert np.sqrt(np.mean((seen - chord) ** 2)) < 0.02 * chord.max()


def test_backprojection_undoes_projection(grid: PolarGrid) -> None:
    disc, distance = _disc()
    smooth = np.exp(-2 * (np.pi * grid.cycles) ** 2).astype(np.float32)

    again = backprojection(line_integrals(disc, grid), grid, transfer=smooth)

    assert again[distance < RADIUS - 4].mean() == pytest.approx(1, abs=0.03)
    assert abs(again[(distance > RADIUS + 5) & (distance < RADIUS + 25)].mean()) < 0.03


def test_the_noise_of_white_views_rises_with_frequency_and_falls_with_the_kernel(grid: PolarGrid) -> None:
    rng = np.random.default_rng(0)
    smooth = np.exp(-2 * (np.pi * 0.8 * grid.cycles) ** 2).astype(np.float32)
    power = np.zeros((SIZE, SIZE // 2 + 1))
    for _ in range(20):
        views = rng.standard_normal((grid.n_views, grid.padded), dtype=np.float32)
        power += np.abs(fft.rfft2(backprojection(views, grid, transfer=smooth))) ** 2
    radius = np.hypot(fft.fftfreq(SIZE)[:, None], fft.rfftfreq(SIZE)[None, :])
    bands = [power[(radius > low) & (radius < low + 0.03)].mean() for low in (0.03, 0.09, 0.18, 0.35)]

    # a ramp times the kernel's squared transfer: f exp(-4 (pi 0.8 f)^2)
    expected = [f * np.exp(-4 * (np.pi * 0.8 * f) ** 2) for f in (0.045, 0.105, 0.195, 0.365)]
    np.testing.assert_allclose(np.array(bands) / bands[1], np.array(expected) / expected[1], rtol=0.15)
