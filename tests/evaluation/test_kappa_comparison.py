from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from calcmap.core.errors import InputError
from calcmap.core.volume import Float64Array
from calcmap.evaluation.agreement import Weighting, agreement_weights, weighted_kappa
from calcmap.evaluation.kappa_comparison import kappa_difference, kappas_equal

K = 3


def _three_readers(n: int = 120) -> NDArray[np.int64]:
    rng = np.random.default_rng(5)
    latent = rng.normal(size=(n, 1)) + rng.normal(size=(n, 3)) * [0.2, 0.4, 0.8]
    return np.digitize(latent, [-0.5, 0.7]).astype(np.int64)


def _kappa(joint: Float64Array, readers: tuple[int, int], weighting: Weighting) -> float:
    """Return a kappa from the joint shares of three readers, shape (K, K, K): another way than the code's."""
    other = next(axis for axis in range(3) if axis not in readers)
    share = joint.sum(axis=other) / joint.sum()
    weights = agreement_weights(K, weighting)
    by_chance = np.outer(share.sum(axis=1), share.sum(axis=0))
    return float(((weights * share).sum() - (weights * by_chance).sum()) / (1 - (weights * by_chance).sum()))


@pytest.mark.parametrize("weighting", list(Weighting))
def test_error_of_a_difference_is_that_of_a_numeric_delta_method(weighting: Weighting) -> None:
    readers = _three_readers()
    n = len(readers)
    joint = np.zeros((K, K, K))
    np.add.at(joint, tuple(readers.T), 1.0 / n)

    def difference(shares: Float64Array) -> float:
        return _kappa(shares, (0, 1), weighting) - _kappa(shares, (0, 2), weighting)

    step, gradient = 1e-6, np.zeros_like(joint)
    for cell in product(range(K), repeat=3):
        up, down = joint.copy(), joint.copy()
        up[cell] += step
        down[cell] -= step
        gradient[cell] = (difference(up) - difference(down)) / (2 * step)
    variance = ((joint * gradient**2).sum() - (joint * gradient).sum() ** 2) / n
    pairs = (readers[:, 0], readers[:, 1]), (readers[:, 0], readers[:, 2])
    found = kappa_difference(*pairs, n_categories=K, weighting=weighting)
    assert found.estimate == pytest.approx(difference(joint))
    assert found.standard_error == pytest.approx(np.sqrt(variance), rel=1e-5)


def test_against_a_kappa_without_spread_the_error_is_that_of_fleiss_cohen_and_everitt() -> None:
    readers = _three_readers()
    whole = readers[:, 0]
    found = kappa_difference(
        (whole, readers[:, 1]), (whole, whole), n_categories=K, weighting=Weighting.LINEAR
    )  # the kappa of a reader with itself is 1 in every sample
    counts = np.zeros((K, K), dtype=np.int64)
    np.add.at(counts, (whole, readers[:, 1]), 1)
    kappa = weighted_kappa(counts, Weighting.LINEAR)
    assert found.standard_error == pytest.approx(kappa.standard_error)
    assert found.estimate == pytest.approx((kappa.estimate or 0) - 1.0)


def test_hotelling_of_two_kappas_is_the_square_of_z_but_for_the_small_sample() -> None:
    readers = _three_readers()
    pairs = [(readers[:, 0], readers[:, 1]), (readers[:, 0], readers[:, 2])]
    z = kappa_difference(*pairs, n_categories=K, weighting=Weighting.LINEAR).z
    equal = kappas_equal(pairs, n_categories=K, weighting=Weighting.LINEAR)
    assert z is not None
    assert equal.t_squared == pytest.approx(z**2 * (len(readers) - 1) / len(readers))
    assert equal.p == pytest.approx(float(stats.f.sf(equal.t_squared, 1, len(readers) - 1)))


def test_the_order_of_the_kappas_does_not_matter() -> None:
    a, b, c = _three_readers().T
    pairs = [(a, b), (a, c), (b, c)]
    one, other = (kappas_equal(order, n_categories=K, weighting=Weighting.LINEAR) for order in (pairs, pairs[::-1]))
    assert one.t_squared == pytest.approx(other.t_squared)
    there = kappa_difference(pairs[0], pairs[1], n_categories=K, weighting=Weighting.LINEAR)
    back = kappa_difference(pairs[1], pairs[0], n_categories=K, weighting=Weighting.LINEAR)
    assert there.estimate == pytest.approx(-(back.estimate or 0))
    assert there.p == pytest.approx(back.p)


def test_a_reader_and_its_copy_cannot_differ() -> None:
    a, b, _ = _three_readers().T
    found = kappa_difference((a, b), (a, b.copy()), n_categories=K, weighting=Weighting.LINEAR)
    assert (found.estimate, found.p) == (0.0, None)
    equal = kappas_equal([(a, b), (a, b.copy())], n_categories=K, weighting=Weighting.LINEAR)
    assert equal.t_squared is None
    assert equal.reason is not None


def test_a_kappa_that_is_not_defined_gives_a_reason() -> None:
    a, b, _ = _three_readers().T
    same = np.zeros_like(a)
    found = kappa_difference((a, b), (same, same), n_categories=K, weighting=Weighting.LINEAR)
    assert (found.estimate, found.reason) == (None, "one of the kappas is not defined")
    assert kappas_equal([(a, b), (same, same)], n_categories=K, weighting=Weighting.LINEAR).p is None
    assert kappa_difference(([], []), ([], []), n_categories=K, weighting=Weighting.LINEAR).estimate is None


def test_different_patients_are_refused() -> None:
    a, b, _ = _three_readers().T
    with pytest.raises(InputError, match="same patients"):
        kappa_difference((a, b), (a[:-1], b[:-1]), n_categories=K, weighting=Weighting.LINEAR)
    with pytest.raises(InputError, match="same patients"):
        kappas_equal([(a, b), (a[:-1], b[:-1])], n_categories=K, weighting=Weighting.LINEAR)
