"""A follow-up table that has been looked at: who was followed for how long, to what end, with which covariates.

Everything in this room works on `FollowUp`. `follow_up` is the one way in; it refuses what cannot be analysed, with one
line that names the column, the value and what was expected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calcmap.core.errors import InputError
from calcmap.core.volume import BoolArray, Float64Array

TIE_TOLERANCE = 1.5e-8
"""Times closer than this, relative to the mean time, are one time: years made from days differ by such noise.

R's ``survival`` joins times in the same way and by the same measure (square root of the machine precision).
"""

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FollowUp:
    """Follow-up of patients; made by `follow_up`, which checks it."""

    time: Float64Array
    """Time to the event or to the end of follow-up, shape (n,), >= 0, in one unit throughout."""
    is_event: BoolArray
    """Whether the event of interest ended the follow-up, shape (n,); otherwise censored, or a competing event."""
    covariates: Float64Array
    """Shape (n, len(names)); finite."""
    names: tuple[str, ...]
    competing: Codes | None = None
    """Code of the competing event that ended the follow-up, 0 for none, shape (n,)."""
    stratum: Codes | None = None
    """Stratum with its own baseline hazard, 0 to k - 1, shape (n,)."""
    cluster: Codes | None = None
    """Group of rows that are not independent (a centre, a patient), 0 to k - 1, shape (n,)."""
    weight: Float64Array | None = None
    """Case weight, > 0, shape (n,)."""

    def __len__(self) -> int:
        return len(self.time)

    @property
    def n_events(self) -> int:
        """Number of rows with the event of interest."""
        return int(np.count_nonzero(self.is_event))

    @property
    def n_competing(self) -> int:
        """Number of rows whose follow-up a competing event ended."""
        return int(np.count_nonzero(self.is_competing))

    @property
    def is_competing(self) -> BoolArray:
        """Whether a competing event ended the follow-up, shape (n,)."""
        return np.zeros(len(self), dtype=np.bool_) if self.competing is None else np.asarray(self.competing > 0)

    @property
    def has_ended(self) -> BoolArray:
        """Whether any event ended the follow-up, of interest or competing, shape (n,)."""
        return np.asarray(self.is_event | self.is_competing)

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.integer]) -> FollowUp:
        """Return the chosen rows: a mask, or numbers of rows, which may repeat (a bootstrap sample).

        What comes out may have no events; nothing is checked again.
        """
        return FollowUp(
            self.time[chosen],
            self.is_event[chosen],
            self.covariates[chosen],
            self.names,
            **{name: None if (v := getattr(self, name)) is None else v[chosen] for name in _PER_ROW},
        )

    def columns(self, names: Sequence[str]) -> Float64Array:
        """Return the covariates of these names, shape (n, len(names)), in the order asked for.

        Raises
        ------
        InputError
            A name is not in the table, or is asked for twice.
        """
        absent = [name for name in names if name not in self.names]
        if absent:
            raise InputError(f"no covariate is called {absent[0]!r}; there are: {', '.join(self.names) or 'none'}")
        if len(set(names)) < len(names):
            raise InputError(f"a covariate is named twice: {', '.join(names)}")
        return self.covariates[:, [self.names.index(name) for name in names]]


_PER_ROW = ("competing", "stratum", "cluster", "weight")


def follow_up(
    time: ArrayLike,
    event: ArrayLike,
    *,
    covariates: Mapping[str, ArrayLike] | None = None,
    competing: ArrayLike | None = None,
    stratum: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    weight: ArrayLike | None = None,
) -> FollowUp:
    """Return a checked follow-up table.

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Time to the event or to the end of follow-up, >= 0, one unit throughout.
    event : array_like of bool or 0/1, shape (n,)
        Whether the event of interest ended the follow-up.
    covariates : mapping of str to array_like, optional
        Numbers of each covariate, shape (n,); categories must come as 0/1 columns.
    competing : array_like of int, shape (n,), optional
        Code of the competing event that ended the follow-up, 0 for none.
    stratum, cluster : array_like, shape (n,), optional
        Any labels, numbers or text.
    weight : array_like of float, shape (n,), optional
        Case weights, > 0.

    Returns
    -------
    FollowUp
        Times that differ by rounding alone (`TIE_TOLERANCE`) are made equal.

    Raises
    ------
    InputError
        No rows or one; different lengths; text, missing or infinite values; negative times; events that are not 0/1;
        nobody with the event, that is all censored; a row with both the event and a competing one; weights
        that are not positive.
    """
    times = _numbers(time, name="time", n=None)
    n = len(times)
    if n < 2:
        raise InputError(f"the follow-up table has {n} rows, expected at least 2")
    if (times < 0).any():
        raise InputError(f"time is negative in {int((times < 0).sum())} rows (lowest {times.min():g}), expected >= 0")
    is_event = _flags(event, name="event", n=n)
    if not is_event.any():
        raise InputError(f"nobody of {n} has the event: all follow-up is censored, so nothing can be estimated")
    columns = {name: _numbers(v, name=f"covariate {name!r}", n=n) for name, v in (covariates or {}).items()}
    return FollowUp(
        _without_near_ties(times),
        is_event,
        np.column_stack(list(columns.values())) if columns else np.empty((n, 0)),
        tuple(columns),
        competing=_competing(competing, is_event=is_event),
        stratum=_labels(stratum, name="stratum", n=n),
        cluster=_labels(cluster, name="cluster", n=n),
        weight=_weights(weight, n=n),
    )


def _numbers(values: ArrayLike, *, name: str, n: int | None) -> Float64Array:
    array = np.asarray(values)
    if array.ndim != 1:
        raise InputError(f"{name} must have one value a row, got shape {array.shape}")
    if n is not None and len(array) != n:
        raise InputError(f"{name} has {len(array)} values, time has {n}; expected one a row")
    try:
        numbers = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} holds {_first_text(array)!r}, expected numbers") from error
    if array.dtype.kind in "US":  # text that happens to hold digits is still text
        raise InputError(f"{name} holds text such as {str(array[0])!r}, expected numbers")
    missing = int((~np.isfinite(numbers)).sum())
    if missing:
        raise InputError(f"{name} is missing or not finite in {missing} of {len(numbers)} rows; drop or impute them")
    return numbers


def _first_text(array: NDArray[np.generic]) -> object:
    for value in array.tolist():
        try:
            float(value)
        except (TypeError, ValueError):
            return value
    return array.dtype


def _flags(values: ArrayLike, *, name: str, n: int) -> BoolArray:
    numbers = _numbers(values, name=name, n=n)
    other = numbers[(numbers != 0) & (numbers != 1)]
    if other.size:
        raise InputError(f"{name} holds {other[0]:g}, expected 0 (censored) and 1 (event)")
    return numbers > 0


def _competing(values: ArrayLike | None, *, is_event: BoolArray) -> Codes | None:
    if values is None:
        return None
    numbers = _numbers(values, name="competing", n=len(is_event))
    odd = numbers[(numbers < 0) | (numbers != np.round(numbers))]
    if odd.size:
        raise InputError(f"competing holds {odd[0]:g}, expected whole codes, 0 for none")
    both = int(((numbers > 0) & is_event).sum())
    if both:
        raise InputError(f"{both} rows have both the event and a competing event; follow-up ends with the first")
    return numbers.astype(np.int64)


def _labels(values: ArrayLike | None, *, name: str, n: int) -> Codes | None:
    if values is None:
        return None
    array = np.asarray(values)
    if array.ndim != 1 or len(array) != n:
        raise InputError(f"{name} has shape {array.shape}, time has {n} values; expected one label a row")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{name} is missing in {int((~np.isfinite(array)).sum())} of {n} rows")
    if array.dtype.kind == "O":
        if any(v is None or v != v for v in array.tolist()):  # NaN is not itself
            raise InputError(f"{name} is missing in some rows")
        array = array.astype(str)
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def _weights(values: ArrayLike | None, *, n: int) -> Float64Array | None:
    if values is None:
        return None
    weights = _numbers(values, name="weight", n=n)
    if (weights <= 0).any():
        raise InputError(f"weight holds {weights.min():g}, expected > 0; drop rows that should not count")
    return weights


def _without_near_ties(time: Float64Array) -> Float64Array:
    """Return the times with those that differ by rounding alone set to the lowest of them."""
    distinct, inverse = np.unique(time, return_inverse=True)
    is_new = np.concatenate([[True], np.diff(distinct) > TIE_TOLERANCE * distinct.mean()])
    if is_new.all():
        return time.copy()
    first = np.maximum.accumulate(np.where(is_new, np.arange(len(distinct)), 0))
    joined: Float64Array = distinct[first][inverse]
    return joined
