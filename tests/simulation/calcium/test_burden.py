"""Coronary burdens follow the paper's categories, MESA's ages and sexes, and real lesions' sizes."""

from __future__ import annotations

import numpy as np
import pytest

from calcmap.core.errors import ConfigError
from calcmap.core.result import Vessel
from calcmap.simulation.anatomy.coronaries import CoronaryBranch
from calcmap.simulation.calcium.burden import (
    CATEGORY_LIMITS,
    CATEGORY_SHARES,
    draw_category,
    draw_coronary_deposits,
    draw_target_score,
)
from calcmap.simulation.calcium.ideal_scan import ideal_agatston


def _branch(name: str, vessel: Vessel, start: tuple[float, float, float], heading: tuple[float, float, float],
            n: int, parent: str | None = None) -> CoronaryBranch:  # fmt: skip
    points = np.asarray(start) + np.arange(n)[:, None] * np.asarray(heading) / np.linalg.norm(heading)
    return CoronaryBranch(name, vessel, points, np.linspace(1.9, 1.1, n), parent)


TREE = (
    _branch("LM", Vessel.LM, (0, 0, 30), (1, 0, 0), 11),
    _branch("LAD", Vessel.LAD, (10, 0, 30), (0.5, -1, -1), 110, "LM"),
    _branch("LCx", Vessel.LCX, (10, 0, 30), (0.6, 1, -0.6), 70, "LM"),
    _branch("RCA", Vessel.RCA, (-15, -10, 25), (-0.4, -0.3, -1), 130),
    _branch("D1", Vessel.LAD, (20, -20, 10), (1, -0.2, -0.6), 50, "LAD"),
)


def _scores(category: int, *, age_years: float, sex: str, n: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.array([draw_target_score(rng, category=category, age_years=age_years, sex=sex) for _ in range(n)])


def test_categories_come_in_the_shares_of_the_paper() -> None:
    rng = np.random.default_rng(4)
    drawn = np.bincount([draw_category(rng) for _ in range(20_000)], minlength=4) / 20_000

    np.testing.assert_allclose(drawn, CATEGORY_SHARES, atol=0.015)


@pytest.mark.parametrize(("category", "low", "high"), [(0, 0, 0), (1, 1, 100), (2, 101, 400), (3, 401, 6000)])
@pytest.mark.parametrize("age_years", [30.0, 65.0, 92.0])
def test_target_scores_stay_in_their_category(category: int, low: float, high: float, age_years: float) -> None:
    targets = _scores(category, age_years=age_years, sex="F", n=300)

    assert low <= targets.min() <= targets.max() <= high


def test_scores_within_a_category_are_mesas() -> None:
    # white men of 60 with calcium: ln S has mean 0.1536 + 0.0727 x 60 = 4.516 (91 AU) and SD 1.713; above 400 AU lie
    # P(Z > 0.861) = 19.5 %, so the median of that part is at P = 9.73 %, Z = 1.297: exp(4.516 + 2.222) = 845 AU
    assert np.median(_scores(3, age_years=60, sex="M")) == pytest.approx(845, rel=0.06)


@pytest.mark.parametrize("category", [1, 3])
def test_scores_rise_with_age_and_are_higher_in_men(category: int) -> None:
    young, old = (np.median(_scores(category, age_years=age, sex="M")) for age in (50, 75))
    woman = np.median(_scores(category, age_years=75, sex="F"))

    assert young < old
    assert woman < old


@pytest.mark.parametrize(("category", "sex"), [(4, "M"), (-1, "F"), (1, "X")])
def test_an_impossible_patient_is_refused(category: int, sex: str) -> None:
    with pytest.raises(ConfigError):
        draw_target_score(np.random.default_rng(0), category=category, age_years=60, sex=sex)


@pytest.mark.parametrize(("category", "target"), [(1, 1.0), (1, 30.0), (2, 101.0), (2, 250.0), (3, 401.0), (3, 1500.0)])
def test_the_joint_ideal_score_is_near_the_target_and_in_the_category(category: int, target: float) -> None:
    low, high = CATEGORY_LIMITS[category]
    for seed in range(3):
        deposits, score = draw_coronary_deposits(
            np.random.default_rng(seed), branches=TREE, category=category, target_score=target
        )

        assert low <= score <= high
        assert score == pytest.approx(target, rel=0.2, abs=2.5)
        assert ideal_agatston(*deposits) == pytest.approx(score, rel=0.15, abs=1.5)


def test_no_calcium_means_no_deposits() -> None:
    assert draw_coronary_deposits(np.random.default_rng(0), branches=TREE, category=0, target_score=0.0) == ((), 0.0)


def test_every_deposit_counts_for_the_vessel_of_its_branch() -> None:
    vessels = {branch.name: branch.vessel for branch in TREE}
    deposits, _ = draw_coronary_deposits(np.random.default_rng(1), branches=TREE, category=3, target_score=900.0)

    assert all(deposit.vessel is vessels[deposit.place] for deposit in deposits)


def test_deposits_lie_on_the_walls_of_their_branch() -> None:
    branches = {branch.name: branch for branch in TREE}
    deposits, _ = draw_coronary_deposits(np.random.default_rng(2), branches=TREE, category=3, target_score=900.0)
    for deposit in deposits:
        line = branches[deposit.place].points_mm
        away = np.sqrt(((deposit.parts_mm[:, None] - line[None]) ** 2).sum(axis=2)).min(axis=1)
        assert away.max() < 5.5


def test_heavier_burdens_have_more_plaques_in_more_vessels() -> None:
    counts, vessels = {}, {}
    for category, target in ((1, 20.0), (3, 1200.0)):
        drawn = [
            draw_coronary_deposits(np.random.default_rng(k), branches=TREE, category=category, target_score=target)[0]
            for k in range(8)
        ]
        counts[category] = np.mean([len(deposits) for deposits in drawn])
        vessels[category] = np.mean([len({deposit.vessel for deposit in deposits}) for deposits in drawn])

    assert counts[3] > 2 * counts[1]
    assert vessels[3] > vessels[1]


def test_plaques_are_commoner_in_the_proximal_half() -> None:
    tree = {branch.name: branch for branch in TREE}
    places = []
    for seed in range(12):
        for deposit in draw_coronary_deposits(
            np.random.default_rng(seed), branches=TREE, category=2, target_score=200.0
        )[0]:
            if deposit.place == "LAD":
                line = tree["LAD"].points_mm
                places.append(int(np.argmin(((line - deposit.parts_mm.mean(axis=0)) ** 2).sum(axis=1))))

    assert len(places) > 20
    assert np.mean(np.array(places) < 55) > 0.75
