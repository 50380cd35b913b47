"""The dose report of a CT: a structured report with one entry for each time the tube was on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import XRayRadiationDoseSRStorage

from calcmap.io.ct_writing import BODY_PHANTOM
from calcmap.io.dicom_objects import SeriesHeader, code, decimal, made_up_uid, new_object

TEMPLATE = "10011"
"""CT radiation dose, PS3.16."""

_DCM = "DCM"
_CHEST = ("51185008", "SCT", "Chest")
_UNITS = {
    "{events}": "events", "mGy.cm": "mGy.cm", "mGy": "mGy", "s": "s", "mm": "mm", "{ratio}": "ratio", "kV": "kV",
    "mA": "mA", "{X-Ray sources}": "X-Ray sources",
}  # fmt: skip
"""Units of measurement (UCUM) and what they are called."""


@dataclass(frozen=True, kw_only=True)
class Irradiation:
    """One time that the tube was on."""

    protocol: str
    kvp: float
    tube_current_ma: float
    exposure_s: float
    rotation_s: float
    length_mm: float
    ctdi_vol_mgy: float
    collimation_mm: tuple[float, float]
    """Width of one row of detectors, and of all."""
    pitch: float | None = None
    """``None``: no helix."""
    is_localizer: bool = False

    @property
    def dlp_mgy_cm(self) -> float:
        """Dose length product."""
        return self.ctdi_vol_mgy * self.length_mm / 10

    @property
    def kind(self) -> Dataset:
        """How the tube and the table moved, as a coded concept."""
        if self.is_localizer:
            return code("113805", _DCM, "Constant Angle Acquisition")
        if self.pitch is None:
            return code("113804", _DCM, "Sequenced Acquisition")
        return code("116152004", "SCT", "Spiral Acquisition")


def dose_report(irradiations: Sequence[Irradiation], *, header: SeriesHeader, ended_at: str) -> FileDataset:
    """Return the X-ray radiation dose report of a study's CTs.

    Parameters
    ----------
    irradiations : sequence of Irradiation
        In the order in which they were made.
    header : SeriesHeader
        Identity; its time is that of the report.
    ended_at : str
        When the tube was last on, as DICOM has times; it was first on at the study's time.

    Returns
    -------
    FileDataset
        Complete, unverified.
    """
    report = new_object(XRayRadiationDoseSRStorage, header=header, modality="SR")
    report.DeviceSerialNumber = header.institution
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = []
    report.CompletionFlag, report.VerificationFlag = "COMPLETE", "UNVERIFIED"
    content = [
        _procedure(),
        *_observer(header),
        *_scope(header, ended_at=ended_at),
        _accumulated(irradiations),
        *(_acquisition(one, made_up_uid(f"irradiation {n}", header.seed)) for n, one in enumerate(irradiations)),
        _coded("113854", "Source of Dose Information", code("113856", _DCM, "Automated Data Collection")),
    ]
    root = _container("113701", "X-Ray Radiation Dose Report", content)
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", TEMPLATE
    root.ContentTemplateSequence = [template]
    del root.RelationshipType
    report.update(root)
    return report


def _procedure() -> Dataset:
    intent = _coded("363703001", "Has Intent", code("261004008", "SCT", "Diagnostic Intent"), scheme="SCT")
    intent.RelationshipType = "HAS CONCEPT MOD"
    procedure = _coded("121058", "Procedure reported", code("77477000", "SCT", "Computed Tomography X-Ray"))
    procedure.RelationshipType = "HAS CONCEPT MOD"
    procedure.ContentSequence = [intent]
    return procedure


def _observer(header: SeriesHeader) -> list[Dataset]:
    items = [
        _coded("121005", "Observer Type", code("121007", _DCM, "Device")),
        _identified("121012", "Device Observer UID", made_up_uid("device", header.scanner_model)),
        _worded("121014", "Device Observer Manufacturer", header.manufacturer),
        _worded("121015", "Device Observer Model Name", header.scanner_model),
        _worded("121016", "Device Observer Serial Number", header.institution),
    ]
    for item in items:
        item.RelationshipType = "HAS OBS CONTEXT"
    return items


def _scope(header: SeriesHeader, *, ended_at: str) -> list[Dataset]:
    study = _identified("110180", "Study Instance UID", header.study_uid)
    study.RelationshipType = "HAS PROPERTIES"
    scope = _coded("113705", "Scope of Accumulation", code("113014", _DCM, "Study"))
    scope.RelationshipType = "HAS OBS CONTEXT"
    scope.ContentSequence = [study]
    started = _item("DATETIME", "113809", "Start of X-Ray Irradiation")
    started.DateTime = header.study_date + header.study_time
    ended = _item("DATETIME", "113810", "End of X-Ray Irradiation")
    ended.DateTime = header.study_date + ended_at
    for moment in (started, ended):
        moment.RelationshipType = "HAS OBS CONTEXT"
    return [started, ended, scope]


def _accumulated(irradiations: Sequence[Irradiation]) -> Dataset:
    total = sum(one.dlp_mgy_cm for one in irradiations)
    return _container(
        "113811",
        "CT Accumulated Dose Data",
        [
            _measured("113812", "Total Number of Irradiation Events", len(irradiations), "{events}"),
            _measured("113813", "CT Dose Length Product Total", total, "mGy.cm"),
        ],
    )


def _acquisition(one: Irradiation, uid: str) -> Dataset:
    content = [
        _worded("125203", "Acquisition Protocol", one.protocol),
        _coded("123014", "Target Region", code(*_CHEST)),
        _coded("113820", "CT Acquisition Type", one.kind),
        _identified("113769", "Irradiation Event UID", uid),
        _parameters(one),
    ]
    if not one.is_localizer:
        content.append(_dose(one))
    return _container("113819", "CT Acquisition", content)


def _parameters(one: Irradiation) -> Dataset:
    pitch = [] if one.pitch is None else [_measured("113828", "Pitch Factor", one.pitch, "{ratio}")]
    content = [
        _measured("113824", "Exposure Time", one.exposure_s, "s"),
        _measured("113825", "Scanning Length", one.length_mm, "mm"),
        _measured("113826", "Nominal Single Collimation Width", one.collimation_mm[0], "mm"),
        _measured("113827", "Nominal Total Collimation Width", one.collimation_mm[1], "mm"),
        *pitch,
        _measured("113823", "Number of X-Ray Sources", 1, "{X-Ray sources}"),
        _source(one),
    ]
    return _container("113822", "CT Acquisition Parameters", content)


def _source(one: Irradiation) -> Dataset:
    content = [
        _worded("113832", "Identification of the X-Ray Source", "1"),
        _measured("113733", "KVP", one.kvp, "kV"),
        _measured("113833", "Maximum X-Ray Tube Current", one.tube_current_ma, "mA"),
        _measured("113734", "X-Ray Tube Current", one.tube_current_ma, "mA"),
    ]
    if not one.is_localizer:
        content.append(_measured("113834", "Exposure Time per Rotation", one.rotation_s, "s"))
    return _container("113831", "CT X-Ray Source Parameters", content)


def _dose(one: Irradiation) -> Dataset:
    content = [
        _measured("113830", "Mean CTDIvol", one.ctdi_vol_mgy, "mGy"),
        _coded("113835", "CTDIw Phantom Type", code(*BODY_PHANTOM)),
        _measured("113838", "DLP", one.dlp_mgy_cm, "mGy.cm"),
    ]
    return _container("113829", "CT Dose", content)


# Content items: what each value type of the standard needs.


def _item(value_type: str, concept: str, meaning: str, *, scheme: str = _DCM) -> Dataset:
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = value_type
    item.ConceptNameCodeSequence = [code(concept, scheme, meaning)]
    return item


def _container(concept: str, meaning: str, content: Sequence[Dataset]) -> Dataset:
    item = _item("CONTAINER", concept, meaning)
    item.ContinuityOfContent = "SEPARATE"
    item.ContentSequence = list(content)
    return item


def _coded(concept: str, meaning: str, value: Dataset, *, scheme: str = _DCM) -> Dataset:
    item = _item("CODE", concept, meaning, scheme=scheme)
    item.ConceptCodeSequence = [value]
    return item


def _worded(concept: str, meaning: str, text: str) -> Dataset:
    item = _item("TEXT", concept, meaning)
    item.TextValue = text
    return item


def _identified(concept: str, meaning: str, uid: str) -> Dataset:
    item = _item("UIDREF", concept, meaning)
    item.UID = uid
    return item


def _measured(concept: str, meaning: str, value: float, unit: str) -> Dataset:
    measured = Dataset()
    measured.NumericValue = decimal(float(f"{value:.6g}"))
    measured.MeasurementUnitsCodeSequence = [code(unit, "UCUM", _UNITS[unit])]
    item = _item("NUM", concept, meaning)
    item.MeasuredValueSequence = [measured]
    return item
