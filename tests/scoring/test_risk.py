from __future__ import annotations

import dataclasses
import math

import pytest

from calcmap.core.errors import InputError
from calcmap.scoring.percentiles import Ethnicity, Sex
from calcmap.scoring.risk import RiskFactors, mesa_chd_risk

PUBLISHED_EXAMPLE = RiskFactors(
    sex=Sex.MALE,
    age_years=70,
    ethnicity=Ethnicity.HISPANIC,
    total_cholesterol_mg_dl=190,
    hdl_mg_dl=50,
    systolic_mmhg=130,
    has_bp_drug=True,
)
WHITE_WOMAN = dataclasses.replace(
    PUBLISHED_EXAMPLE, sex=Sex.FEMALE, ethnicity=Ethnicity.WHITE, has_bp_drug=False, age_years=60
)


def test_risk_of_the_published_example() -> None:
    assert mesa_chd_risk(PUBLISHED_EXAMPLE, agatston=0) == pytest.approx(0.030590, abs=5e-7)


def test_risk_without_calcium_by_hand() -> None:
    # 0.0455*60 + 0.0053*190 - 0.0140*50 + 0.0085*130 = 2.73 + 1.007 - 0.7 + 1.105 = 4.142
    assert mesa_chd_risk(WHITE_WOMAN) == pytest.approx(1 - 0.99963 ** math.exp(4.142))


def test_risk_with_calcium_by_hand() -> None:
    # 0.0172*60 + 0.0043*190 - 0.0114*50 + 0.0066*130 + 0.2743*ln(101) = 1.032 + 0.817 - 0.57 + 0.858 + 1.265926
    assert mesa_chd_risk(WHITE_WOMAN, agatston=100) == pytest.approx(1 - 0.99833 ** math.exp(3.402926), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "without", "with_calcium"),
    [
        ({"sex": Sex.MALE}, 0.7496, 0.4079),
        ({"ethnicity": Ethnicity.CHINESE}, -0.5055, -0.3475),
        ({"ethnicity": Ethnicity.BLACK}, -0.2111, 0.0353),
        ({"ethnicity": Ethnicity.HISPANIC}, -0.1900, -0.0222),
        ({"is_diabetic": True}, 0.5168, 0.3892),
        ({"is_smoker": True}, 0.4732, 0.3717),
        ({"has_lipid_drug": True}, 0.2473, 0.1206),
        ({"has_bp_drug": True}, 0.3381, 0.2278),
        ({"has_family_history": True}, 0.4522, 0.3239),
    ],
)
def test_each_factor_moves_the_risk_by_its_published_coefficient(
    change: dict[str, object], without: float, with_calcium: float
) -> None:
    changed = dataclasses.replace(WHITE_WOMAN, **change)
    for agatston, beta in ((None, without), (50.0, with_calcium)):
        hazards = [-math.log1p(-mesa_chd_risk(person, agatston=agatston)) for person in (WHITE_WOMAN, changed)]
        assert math.log(hazards[1] / hazards[0]) == pytest.approx(beta, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"age_years": 44.9}, "age_years is 44.9, expected 45 to 85"),
        ({"age_years": 86}, "45 to 85"),
        ({"total_cholesterol_mg_dl": 4.9}, "50 to 600"),  # mmol/L
        ({"hdl_mg_dl": 1.3}, "5 to 200"),
        ({"systolic_mmhg": 13.0}, "60 to 300"),  # kPa or cmHg
        ({"systolic_mmhg": float("nan")}, "60 to 300"),
        ({"hdl_mg_dl": 1.3, "systolic_mmhg": 13.0}, r"hdl_mg_dl.*systolic_mmhg"),
    ],
)
def test_numbers_outside_their_range_are_refused(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        dataclasses.replace(PUBLISHED_EXAMPLE, **change)


def test_an_impossible_score_has_no_risk() -> None:
    with pytest.raises(InputError, match="0 or more"):
        mesa_chd_risk(PUBLISHED_EXAMPLE, agatston=-1)
