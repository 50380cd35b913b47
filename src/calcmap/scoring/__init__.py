"""Scores from HU, masks and spacing: lesions, Agatston, volume, mass, categories, percentiles and risk."""

from calcmap.scoring.agatston import FoundLesions, Scoring, VesselCode, find_lesions, score_mask, score_volume
from calcmap.scoring.categories import cac_drs, paper_category
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
    "FoundLesions",
    "MinimumArea",
    "Scoring",
    "SliceLinking",
    "VesselCode",
    "cac_drs",
    "find_lesions",
    "get_profile",
    "paper_category",
    "rule_for_kvp",
    "score_mask",
    "score_volume",
]
