"""All statistics of agreement that are bootstrapped, over one and the same resamples of patients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from calcmap.core.volume import Float64Array
from calcmap.evaluation.agreement import Weighting, agreement_weights, kappa_of_shares
from calcmap.statistics.bootstrap import (
    Bootstrap,
    DrawnInterval,
    Indices,
    IntervalMethod,
    bca_interval,
    bootstrap_draws,
    bootstrap_p,
    jackknife,
    percentile_interval,
)

SCORE_STATISTICS = (
    "r2_raw", "r2_log", "spearman", "concordance_raw", "concordance_log", "icc_a1_raw", "icc_a1_log",
)  # fmt: skip
"""What is bootstrapped of two readers' scores; ``log`` is of log(1 + score)."""

KappaName = tuple[str, str, Weighting]
"""Two readers and a weighting."""


@dataclass(frozen=True)
class ResampledPatients:
    """What the readers said of each patient."""

    readers: tuple[str, ...]
    categories: NDArray[np.int64]
    """Shape (patients, readers)."""
    n_categories: int
    scores: Float64Array | None
    """Of the first two readers, shape (patients, 2); ``None`` where one of them gave categories."""

    @property
    def kappa_names(self) -> tuple[KappaName, ...]:
        """Every kappa, in the order of `statistics_of`."""
        return tuple((*pair, weighting) for pair in combinations(self.readers, 2) for weighting in Weighting)

    @property
    def names(self) -> tuple[KappaName | str, ...]:
        """Every statistic, in the order of `statistics_of`."""
        return (*self.kappa_names, *(SCORE_STATISTICS if self.scores is not None else ()))


@dataclass(frozen=True)
class Draws:
    """Bootstrap draws of every statistic, and how to make intervals of them."""

    names: tuple[KappaName | str, ...]
    observed: Float64Array
    """Of all patients, NaN where not defined, shape (statistics,)."""
    drawn: Float64Array
    """Shape (draws, statistics)."""
    left_out: Float64Array | None
    """Without each patient in turn, shape (patients, statistics); ``None`` where the method needs none."""
    settings: Bootstrap

    def interval(self, name: KappaName | str) -> DrawnInterval:
        """Return the interval of one statistic."""
        at = self.names.index(name)
        left_out = None if self.left_out is None else self.left_out[:, at]
        return self._limits(self.drawn[:, at], float(self.observed[at]), left_out)

    def difference(self, first: KappaName, second: KappaName) -> tuple[DrawnInterval, float | None]:
        """Return the interval of first minus second and the two-sided p of no difference."""
        one, other = self.names.index(first), self.names.index(second)
        drawn = self.drawn[:, one] - self.drawn[:, other]
        left_out = None if self.left_out is None else self.left_out[:, one] - self.left_out[:, other]
        interval = self._limits(drawn, float(self.observed[one] - self.observed[other]), left_out)
        return interval, bootstrap_p(drawn) if interval.low is not None else None

    def _limits(self, drawn: Float64Array, estimate: float, left_out: Float64Array | None) -> DrawnInterval:
        if left_out is None or not np.isfinite(left_out).all():
            return percentile_interval(drawn, confidence=self.settings.confidence)
        return bca_interval(drawn, estimate=estimate, left_out=left_out, confidence=self.settings.confidence)


def resample_patients(
    patients: ResampledPatients, *, settings: Bootstrap, advance: Callable[[int], object] | None = None
) -> Draws:
    """Return every statistic of all patients and of bootstrap samples of them.

    Parameters
    ----------
    patients : ResampledPatients
        At least one.
    settings : Bootstrap
        Draws, seed, workers; with BCa each patient is also left out once.
    advance : callable, optional
        Called with the number of samples just finished.

    Returns
    -------
    Draws
        The same for every number of workers.
    """
    statistic = partial(statistics_of, patients=patients)
    n = len(patients.categories)
    drawn = bootstrap_draws(statistic, n, settings=settings, advance=advance)
    left_out = jackknife(statistic, n, advance=advance) if settings.method is IntervalMethod.BCA and n > 1 else None
    observed = statistics_of(np.arange(n, dtype=np.intp), patients=patients)
    return Draws(patients.names, observed, drawn, left_out, settings)


def n_samples(n: int, settings: Bootstrap) -> int:
    """Return how many samples `resample_patients` goes through: draws, and patients left out."""
    return settings.draws + (n if settings.method is IntervalMethod.BCA and n > 1 else 0)


def statistics_of(indices: Indices, *, patients: ResampledPatients) -> Float64Array:
    """Return the statistics of one sample in the order of ``patients.names``, NaN where not defined."""
    k, sample = patients.n_categories, patients.categories[indices]
    values: list[float] = []
    for one, other in combinations(range(len(patients.readers)), 2):
        counts = np.bincount(sample[:, one] * k + sample[:, other], minlength=k * k).reshape(k, k)
        values += _kappas(counts / len(indices))
    if patients.scores is not None:
        values += _score_statistics(patients.scores[indices])
    return np.array(values)


def _kappas(share: Float64Array) -> list[float]:
    found = (kappa_of_shares(share, agreement_weights(len(share), weighting))[0] for weighting in Weighting)
    return [np.nan if kappa is None else kappa for kappa in found]


def _score_statistics(scores: Float64Array) -> list[float]:
    log, rank = np.log1p(scores), rankdata(scores, axis=0)
    return [
        _correlation(scores) ** 2,
        _correlation(log) ** 2,
        _correlation(rank),
        _concordance(scores),
        _concordance(log),
        _icc_agreement(scores),
        _icc_agreement(log),
    ]


def _correlation(pairs: Float64Array) -> float:
    apart = pairs - pairs.mean(axis=0)
    spread = float(np.sqrt((apart**2).sum(axis=0).prod()))
    return float(apart.prod(axis=1).sum()) / spread if spread > 0.0 else np.nan


def _concordance(pairs: Float64Array) -> float:
    mean = pairs.mean(axis=0)
    apart = pairs - mean
    spread = float((apart**2).mean(axis=0).sum() + (mean[0] - mean[1]) ** 2)
    return 2.0 * float(apart.prod(axis=1).mean()) / spread if spread > 0.0 else 1.0


def _icc_agreement(pairs: Float64Array) -> float:
    """Return ICC(A,1) of two raters from the mean squares; `calcmap.evaluation.icc` has the definition."""
    n = len(pairs)
    if n < 2:
        return np.nan
    centre, half = pairs.mean(axis=1), (pairs[:, 1] - pairs[:, 0]) / 2
    msr = 2.0 * float(centre.var(ddof=1))
    msc = 2.0 * n * float(half.mean()) ** 2
    mse = 2.0 * float(half.var(ddof=1))
    whole = msr + mse + 2.0 / n * (msc - mse)
    return (msr - mse) / whole if whole > 0.0 else np.nan
