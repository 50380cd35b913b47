"""A Cox fit (Newton, Efron's ties) small enough to be read, for checking simulated hazards."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class CoxFit(NamedTuple):
    log_hr: Floats
    standard_error: Floats

    def holds(self, printed: Floats) -> NDArray[np.bool_]:
        """Tell for each coefficient whether its 95 % interval holds a printed one."""
        return np.abs(self.log_hr - printed) <= 1.96 * self.standard_error


def fit_cox(covariates: Floats, days: NDArray[np.int64], is_event: NDArray[np.bool_]) -> CoxFit:
    """Return log hazard ratios; covariates have shape (patients, variables)."""
    order = np.argsort(-days, kind="stable")
    x, days, is_event = covariates[order] - covariates.mean(axis=0), days[order], is_event[order]
    beta = np.zeros(x.shape[1])
    for _ in range(25):
        gradient, information = _derivatives(x, days, is_event, beta)
        step = np.linalg.solve(information, gradient)
        beta += step
        if np.abs(step).max() < 1e-9:
            break
    return CoxFit(beta, np.sqrt(np.diag(np.linalg.inv(information))))


def _derivatives(
    x: Floats, days: NDArray[np.int64], is_event: NDArray[np.bool_], beta: Floats
) -> tuple[Floats, Floats]:
    weight = np.exp(x @ beta)
    weighted = x * weight[:, None]
    sums, vectors = np.cumsum(weight), np.cumsum(weighted, axis=0)
    gradient, information = np.zeros_like(beta), np.zeros((len(beta), len(beta)))
    matrix, done = np.zeros_like(information), 0
    for day in np.unique(days[is_event])[::-1]:
        at_risk = int(np.searchsorted(-days, -day, side="right"))
        matrix = matrix + x[done:at_risk].T @ weighted[done:at_risk]
        done = at_risk
        dying = np.flatnonzero(is_event & (days == day))
        gradient += x[dying].sum(axis=0)
        for share in np.arange(len(dying)) / len(dying):
            total = sums[at_risk - 1] - share * weight[dying].sum()
            mean = (vectors[at_risk - 1] - share * weighted[dying].sum(axis=0)) / total
            gradient -= mean
            information += (matrix - share * (x[dying].T @ weighted[dying])) / total - np.outer(mean, mean)
    return gradient, information
