from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from calcmap.core.errors import ConfigError
from calcmap.simulation.population.draws import Draw, cohort_point, cohort_points


@pytest.mark.parametrize("number", [0, 1, 2, 63, 64, 1500])
def test_a_patients_point_is_the_same_alone_and_in_a_cohort(number: int) -> None:
    whole = list(islice(cohort_points(3, population="external"), 1501))
    np.testing.assert_array_equal(cohort_point(3, number, population="external"), whole[number])


def test_points_of_another_seed_or_population_differ() -> None:
    point = cohort_point(3, 5, population="external")
    assert (point != cohort_point(4, 5, population="external")).all()
    assert (point != cohort_point(3, 5, population="other")).all()


def test_each_coordinate_is_even_and_none_go_together_unasked() -> None:
    points = np.array(list(islice(cohort_points(11, population="external"), 2271)))
    assert points.shape == (2271, len(Draw))
    assert points.min() > 0
    assert points.max() < 1
    np.testing.assert_allclose(points.mean(axis=0), 0.5, atol=0.002)  # independent draws: SD 0.006
    correlation = np.corrcoef(points.T) - np.eye(len(Draw))
    assert np.abs(correlation).max() < 0.03  # independent draws: SD 0.021


@pytest.mark.parametrize(("seed", "number"), [(-1, 0), (0, -1)])
def test_negative_seeds_and_numbers_are_refused(seed: int, number: int) -> None:
    with pytest.raises(ConfigError, match="expected 0 or more"):
        cohort_point(seed, number, population="external")
