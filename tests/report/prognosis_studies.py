"""Small made studies of prognosis, for tests of what is written of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calcmap.prognosis.assessment import assess_prognosis
from calcmap.prognosis.config import (
    BootstrapTable,
    CategoryVariable,
    Covariate,
    CovariateKind,
    Endpoint,
    Filter,
    PrognosisSettings,
    Sensitivity,
)
from calcmap.prognosis.study import PrognosisStudy

SETTINGS = PrognosisSettings(
    horizon=2.0,
    endpoints=(Endpoint("mace", "years", "mace", label="MACE"),),
    categories=(
        CategoryVariable("dl", "dl", label="Network", cuts=(1.0, 100.0, 400.0)),
        CategoryVariable("expert", "expert", label="Expert", cuts=(1.0, 100.0, 400.0)),
    ),
    covariates=(
        Covariate("age", label="Age, years", per=10.0),
        Covariate("male", label="Male", kind=CovariateKind.YES_NO),
    ),
    title="Calcium and outcome",
    is_simulated=True,
    risk_cut_offs=(0.1, 0.2),
    sensitivities=(
        Sensitivity("men", label="Men alone", keep=(Filter("male", one_of=("1",)),)),
        Sensitivity("nobody", label="Nobody", keep=(Filter("age", at_least=300.0),)),
    ),
    bootstrap=BootstrapTable(draws=6, workers=1),
)


def made_cells(n: int = 240, *, seed: int = 4, effect: float = 0.35) -> dict[str, list[object]]:
    """Return a table in which the hazard rises with the logarithm of the score, by ``effect`` for each unit."""
    rng = np.random.default_rng(seed)
    score = np.maximum(0.0, np.expm1(rng.normal(2.5, 3.0, size=n)))
    other = np.maximum(0.0, score * np.exp(rng.normal(0.0, 0.8, size=n)) - 1.0)
    age = rng.normal(65.0, 10.0, size=n)
    hazard = 0.05 * np.exp(effect * np.log1p(score) - effect * 2.0 + 0.02 * (age - 65.0))
    event, end = rng.exponential(1.0 / hazard), rng.uniform(0.5, 5.0, size=n)
    return {
        "years": np.round(np.minimum(event, end), 4).tolist(),
        "mace": (event <= end).astype(int).tolist(),
        "dl": score.tolist(),
        "expert": other.tolist(),
        "age": age.tolist(),
        "male": rng.integers(0, 2, size=n).tolist(),
    }


def made_study(**changes: object) -> PrognosisStudy:
    """Return the study of `made_cells` with some of `SETTINGS` changed."""
    return assess_prognosis(made_cells(), replace(SETTINGS, **changes))  # type: ignore[arg-type]
