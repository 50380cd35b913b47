"""How hybrid scanners write their studies: bits, padding, options and the names of what stands beside the CT.

Names are collected from memory and users' reports, not from any maker's documents: they are typical, not exact. What
the CT itself is called and how it was made comes with the simulated `Acquisition`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

from calcmap.io.ct_writing import Storage
from calcmap.simulation.scanner.sites import Acquisition

MGY_PER_MAS = 0.068
"""CTDIvol of the body phantom for 1 mAs at 120 kVp and pitch 1: about 7 mGy for 100 mAs (our choice)."""
KVP_POWER = 2.5
"""Dose grows with this power of the tube voltage (our choice)."""
LOWEST_OF_12_BITS_HU = -1024
PITCHES = (0.5, 1.75)
"""What scanners offer; table speeds beyond are called by the nearest."""


class NuclearKind(Enum):
    """What stands beside the CT."""

    SPECT = "spect"
    PET = "pet"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Station:
    """One hybrid scanner's habits; ``{phase}`` in a name stands for stress or rest with a blank, or for nothing."""

    manufacturer: str
    nuclear: NuclearKind = NuclearKind.SPECT
    phases: tuple[str, str] = ("STRESS", "REST")
    storage: Storage = Storage.SIGNED_16
    announces_padding: bool = False
    is_numbered_from_head: bool = False
    collimation_mm: tuple[float, float]
    helical_options: str = ""
    scout_options: str = ""
    gated_options: str = ""
    """ScanOptions of gated scans; some makers say nothing there."""
    gated_name: str
    gated_kernel: str
    scout_name: str
    corrected_name: str = "{phase}AC"
    uncorrected_name: str = "{phase}NC"
    projection_name: str = "{phase}TOMO"
    map_name: str = "{phase}CTACMAP"
    method: str = ""
    """Name of the nuclear reconstruction."""
    attenuation_method: str = ""
    capture_name: str = "Report"
    protocol: str

    def storage_of(self, padding_hu: int | None) -> Storage:
        """Return how a scan is stored: padding below -1024 HU needs the sign that some makers do not have."""
        if padding_hu is not None and padding_hu < LOWEST_OF_12_BITS_HU:
            return Storage.SIGNED_16
        return self.storage

    def announced_padding(self, padding_hu: int | None) -> int | None:
        """Return the padding that headers tell of."""
        is_told = self.announces_padding or (padding_hu is not None and padding_hu < LOWEST_OF_12_BITS_HU)
        return padding_hu if is_told else None

    def pitch_of(self, acquisition: Acquisition) -> float | None:
        """Return table feed in a turn over the collimation; ``None`` when the table stands."""
        if acquisition.is_gated or acquisition.is_flat_panel:
            return None
        pitch = acquisition.table_mm_s * acquisition.rotation_s / self.collimation_mm[1]
        return round(min(max(pitch, PITCHES[0]), PITCHES[1]), 3)

    def ctdi_vol_mgy(self, acquisition: Acquisition) -> float:
        """Return the dose index of a scan."""
        per_mas = MGY_PER_MAS * float((acquisition.kvp / 120) ** KVP_POWER)
        return round(per_mas * acquisition.mas / (self.pitch_of(acquisition) or 1.0), 2)


GE = Station(
    manufacturer="GE MEDICAL SYSTEMS",
    announces_padding=True,
    is_numbered_from_head=True,
    collimation_mm=(1.25, 20.0),
    helical_options="HELICAL MODE",
    scout_options="SCOUT MODE",
    gated_options="CINE MODE\\ECG GATED",
    gated_name="SmartScore - Gated 0.35s",
    gated_kernel="STANDARD",
    scout_name="Scout",
    corrected_name="{phase}IRAC Transaxial",
    uncorrected_name="{phase}IRNC Transaxial",
    projection_name="{phase}MYO TOMO",
    map_name="{phase}ACMAP",
    method="OSEM 2i10s BW",
    capture_name="Cardiac Results",
    protocol="Cardiac CTAC",
)
SIEMENS = Station(
    manufacturer="SIEMENS",
    phases=("Stress", "Rest"),
    storage=Storage.UNSIGNED_12,
    collimation_mm=(1.2, 19.2),
    gated_name="CaScSeq  3.0  B35f",
    gated_kernel="B35f",
    scout_name="Topogram  1.0  T20s",
    corrected_name="{phase}[Recon - AC ]",
    uncorrected_name="{phase}[Recon - NoAC ]",
    projection_name="{phase}CARD SPECT",
    map_name="{phase}CT Attn Map [Transformed Object]",
    method="Flash 3D",
    protocol="CARDIAC_AC (Adult)",
)
PHILIPS = Station(
    manufacturer="Philips Medical Systems",
    phases=("Stress", "Rest"),
    storage=Storage.UNSIGNED_12,
    is_numbered_from_head=True,
    collimation_mm=(1.5, 24.0),
    helical_options="HELIX",
    scout_options="SURVIEW",
    gated_options="SYNC_ECG",
    gated_name="Ca Score 3.0mm",
    gated_kernel="XCA",
    scout_name="Surview",
    corrected_name="{phase}AC Transverse",
    uncorrected_name="{phase}NC Transverse",
    projection_name="{phase}Tomo",
    method="Astonish 4i8s",
    protocol="Myocardial Perfusion",
)
TOSHIBA = Station(
    manufacturer="TOSHIBA",
    announces_padding=True,
    collimation_mm=(0.5, 32.0),
    helical_options="HELICAL_CT",
    scout_options="SCANOSCOPE",
    gated_options="CARDIAC_CT",
    gated_name="CALCIUM SCORE 3.0",
    gated_kernel="FC12",
    scout_name="Scanogram",
    corrected_name="{phase}TRANSAXIAL AC",
    uncorrected_name="{phase}TRANSAXIAL NAC",
    method="OSEM",
    protocol="HEART AC",
)
GE_PET = replace(
    GE, nuclear=NuclearKind.PET, phases=("Stress", "Rest"), corrected_name="{phase}CARDIAC AC 3D",
    uncorrected_name="{phase}CARDIAC NAC", method="3D IR", attenuation_method="measured,CTAC",
    protocol="Cardiac PET/CT",
)  # fmt: skip
SIEMENS_PET = replace(
    SIEMENS, nuclear=NuclearKind.PET, corrected_name="{phase}Card AC", uncorrected_name="{phase}Card NoAC",
    method="OSEM3D 4i8s", attenuation_method="measured,AC CT", protocol="Cardiac_PETCT",
)  # fmt: skip

_BY_MODEL = (
    ("biograph", SIEMENS_PET), ("symbia", SIEMENS), ("sensation", SIEMENS), ("emotion", SIEMENS),
    ("precedence", PHILIPS), ("brightview", PHILIPS), ("brilliance", PHILIPS), ("aquilion", TOSHIBA),
)  # fmt: skip
_CT_ALONE, _PET = "chest", "pet"
_PHASE_WORDS = re.compile(r"\b(stress|rest)\b\s*", re.IGNORECASE)


def station_of(acquisition: Acquisition, *, site_name: str) -> Station:
    """Return the habits of the scanner that made a scan; GE's where the model is unknown."""
    model = acquisition.scanner_model.lower()
    station = next((one for word, one in _BY_MODEL if model.startswith(word)), GE)
    if _CT_ALONE in site_name:
        return replace(station, nuclear=NuclearKind.NONE)
    if _PET in site_name and station is GE:
        return GE_PET
    return station


def series_name(template: str, *, phase: str) -> str:
    """Return a series' name with the phase, or without one when it is empty."""
    return template.format(phase=f"{phase} " if phase else "").strip()


def correction_name(description: str, *, phase: str) -> str:
    """Return an attenuation CT's name that tells its own phase, or none when it is empty."""
    if not phase:
        return _PHASE_WORDS.sub("", description).strip()
    if _PHASE_WORDS.search(description):
        return _PHASE_WORDS.sub(f"{phase} ", description).strip()
    return f"{description} {phase}".strip()
