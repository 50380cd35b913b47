"""The columns of a simulated cohort's table: names, units, meaning and where each value comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from calcmap.core.result import Vessel
from calcmap.simulation.population.readers import READERS, VISUAL

AGATSTON = "Agatston units"
YES_NO = "0 or 1"
CATEGORY = "0: below 1; 1: 1-100; 2: above 100 to 400; 3: above 400"
VISUAL_NAMES = ("none", "mild", "moderate", "severe")
"""Visual grades; they stand for the paper's four categories."""


class Source(StrEnum):
    """Where a value comes from; all of it is simulated."""

    ORDER = "order"
    PLANTED = "planted truth"
    READER = "simulated reader"
    CLINICAL = "drawn clinical data"
    OUTCOME = "drawn outcome"


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    name: str
    unit: str
    meaning: str
    source: Source
    may_be_missing: bool = False
    """Left out in part when missing values are asked for."""


_WHO = (
    Column("id", "", "patient, as in the cohort's folders", Source.ORDER),
    Column("site", "", "scan protocol and population", Source.ORDER),
    Column("cohort_seed", "", "seed of the cohort", Source.ORDER),
    Column("number", "", "of the patient in the cohort, from 0", Source.ORDER),
    Column("patient_seed", "", "seed of the patient's anatomy, calcium and scan", Source.ORDER),
)
_TRUTH = (
    Column("ideal_agatston", AGATSTON, "of an ideal gated scan: sharp, still, noise-free", Source.PLANTED),
    Column("category", CATEGORY, "of ideal_agatston", Source.PLANTED),
    *(
        Column(f"ideal_{vessel.value.lower()}", AGATSTON, f"part of ideal_agatston in {vessel.value}", Source.PLANTED)
        for vessel in Vessel
    ),
    Column("n_lesions", "", "planted coronary calcifications", Source.PLANTED),
    Column("visible_agatston", AGATSTON, "on an attenuation CT without noise", Source.PLANTED),
    Column("noise_sd_hu", "HU", "noise of the attenuation CT in the heart, estimated", Source.PLANTED),
)
_READER_MEANING = {
    "expert_1": "an expert on the attenuation CT",
    "expert_2": "a second expert on the attenuation CT",
    "gated": "an expert on a gated scan",
    "gated_2": "a second expert on the gated scan",
    "visual": "a visual estimate on the attenuation CT",
    "dl_like": "a stand-in for a network, made to agree with expert_1 as the paper's did; no network has read anything",
}


def _reader_columns() -> Iterator[Column]:
    for reader in READERS:
        meaning = _READER_MEANING[reader.name]
        if reader is VISUAL:
            yield Column("visual", ", ".join(VISUAL_NAMES), meaning, Source.READER)
        else:
            yield Column(f"{reader.name}_agatston", AGATSTON, meaning, Source.READER)
        yield Column(f"{reader.name}_category", CATEGORY, meaning, Source.READER)


_CLINICAL = (
    Column("sex", "M or F", "", Source.CLINICAL),
    Column("age_years", "years", "", Source.CLINICAL),
    Column("height_cm", "cm", "", Source.CLINICAL, may_be_missing=True),
    Column("bmi_kg_m2", "kg/m2", "body mass index", Source.CLINICAL, may_be_missing=True),
    Column("hypertension", YES_NO, "", Source.CLINICAL, may_be_missing=True),
    Column("diabetes", YES_NO, "", Source.CLINICAL, may_be_missing=True),
    Column("dyslipidaemia", YES_NO, "", Source.CLINICAL, may_be_missing=True),
    Column("family_history", YES_NO, "of coronary disease", Source.CLINICAL, may_be_missing=True),
    Column("smoking", YES_NO, "current", Source.CLINICAL, may_be_missing=True),
    Column("pharmacologic_stress", YES_NO, "not stressed by exercise", Source.CLINICAL, may_be_missing=True),
    Column("stress_tpd_percent", "% of the left ventricle", "stress total perfusion deficit, attenuation-corrected",
           Source.CLINICAL, may_be_missing=True),
    Column("stress_tpd_class", "0: below 1 %; 1: 1 to below 5 %; 2: 5 to below 10 %; 3: 10 % and more",
           "of stress_tpd_percent; missing with it", Source.CLINICAL),
    Column("rest_tpd_percent", "% of the left ventricle", "rest total perfusion deficit", Source.CLINICAL,
           may_be_missing=True),
    Column("lvef_percent", "%", "left ventricular ejection fraction", Source.CLINICAL, may_be_missing=True),
)  # fmt: skip
_OUTCOME = (
    Column("early_revascularisation", YES_NO, "within 90 days of the scan", Source.OUTCOME),
    Column("follow_up_years", "years", "to death or the end of follow-up", Source.OUTCOME),
    Column("mace", YES_NO, "death, revascularisation, infarction or unstable angina", Source.OUTCOME),
    Column("mace_years", "years", "to the first MACE or the end of follow-up", Source.OUTCOME),
    Column("mace_kind", "", "what the first MACE was; empty without one", Source.OUTCOME),
    Column("death", YES_NO, "", Source.OUTCOME),
    Column("hard_event", YES_NO, "death or infarction", Source.OUTCOME),
    Column("hard_event_years", "years", "to the first of both or the end of follow-up", Source.OUTCOME),
    Column("death_days", "days", "from scan to death; empty without", Source.OUTCOME),
    Column("revascularisation_days", "days", "from scan to the first; empty without", Source.OUTCOME),
    Column("infarction_days", "days", "from scan to the first; empty without", Source.OUTCOME),
    Column("unstable_angina_days", "days", "from scan to the first; empty without", Source.OUTCOME),
)

COLUMNS: tuple[Column, ...] = (*_WHO, *_TRUTH, *_reader_columns(), *_CLINICAL, *_OUTCOME)
"""In the order of the table."""
