"""The made cohort with its competing events, for Gray's test and the model of Fine and Gray."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calcmap.prognosis.followup import FollowUp, follow_up
from prognosis.made_outcome import made_cells


def competing_cohort(
    *, tied: bool = False, cause: str = "mace", stratum: bool = False, cluster: bool = False
) -> tuple[FollowUp, NDArray[np.int64]]:
    """Return follow-up of 240 patients and their category; ``tied`` joins times to half years.

    63 have the event, 19 a competing one.
    """
    cells = made_cells()
    years = np.array(cells["years"])
    category = np.array([("none", "mild", "severe").index(word) for word in cells["eye"]])
    covariates = {
        "age": np.array(cells["age"]) / 10,
        "male": np.array([word == "M" for word in cells["sex"]]),
        "mild": category == 1,
        "severe": category == 2,
    }
    groups: dict[str, Any] = {
        "stratum": cells["centre"] if stratum else None,
        "cluster": cells["centre"] if cluster else None,
    }
    return follow_up(
        np.ceil(years * 2) / 2 if tied else years,
        cells[cause],
        competing=cells["other" if cause == "mace" else "mace"],
        covariates=covariates,
        **groups,
    ), category
