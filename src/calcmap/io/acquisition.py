"""How a CT was made, as far as its header says."""

from __future__ import annotations

import re

from calcmap.core.scan import Acquisition
from calcmap.io.headers import Instance

_AGE_UNITS_PER_YEAR = {"Y": 1.0, "M": 12.0, "W": 52.1775, "D": 365.2425}
_GATED_OPTIONS = re.compile(r"ECG|GATED|TRIGGER|CARDIAC|\bTP\d|SYNC", re.IGNORECASE)
_UNGATED_SYNCHRONIZATION = ("", "NONE")
_NO_CONTRAST_WORDS = ("", "n", "no", "none", "non", "without", "w/o", "wo", "0", "unknown", "n/a", "na", "plain")


def read_acquisition(instance: Instance, *, thickness_mm: float | None, padding_hu: int | None) -> Acquisition:
    """Return the acquisition facts of a header; ``None`` for whatever it does not say."""
    return Acquisition(
        source_format="dicom",
        kvp=_positive(instance.number("KVP")),
        tube_current_ma=_positive(instance.number("XRayTubeCurrent")),
        exposure_mas=_positive(instance.number("Exposure")),
        slice_thickness_mm=_positive(thickness_mm),
        kernel=instance.text("ConvolutionKernel") or None,
        manufacturer=instance.text("Manufacturer") or None,
        scanner_model=instance.text("ManufacturerModelName") or None,
        reconstruction_diameter_mm=_positive(instance.number("ReconstructionDiameter")),
        contrast_agent=contrast_agent(instance),
        is_gated=True if gating_evidence(instance) else None,
        padding_hu=padding_hu,
        mass_factor_mg_per_cm3_hu=_mass_factor(instance),
        patient_sex=sex if (sex := instance.text("PatientSex").upper()) in ("M", "F") else None,
        patient_age_years=_age_years(instance.text("PatientAge")),
    )


def contrast_agent(instance: Instance) -> str | None:
    """Return the agent given into the vessels, or ``None`` when none is named or it was swallowed."""
    agent = instance.text("ContrastBolusAgent")
    route = instance.text("ContrastBolusRoute")
    return None if _says_no_contrast(agent) or "ORAL" in route.upper() else agent


def gating_evidence(instance: Instance) -> str | None:
    """Return the header element that shows a heart-gated scan, or ``None``."""
    options = instance.text("ScanOptions")
    if _GATED_OPTIONS.search(options):
        return f"ScanOptions {options}"
    if instance.text("CardiacSynchronizationTechnique").upper() not in _UNGATED_SYNCHRONIZATION:
        return f"CardiacSynchronizationTechnique {instance.text('CardiacSynchronizationTechnique')}"
    if instance.number("NominalPercentageOfCardiacPhase") is not None:
        return f"NominalPercentageOfCardiacPhase {instance.number('NominalPercentageOfCardiacPhase'):g}"
    if (instance.number("TriggerTime") or 0.0) > 0.0:
        return f"TriggerTime {instance.number('TriggerTime'):g} ms"
    return None


def _says_no_contrast(agent: str) -> bool:
    text = agent.strip().lower()
    return text in _NO_CONTRAST_WORDS or "oral" in text.split() or text.startswith(("no ", "non", "without"))


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _mass_factor(instance: Instance) -> float | None:
    """Return the patient's calcium mass factor, mg/cm3 per HU; the device's three sizes are not guessed at."""
    return _positive(instance.number("CalciumScoringMassFactorPatient"))


def _age_years(text: str) -> float | None:
    match = re.fullmatch(r"(\d{1,3})([DWMY])", text.strip().upper())
    return int(match[1]) / _AGE_UNITS_PER_YEAR[match[2]] if match else None
