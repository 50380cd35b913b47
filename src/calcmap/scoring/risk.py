"""Ten-year coronary risk with and without the calcium score (MESA)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from calcmap.core.errors import InputError
from calcmap.scoring.categories import check_score
from calcmap.scoring.percentiles import Ethnicity, Sex
from calcmap.scoring.reference_tables import chd_table

PLAUSIBLE: dict[str, tuple[float, float]] = {
    "age_years": (45.0, 85.0),
    "total_cholesterol_mg_dl": (50.0, 600.0),
    "hdl_mg_dl": (5.0, 200.0),
    "systolic_mmhg": (60.0, 300.0),
}
"""Ages are the model's own. The others are ours: they catch wrong units, as cholesterol in mmol/L."""


@dataclass(frozen=True)
class RiskFactors:
    """What the MESA risk score asks of a person besides calcium.

    Parameters
    ----------
    sex : Sex
        Male or female.
    age_years : float
        45 to 85.
    ethnicity : Ethnicity
        Group of the MESA cohort.
    total_cholesterol_mg_dl : float
        50 to 600 mg/dL.
    hdl_mg_dl : float
        5 to 200 mg/dL.
    systolic_mmhg : float
        60 to 300 mmHg.
    is_diabetic, is_smoker : bool
        Diabetes; smoking now.
    has_lipid_drug, has_bp_drug, has_family_history : bool
        Lipid-lowering drug; blood-pressure drug; heart attack in a parent, sibling or child.

    Raises
    ------
    InputError
        A number lies outside its range; every such number is listed.
    """

    sex: Sex
    age_years: float
    ethnicity: Ethnicity
    total_cholesterol_mg_dl: float
    hdl_mg_dl: float
    systolic_mmhg: float
    is_diabetic: bool = False
    is_smoker: bool = False
    has_lipid_drug: bool = False
    has_bp_drug: bool = False
    has_family_history: bool = False

    def __post_init__(self) -> None:
        complaints = [
            f"{name} is {getattr(self, name)}, expected {low:g} to {high:g}"
            for name, (low, high) in PLAUSIBLE.items()
            if not low <= getattr(self, name) <= high
        ]
        if complaints:
            raise InputError("; ".join(complaints))


def mesa_chd_risk(factors: RiskFactors, *, agatston: float | None = None) -> float:
    """Return the risk of a coronary event within ten years, with the calcium score or without it.

    1 - S0 ** exp(sum of coefficient times factor). The two published models have coefficients of their own.

    Parameters
    ----------
    factors : RiskFactors
        The person.
    agatston : float, optional
        Coronary Agatston score, 0 or more; without it the model without calcium is used.

    Returns
    -------
    float
        0 to 1, higher is riskier; not clipped (a public code clips to 1-30 %).

    Raises
    ------
    InputError
        The score is negative or not finite.

    References
    ----------
    .. [1] McClelland et al., J Am Coll Cardiol 2015;66:1643-1653.
    """
    if agatston is None:
        beta = chd_table().without_calcium
        calcium_term = 0.0
    else:
        check_score(agatston)
        beta = chd_table().with_calcium
        calcium_term = beta["ln_cac_plus_1"] * math.log1p(agatston)
    linear_predictor = math.fsum(beta[name] * value for name, value in _terms(factors).items()) + calcium_term
    return float(1.0 - beta["baseline_survival"] ** math.exp(linear_predictor))


def _terms(factors: RiskFactors) -> dict[str, float]:
    """Return each factor's number by the name of its coefficient; a white woman is the reference."""
    return {
        "age": factors.age_years,
        "male": factors.sex is Sex.MALE,
        "chinese": factors.ethnicity is Ethnicity.CHINESE,
        "black": factors.ethnicity is Ethnicity.BLACK,
        "hispanic": factors.ethnicity is Ethnicity.HISPANIC,
        "diabetes": factors.is_diabetic,
        "smoker": factors.is_smoker,
        "totchol": factors.total_cholesterol_mg_dl,
        "hdl": factors.hdl_mg_dl,
        "lipid_med": factors.has_lipid_drug,
        "sbp": factors.systolic_mmhg,
        "bp_med": factors.has_bp_drug,
        "family_hx": factors.has_family_history,
    }
