"""Made readings of the same patients, for tests of agreement."""

from __future__ import annotations

import numpy as np

from calcmap.evaluation.study import AgreementSettings, Readings, read_columns


def made_cells(n: int = 80, *, seed: int = 3) -> dict[str, list[object]]:
    """Return scores of a reference and a test and categories of a visual reader, many of them zero."""
    rng = np.random.default_rng(seed)
    true = np.maximum(0.0, np.expm1(rng.normal(2.5, 3.0, size=n)))
    test = np.maximum(0.0, true * np.exp(rng.normal(0, 0.5, size=n)) - 1)
    visual = AgreementSettings().categories.of_scores(true * np.exp(rng.normal(0, 1.5, size=n)))
    return {"reference": true.tolist(), "test": test.tolist(), "visual": visual.tolist()}


def made_readings(settings: AgreementSettings, *, parts: tuple[str, ...] = ("reference", "test", "visual")) -> Readings:
    """Return `made_cells` of some of the readers as readings."""
    cells = {part: made_cells()[part] for part in parts}
    return read_columns(cells, columns={part: f"{part}_column" for part in parts}, settings=settings)
