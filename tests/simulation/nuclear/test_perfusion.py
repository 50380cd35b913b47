from __future__ import annotations

import numpy as np
import pytest

from calcmap.core.errors import ConfigError
from calcmap.simulation.anatomy.heart import LEFT_VENTRICLE
from calcmap.simulation.nuclear.perfusion import SEVERITY, Perfusion, Territory, defect_depth, draw_perfusion


def _sphere() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points evenly spread about the left ventricle's middle."""
    directions = np.random.default_rng(0).standard_normal((20_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    x, y, z = (LEFT_VENTRICLE.center_mm[None] + 40 * directions).astype(np.float32).T
    return x, y, z


@pytest.mark.parametrize("territory", Territory)
@pytest.mark.parametrize("tpd", [2.0, 10.0, 30.0])
def test_a_defect_takes_its_deficit_from_the_ventricle(territory: Territory, tpd: float) -> None:
    depth = defect_depth(_sphere(), tpd_percent=tpd, territory=territory)
    assert 100 * depth.mean() == pytest.approx(tpd, rel=0.06)
    assert depth.max() <= SEVERITY + 1e-6


def test_no_deficit_is_no_defect() -> None:
    assert not defect_depth(_sphere(), tpd_percent=0.0, territory=Territory.LAD).any()


def test_defects_lie_on_their_vessels_ground() -> None:
    x, y, z = _sphere()
    middles = {}
    for territory in Territory:
        depth = defect_depth((x, y, z), tpd_percent=10.0, territory=territory)
        middles[territory] = np.array([np.average(axis, weights=depth) for axis in (x, y, z)])
    assert middles[Territory.LAD][2] > middles[Territory.RCA][2]
    assert middles[Territory.LCX][1] > middles[Territory.LAD][1]
    assert middles[Territory.LCX][0] > middles[Territory.RCA][0]


def test_defects_are_commoner_with_more_calcium() -> None:
    rng = np.random.default_rng(1)
    shares = [np.mean([draw_perfusion(rng, category=k).stress_tpd_percent >= 5 for _ in range(600)]) for k in (0, 3)]
    assert shares[0] == pytest.approx(0.10, abs=0.04)
    assert shares[1] == pytest.approx(0.38, abs=0.06)


def test_rest_never_shows_more_than_stress() -> None:
    rng = np.random.default_rng(2)
    drawn = [draw_perfusion(rng, category=3) for _ in range(200)]
    assert all(0 <= one.rest_tpd_percent <= one.stress_tpd_percent for one in drawn)


@pytest.mark.parametrize("deficits", [(-1.0, 0.0), (101.0, 0.0), (5.0, -0.1)])
def test_impossible_deficits_are_refused(deficits: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="0 to 100"):
        Perfusion(*deficits, Territory.LAD)
