"""The maximum of a partial likelihood, by Newton's method, and what its curvature says of the covariates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from calcmap.core.errors import InputError, NotEstimableError
from calcmap.core.volume import Float64Array

LIKELIHOOD_TOLERANCE = 1e-9
"""The fit ends when the log likelihood changes by less than this share of its value at the start (R: of itself, which
full separation brings to zero)."""

MAX_ITERATIONS = 60
"""Newton steps (our choice; R stops at 20). A sound fit takes 3 to 8, a separated one about 25."""

MAX_HALVINGS = 30
"""Times that a step which lowers the likelihood is halved (our choice)."""

INFINITE_STEP, INFINITE_STEP_RELATIVE = 1e-6, 3.16e-5
"""A coefficient that would still move by more than both, the second relative to itself, once the likelihood stands
still, is infinite. The relative limit is R's (root of `LIKELIHOOD_TOLERANCE`); the first is ours, so that rounding does
not count."""

SINGULAR_SHARE = 1.8e-12
"""A covariate of which less than this share of its information is left beside the earlier ones adds nothing to them
(R's ``toler.chol``)."""


class Standing(Protocol):
    """What a likelihood is at one set of coefficients."""

    @property
    def log_likelihood(self) -> float:
        """Not finite where the coefficients are too large."""

    @property
    def score(self) -> Float64Array:
        """First derivative, shape (p,)."""


StandingT = TypeVar("StandingT", bound=Standing)


@dataclass(frozen=True, eq=False)
class Maximum(Generic[StandingT]):
    """Where a likelihood is highest."""

    beta: Float64Array
    """Coefficients, shape (p,)."""
    at: StandingT
    information: Float64Array
    """Negative second derivative there, shape (p, p)."""
    iterations: int


def maximise(
    start: StandingT,
    curvature: Float64Array,
    *,
    evaluate: Callable[[Float64Array], StandingT],
    information: Callable[[StandingT], Float64Array],
) -> Maximum[StandingT]:
    """Return where a concave likelihood is highest.

    Parameters
    ----------
    start : Standing
        At zero.
    curvature : ndarray of float, shape (p, p)
        Its information.
    evaluate : callable
        From coefficients to what stands there.
    information : callable
        From what stands there to the negative second derivative.

    Returns
    -------
    Maximum
        One step beyond where the likelihood stands still.

    Raises
    ------
    NotEstimableError
        The information is singular, or there is no end of steps.
    """
    at, beta, iterations, gain = start, np.zeros(len(start.score)), 0, math.inf
    tolerance = LIKELIHOOD_TOLERANCE * abs(start.log_likelihood)
    while abs(gain) > tolerance:
        if iterations == MAX_ITERATIONS:
            raise NotEstimableError(f"the Cox model did not converge in {iterations} steps")
        step = _solve(curvature, at.score)
        for _ in range(MAX_HALVINGS):
            trial = evaluate(beta + step)
            if trial.log_likelihood >= at.log_likelihood - tolerance:
                break
            step = step / 2
        gain = trial.log_likelihood - at.log_likelihood
        beta, at, iterations = beta + step, trial, iterations + 1
        curvature = information(at)
    beta = beta + _solve(curvature, at.score)
    last = evaluate(beta)
    return Maximum(beta, last, information(last), iterations)


def infinite_terms(found: Maximum[StandingT], inverse: Float64Array, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the terms that would still move although the likelihood stands still: their maximum is at infinity."""
    step = np.abs(inverse @ found.at.score)
    is_infinite = (step > INFINITE_STEP) & (step > INFINITE_STEP_RELATIVE * np.abs(found.beta))
    return tuple(name for name, flag in zip(names, is_infinite, strict=True) if flag)


def centre_and_scale(columns: Float64Array, names: tuple[str, ...]) -> tuple[Float64Array, Float64Array]:
    """Return mean and standard deviation of each covariate, shape (p,): a fit works on covariates that are alike.

    Raises
    ------
    InputError
        There is no covariate.
    NotEstimableError
        One has the same value in all rows.
    """
    if not names:
        raise InputError("a Cox model needs at least one covariate")
    constant = [name for name, width in zip(names, np.ptp(columns, axis=0), strict=True) if width == 0]
    if constant:
        value = columns[0, names.index(constant[0])]
        raise NotEstimableError(f"{constant[0]!r} is {value:g} in all {len(columns)} rows, so it has no hazard ratio")
    return columns.mean(axis=0), columns.std(axis=0)


def refuse_dependent(curvature: Float64Array, names: tuple[str, ...]) -> None:
    """Raise `NotEstimableError` if a covariate brings nothing beside those named before it."""
    try:
        left = np.diag(np.linalg.cholesky(curvature)) ** 2
        if (left > SINGULAR_SHARE * np.diag(curvature)).all():
            return
    except np.linalg.LinAlgError:
        pass
    for j, name in enumerate(names):
        before, cross = curvature[:j, :j], curvature[:j, j]
        left_over = curvature[j, j] - cross @ np.linalg.lstsq(before, cross, rcond=None)[0]
        if left_over <= 1e-9 * max(curvature[j, j], SINGULAR_SHARE):
            others = f" beside {', '.join(names[:j])}" if j else " among those at risk"
            raise NotEstimableError(f"{name!r} does not vary{others}: drop it, or one that it follows from")
    raise NotEstimableError(f"the Cox model of {', '.join(names)} is not estimable: its information is singular")


def inverse_information(curvature: Float64Array, names: tuple[str, ...], *, n_events: int) -> Float64Array:
    """Return the inverse of the information at the maximum, shape (p, p).

    Raises
    ------
    NotEstimableError
        It is not positive definite, and so of no use.
    """
    own = np.diag(curvature)
    if not np.isfinite(curvature).all() or (own <= 0).any():
        raise _undetermined(names, n_events)
    try:
        factor = np.linalg.inv(np.linalg.cholesky(curvature / np.sqrt(np.outer(own, own)))) / np.sqrt(own)
    except np.linalg.LinAlgError as error:
        raise _undetermined(names, n_events) from error
    return np.asarray(factor.T @ factor)


def _undetermined(names: tuple[str, ...], n_events: int) -> NotEstimableError:
    return NotEstimableError(
        f"the Cox model of {', '.join(names)} is not estimable: {n_events} events do not determine "
        f"{len(names)} hazard ratios (too few, or separated by the covariates)"
    )


def _solve(curvature: Float64Array, score: Float64Array) -> Float64Array:
    try:
        step = np.asarray(np.linalg.solve(curvature, score), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise NotEstimableError("the Cox model is not estimable: its information is singular") from error
    if not np.isfinite(step).all():
        raise NotEstimableError(
            "the Cox model is not estimable: the covariates separate those with the event, or one is extremely skewed"
        )
    return step
