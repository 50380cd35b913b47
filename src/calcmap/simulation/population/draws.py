"""The random numbers of a cohort's clinical table: balanced, and one point a patient.

Patient k takes point k of a scrambled Sobol sequence, a point of the unit cube with one coordinate a variable. Any
first n points fill the cube evenly, so the margins of a cohort come out close to what was asked for whatever its seed
and size, and no patient depends on how many others there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

import numpy as np
from scipy.stats import qmc

from calcmap.core.errors import ConfigError
from calcmap.core.volume import Float64Array

SOBOL_BITS = 32
"""More than two in a billion patients would need."""


class Draw(IntEnum):
    """Which coordinate of a patient's point decides what.

    The first coordinates of a Sobol sequence are the most even, alone and in pairs: they go to what decides whether a
    patient has an event.
    """

    EVENT_TIME = 0
    CATEGORY = 1
    STRESS_TPD = 2
    CENSORING_TIME = 3
    AGE = 4
    SEX = 5
    LVEF = 6
    EVENT_TYPE = 7
    DIABETES = 8
    BMI = 9
    HYPERTENSION = 10
    DYSLIPIDAEMIA = 11
    FAMILY_HISTORY = 12
    SMOKING = 13
    HEIGHT = 14
    REST_TPD = 15
    STRESS_TYPE = 16
    LATER_DEATH = 17
    LATER_REVASCULARISATION = 18
    LATER_INFARCTION = 19


def cohort_point(seed: int, number: int, *, population: str) -> Float64Array:
    """Return a patient's point, one coordinate in (0, 1) for each `Draw`; it depends on the arguments alone."""
    return next(iter(cohort_points(seed, population=population, first=number)))


def cohort_points(seed: int, *, population: str, first: int = 0) -> Iterator[Float64Array]:
    """Yield the points of a cohort's patients without end, from patient ``first`` on.

    Parameters
    ----------
    seed : int
        Of the cohort, 0 or more.
    population : str
        Name of the population: two cohorts of one seed share nothing.
    first : int
        Number of the first patient, 0 or more.

    Yields
    ------
    ndarray of float64, shape (20,)
        Coordinates in (0, 1), ordered as `Draw`.

    Raises
    ------
    ConfigError
        Seed or number is negative.

    References
    ----------
    .. [1] Owen, Randomly permuted (t,m,s)-nets and (t,s)-sequences, 1995; as in scipy.stats.qmc.
    """
    if seed < 0 or first < 0:
        raise ConfigError(f"the cohort's seed is {seed} and the patient's number {first}, expected 0 or more")
    generator = np.random.default_rng([seed, *population.encode(), *b"clinical table"])
    sequence = qmc.Sobol(len(Draw), scramble=True, bits=SOBOL_BITS, seed=generator)
    if first:
        sequence.fast_forward(first)
    edge = 0.5**SOBOL_BITS
    while True:
        yield np.clip(sequence.random(1)[0], edge, 1 - edge)
