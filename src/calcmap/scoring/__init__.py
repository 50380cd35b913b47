"""Scores from HU, masks and spacing: lesions, Agatston, volume, mass, categories, percentiles and risk."""

from calcmap.scoring.agatston import (
    FoundLesions,
    Scoring,
    VesselCode,
    find_lesions,
    find_ranked_lesions,
    score_mask,
    score_volume,
)
from calcmap.scoring.categories import cac_drs, paper_category
from calcmap.scoring.percentiles import Ethnicity, Sex, arterial_age_years, hoff_percentile, mesa_percentile
from calcmap.scoring.risk import RiskFactors, mesa_chd_risk
from calcmap.scoring.rules import (
    PROFILES,
    AgatstonRule,
    MinimumArea,
    SliceLinking,
    get_profile,
    rule_for_kvp,
)

__all__ = [
    "PROFILES",
    "AgatstonRule",
    "Ethnicity",
    "FoundLesions",
    "MinimumArea",
    "RiskFactors",
    "Scoring",
    "Sex",
    "SliceLinking",
    "VesselCode",
    "arterial_age_years",
    "cac_drs",
    "find_lesions",
    "find_ranked_lesions",
    "get_profile",
    "hoff_percentile",
    "mesa_chd_risk",
    "mesa_percentile",
    "paper_category",
    "rule_for_kvp",
    "score_mask",
    "score_volume",
]
