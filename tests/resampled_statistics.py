"""Statistics for bootstrap tests; in a module of their own, because worker processes import them by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.errors import InputError
from calcmap.prognosis.bootstrap import Rows, Undefined


@dataclass(frozen=True)
class MeanOf:
    """A picklable statistic: mean, and a ratio that some draws do not define."""

    values: np.ndarray

    def __call__(self, rows: Rows):
        drawn = self.values[rows]
        spread = float(drawn.std())
        return {"mean": float(drawn.mean()), "spread": spread if spread else Undefined("no spread")}


@dataclass(frozen=True)
class FailsWhenFirstIsAbsent:
    def __call__(self, rows: Rows):
        if 0 not in rows:
            raise InputError("the only event was not drawn")
        return {"drawn": float(rows.size)}


class Singular:
    def __call__(self, rows: Rows):
        if len(np.unique(rows)) < len(rows):
            raise np.linalg.LinAlgError("Singular matrix")
        return {"x": 1.0}


class Faulty:
    def __call__(self, rows: Rows):
        if len(np.unique(rows)) < len(rows):
            raise ZeroDivisionError("a fault of the program")
        return {"x": 1.0}
