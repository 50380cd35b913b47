"""A simulated patient as the DICOM study that a hybrid camera would send, with the truth beside it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset

from calcmap.cohorts.pages import SCOUT_ROW_MM, front_view, slice_page, text_page
from calcmap.cohorts.stations import NuclearKind, Station, correction_name, series_name, station_of
from calcmap.cohorts.study_recipe import Localizer, StudyRecipe, draw_study_recipe
from calcmap.core.volume import Float32Array, Volume
from calcmap.io.capture_writing import secondary_capture
from calcmap.io.ct_writing import CtHeader, ct_image, ct_localizer
from calcmap.io.dicom_objects import SeriesHeader
from calcmap.io.dose_writing import Irradiation, dose_report
from calcmap.io.nifti import write_labels
from calcmap.io.nuclear_writing import (
    NuclearHeader,
    Rotation,
    Tracer,
    pet_slices,
    spect_projections,
    spect_volume,
)
from calcmap.io.study_writing import write_objects
from calcmap.simulation.nuclear.camera import (
    ARC_DEGREES,
    PET,
    SPECT,
    NuclearCamera,
    Scene,
    nuclear_grid,
    picture,
    projections,
    set_scene,
)
from calcmap.simulation.nuclear.perfusion import Perfusion, draw_perfusion
from calcmap.simulation.patient import PatientPlan, SimulatedPatient, scan_patient
from calcmap.simulation.scanner.sites import Acquisition, gated

REST_SCAN, GATED_SCAN = 1, 2
"""Numbers of the scans of one patient beside the first, see `scan_patient`."""
HOURS_BETWEEN = 2.0
"""From the first nuclear study of the day to the second."""
SPECT_SCALE, MAP_SCALE, PET_WALL_BQML = 3000.0, 1e5, 60000.0
"""Stored SPECT counts of healthy wall; stored map values of 1 per mm; activity of healthy wall (our choice)."""
N_VIEWS, VIEW_COUNTS = 60, 130.0
SCOUT_MA, SCOUT_CTDI_MGY, SCOUT_MM_S = 10.0, 0.04, 100.0
SCOUT_COLLIMATION_MM = (1.25, 5.0)
CAPTURE_HALF_PX = 12
CT_NUMBER, NUCLEAR_NUMBER, CAPTURE_NUMBER, DOSE_PAGE_NUMBER, DOSE_NUMBER = 1, 101, 901, 998, 999
"""First SeriesNumber of each kind."""
NO_SHIFT = (0.0, 0.0, 0.0)


class Role(Enum):
    """What a series of a simulated study is."""

    STRESS_CT = "stress_ctac"
    REST_CT = "rest_ctac"
    GATED_CT = "gated_ct"
    LOCALIZER = "localizer"
    CORRECTED = "nuclear_corrected"
    UNCORRECTED = "nuclear_uncorrected"
    PROJECTIONS = "nuclear_projections"
    ATTENUATION_MAP = "attenuation_map"
    CAPTURE = "capture"
    DOSE_PAGE = "dose_page"
    DOSE_REPORT = "dose_report"


class Phase(Enum):
    """Stress or rest; the value is the place in a station's names of phases."""

    STRESS = 0
    REST = 1


@dataclass(frozen=True)
class WrittenSeries:
    """One series of a written study, for the truth."""

    role: Role
    uid: str
    modality: str
    description: str
    n_objects: int
    scan: SimulatedPatient | None = field(default=None, repr=False)
    """The scan behind a CT series, with its labels."""


@dataclass(frozen=True)
class WrittenStudy:
    """What was written."""

    series: tuple[WrittenSeries, ...]
    recipe: StudyRecipe
    perfusion: Perfusion | None
    """``None`` where no nuclear camera stands beside the CT."""

    @property
    def reference(self) -> WrittenSeries:
        """The series that should be scored: the stress study's attenuation CT."""
        return next(one for one in self.series if one.role is Role.STRESS_CT)


@dataclass(frozen=True, eq=False)
class _Made:
    """A series before it is written."""

    role: Role
    objects: list[FileDataset]
    scan: SimulatedPatient | None = None


@dataclass(frozen=True, eq=False)
class _Session:
    """Everything that the makers of series share."""

    plan: PatientPlan
    name: str
    recipe: StudyRecipe
    station: Station
    scans: dict[Role, SimulatedPatient]
    perfusion: Perfusion | None

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The nuclear studies, in the order of the day."""
        if not self.recipe.rest_nuclear:
            return (Phase.STRESS,)
        return (Phase.REST, Phase.STRESS) if self.recipe.is_rest_first else (Phase.STRESS, Phase.REST)

    def phase_word(self, phase: Phase) -> str:
        """Return the phase as this scanner spells it."""
        return self.station.phases[phase.value]

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the random numbers of one purpose."""
        return _stream(self.plan, purpose)

    def time(self, phase: Phase, *, minutes: int) -> str:
        """Return the time of day so many minutes into a nuclear study."""
        start = self.recipe.minute + round(60 * HOURS_BETWEEN) * self.phases.index(phase)
        return f"{(start + minutes) // 60:02d}{(start + minutes) % 60:02d}00"

    def header(self, series: str, description: str, number: int, *, time: str, frame: str = "") -> SeriesHeader:
        """Return the header of one series; ``series`` names it among those of the study."""
        plan, profile = self.plan, self.plan.profile
        date = datetime.date(2000, 1, 1) + datetime.timedelta(days=self.recipe.day)
        return SeriesHeader(
            seed=f"{self.name} {series}", study_seed=self.name, frame_seed=f"{self.name} {frame}", patient_id=self.name,
            patient_sex=profile.sex, patient_age_years=round(profile.age_years),
            patient_height_m=round(profile.height_cm / 100, 2),
            patient_weight_kg=round(profile.bmi * (profile.height_cm / 100) ** 2, 1),
            study_description=f"Simulated {self.station.nuclear.value.upper()}/CT heart study"
            if self.station.nuclear is not NuclearKind.NONE else "Simulated chest CT",
            study_date=f"{date:%Y%m%d}", study_time=self.time(self.phases[0], minutes=0), time=time,
            description=description, protocol=self.station.protocol, manufacturer=self.station.manufacturer,
            scanner_model=plan.acquisition.scanner_model or "synthetic", series_number=number,
        )  # fmt: skip


def write_study(
    plan: PatientPlan,
    folder: Path,
    *,
    name: str,
    recipe: StudyRecipe | None = None,
    perfusion: Perfusion | None = None,
    scan: SimulatedPatient | None = None,
) -> WrittenStudy:
    """Write a patient's whole study as DICOM and return what is in it; the same arguments give the same bytes.

    Parameters
    ----------
    plan : PatientPlan
        Whose study.
    folder : Path
        Made when absent; nothing but DICOM goes there.
    name : str
        PatientID, and the seed of all UIDs.
    recipe : StudyRecipe, optional
        What the study holds; drawn by default. Nuclear series are left out where no nuclear camera stands.
    perfusion : Perfusion, optional
        What the nuclear images show, from a clinical table; drawn by default.
    scan : SimulatedPatient, optional
        The plan's own scan (``scan_patient(plan)``), where the caller has it already.

    Returns
    -------
    WrittenStudy
        Every series with its role, and the scans behind the CTs.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    session = _session(plan, name, recipe=recipe, perfusion=perfusion, scan=scan)
    made = list(_series(session))
    write_objects([one.objects for one in made], folder, layout=session.recipe.layout)
    return WrittenStudy(tuple(_written(one) for one in made), session.recipe, session.perfusion)


def write_study_and_truth(
    plan: PatientPlan,
    folder: Path,
    *,
    name: str,
    recipe: StudyRecipe | None = None,
    perfusion: Perfusion | None = None,
) -> WrittenStudy:
    """Write a patient as ``folder/dicom`` and ``folder/truth``, and return what was written.

    ``truth/labels.nii.gz`` belongs to the attenuation CT that should be scored, ``truth/<role>.labels.nii.gz`` to each
    further CT; ``truth/truth.json`` tells the facts of the patient and what each series is.

    Parameters
    ----------
    plan : PatientPlan
        Whose study.
    folder : Path
        There already.
    name : str
        PatientID, and the seed of all UIDs.
    recipe : StudyRecipe, optional
        What the study holds; drawn by default.
    perfusion : Perfusion, optional
        What the nuclear images show; drawn by default.

    Returns
    -------
    WrittenStudy
        As from `write_study`.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    study = write_study(plan, folder / "dicom", name=name, recipe=recipe, perfusion=perfusion)
    truth = folder / "truth"
    truth.mkdir()
    for one in study.series:
        if one.scan is not None:
            write_labels(one.scan.labels, truth / labels_name(one.role))
    text = json.dumps(_truth(study, name), indent=1)
    (truth / "truth.json").write_text(text + "\n", encoding="utf-8")
    return study


def labels_name(role: Role) -> str:
    """Return the name of a CT's label map in the truth folder."""
    return "labels.nii.gz" if role is Role.STRESS_CT else f"{role.value}.labels.nii.gz"


def _truth(study: WrittenStudy, name: str) -> dict[str, object]:
    reference = study.reference
    scan = reference.scan
    return {
        "id": name,
        "simulated": True,
        "facts": asdict(scan.facts) if scan is not None else None,
        "reference_series": reference.uid,
        "perfusion": _plain(study.perfusion),
        "recipe": _plain(study.recipe),
        "series": [_series_truth(one) for one in study.series],
    }


def _series_truth(one: WrittenSeries) -> dict[str, object]:
    truth: dict[str, object] = {
        "role": one.role.value, "uid": one.uid, "modality": one.modality, "description": one.description,
        "objects": one.n_objects,
    }  # fmt: skip
    if one.scan is not None:
        truth |= {"labels": labels_name(one.role), "acquisition": asdict(one.scan.facts.acquisition)}
    return truth


def _plain(record: Perfusion | StudyRecipe | None) -> dict[str, object] | None:
    if record is None:
        return None
    return {key: value.name.lower() if isinstance(value, Enum) else value for key, value in asdict(record).items()}


def _written(made: _Made) -> WrittenSeries:
    first = made.objects[0]
    return WrittenSeries(
        made.role, str(first.SeriesInstanceUID), str(first.Modality), str(first.SeriesDescription), len(made.objects),
        made.scan,
    )  # fmt: skip


def _stream(plan: PatientPlan, purpose: str) -> np.random.Generator:
    return np.random.default_rng([plan.seed, *plan.site.name.encode(), *b"study ", *purpose.encode()])


def _session(
    plan: PatientPlan,
    name: str,
    *,
    recipe: StudyRecipe | None,
    perfusion: Perfusion | None,
    scan: SimulatedPatient | None,
) -> _Session:
    """Scan the patient as often as the recipe says."""
    station = station_of(plan.acquisition, site_name=plan.site.name)
    recipe = recipe or draw_study_recipe(_stream(plan, "recipe"), is_pet=station.nuclear is NuclearKind.PET)
    if station.nuclear is NuclearKind.NONE:
        recipe = replace(recipe, rest_nuclear=False, rest_ct=False, names_phases=False, capture=False)
        perfusion = None
    elif perfusion is None:
        perfusion = draw_perfusion(_stream(plan, "perfusion"), category=plan.profile.category)
    scans = {Role.STRESS_CT: scan or scan_patient(plan)}
    if recipe.rest_ct:
        scans[Role.REST_CT] = scan_patient(plan, repeat=REST_SCAN)
    if recipe.gated_ct:
        acquisition = gated(plan.acquisition, rng=_stream(plan, "gated"), scale=plan.scale)
        scans[Role.GATED_CT] = scan_patient(plan, acquisition=acquisition, repeat=GATED_SCAN)
    return _Session(plan, name, recipe, station, scans, perfusion)


def _series(session: _Session) -> Iterator[_Made]:
    """Yield every series of a study."""
    yield from _localizers(session)
    for role in session.scans:
        yield _ct_series(session, role)
    if session.perfusion is not None:
        for phase in session.phases:
            yield from _nuclear_series(session, phase, session.perfusion)
    yield from _dose_series(session)


# CT


def _ct_series(session: _Session, role: Role) -> _Made:
    scan = session.scans[role]
    header = _ct_header(session, role)
    objects = [ct_image(scan.volume, index, header=header) for index in range(scan.volume.grid.shape_zyx[0])]
    if role is Role.STRESS_CT and session.recipe.localizer is Localizer.INSIDE_CT:
        inside = replace(header, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), kernel="")
        objects.append(_localizer(session, scan.volume, inside, number=len(objects) + 1))
    return _Made(role, objects, scan)


def _ct_header(session: _Session, role: Role) -> CtHeader:
    station, acquisition = session.station, session.scans[role].facts.acquisition
    phase = Phase.REST if role is Role.REST_CT else Phase.STRESS
    is_gated = role is Role.GATED_CT
    word = session.phase_word(phase) if session.recipe.names_phases else ""
    own = correction_name(acquisition.series_description or "CTAC", phase=word)
    number = CT_NUMBER + 1 + tuple(session.scans).index(role)
    common = session.header(
        role.value, station.gated_name if is_gated else own, number, frame=_frame(phase),
        time=session.time(phase, minutes=12 if is_gated else 2),
    )  # fmt: skip
    return CtHeader(
        **vars(common),
        kernel=station.gated_kernel if is_gated else acquisition.kernel,
        kvp=acquisition.kvp,
        tube_current_ma=acquisition.mas / acquisition.rotation_s,
        rotation_s=acquisition.rotation_s,
        pitch=station.pitch_of(acquisition),
        collimation_mm=station.collimation_mm,
        ctdi_vol_mgy=station.ctdi_vol_mgy(acquisition),
        slice_thickness_mm=acquisition.thickness_mm,
        scan_options=_scan_options(station, acquisition),
        storage=station.storage_of(acquisition.padding_hu),
        padding_hu=station.announced_padding(acquisition.padding_hu),
        is_numbered_from_head=station.is_numbered_from_head,
        acquisition_number=number,
    )


def _scan_options(station: Station, acquisition: Acquisition) -> str:
    if acquisition.is_gated:
        return station.gated_options
    return "" if acquisition.is_flat_panel else station.helical_options


def _frame(phase: Phase) -> str:
    """Return the seed of a frame of reference: a patient who got up in between lies in another one."""
    return f"frame {phase.name}"


def _localizers(session: _Session) -> Iterator[_Made]:
    if session.recipe.localizer is not Localizer.OWN_SERIES:
        return
    station = session.station
    common = session.header("localizer", station.scout_name, CT_NUMBER, frame=_frame(Phase.STRESS),
                            time=session.time(Phase.STRESS, minutes=0))  # fmt: skip
    acquisition = session.plan.acquisition
    header = CtHeader(
        **vars(common), kernel="", kvp=acquisition.kvp, tube_current_ma=SCOUT_MA, scan_options=station.scout_options,
        image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), storage=station.storage,
    )  # fmt: skip
    yield _Made(Role.LOCALIZER, [_localizer(session, session.scans[Role.STRESS_CT].volume, header, number=1)])


def _localizer(session: _Session, ct: Volume, header: CtHeader, *, number: int) -> FileDataset:
    """Return the front view of the CT as an image; real ones reach farther than the CT."""
    nz, ny, _ = ct.grid.shape_zyx
    first_mm = ct.grid.lps_mm((nz - 1, (ny - 1) / 2, 0))
    spacing = (SCOUT_ROW_MM, ct.spacing_mm_zyx[2])
    plain = replace(header, padding_hu=None, pitch=None, ctdi_vol_mgy=None, is_numbered_from_head=False)
    return ct_localizer(front_view(ct), header=plain, first_mm=first_mm, spacing_mm=spacing, number=number)


# Nuclear images


def _nuclear_series(session: _Session, phase: Phase, perfusion: Perfusion) -> Iterator[_Made]:
    """Yield what the nuclear camera makes of one phase."""
    camera = PET if session.station.nuclear is NuclearKind.PET else SPECT
    scene = _scene(session, phase, perfusion, camera)
    for is_corrected in (True, False) if session.recipe.uncorrected else (True,):
        shown = picture(scene, camera=camera, is_corrected=is_corrected, rng=session.rng(f"{phase} {is_corrected}"))
        yield _reconstruction(session, phase, scene, shown, is_corrected=is_corrected)
        if is_corrected and phase is Phase.STRESS and session.recipe.capture:
            yield _capture(session, scene, shown)
    if session.station.nuclear is NuclearKind.SPECT:
        yield from _raw_series(session, phase, scene)


def _scene(session: _Session, phase: Phase, perfusion: Perfusion, camera: NuclearCamera) -> Scene:
    plan, scan = session.plan, session.scans[_correction_role(session, phase)]
    x, y, z = plan.anatomy.patient_points(plan.anatomy.frame.center_mm[None])[0]
    is_stress = phase is Phase.STRESS
    return set_scene(
        plan.anatomy,
        scan.volume,
        nuclear_grid(scan.volume, heart_mm=(float(x), float(y), float(z)), camera=camera),
        tpd_percent=perfusion.stress_tpd_percent if is_stress else perfusion.rest_tpd_percent,
        territory=perfusion.territory,
        shift_mm=scan.facts.acquisition.misregistration_mm if is_stress else NO_SHIFT,
    )


def _correction_role(session: _Session, phase: Phase) -> Role:
    """Return the CT that corrects a phase: its own, or the only one."""
    return Role.REST_CT if phase is Phase.REST and Role.REST_CT in session.scans else Role.STRESS_CT


def _reconstruction(session: _Session, phase: Phase, scene: Scene, shown: Float32Array, *, is_corrected: bool) -> _Made:
    station = session.station
    role = Role.CORRECTED if is_corrected else Role.UNCORRECTED
    name = station.corrected_name if is_corrected else station.uncorrected_name
    header = _nuclear_header(session, phase, role, name)
    related = _ct_header(session, _correction_role(session, phase)).series_uid
    basic = ("DECY", "RADL", "DTIM", "RAN", "NORM") if station.nuclear is NuclearKind.PET else ("UNIF", "COR", "DECY")
    header = replace(
        header,
        corrections=(*basic, "ATTN", "SCAT") if is_corrected else basic,
        correction_series_uid=related if is_corrected and session.recipe.names_correction else "",
        method=station.method,
        attenuation_method=station.attenuation_method if is_corrected else "",
    )
    if station.nuclear is NuclearKind.PET:
        return _Made(role, pet_slices(shown * np.float32(PET_WALL_BQML), scene.grid, header=header))
    return _Made(role, [spect_volume(shown * np.float32(SPECT_SCALE), scene.grid, header=header)])


def _nuclear_header(session: _Session, phase: Phase, role: Role, name: str) -> NuclearHeader:
    place = (Role.CORRECTED, Role.UNCORRECTED, Role.PROJECTIONS, Role.ATTENUATION_MAP).index(role)
    common = session.header(
        f"{role.value} {phase.name}",
        series_name(name, phase=session.phase_word(phase)),
        NUCLEAR_NUMBER + 10 * phase.value + place,
        time=session.time(phase, minutes=6),
        frame=_frame(phase) if session.recipe.shares_frame else f"nuclear {phase.name}",
    )
    is_pet = session.station.nuclear is NuclearKind.PET
    return NuclearHeader(
        **vars(common),
        tracer=Tracer.RUBIDIUM if is_pet else Tracer.SESTAMIBI,
        dose_mbq=1100.0 if is_pet else 740.0,
        frame_duration_ms=300_000 if is_pet else 20_000,
    )


def _raw_series(session: _Session, phase: Phase, scene: Scene) -> Iterator[_Made]:
    """Yield the raw views and the attenuation map of SPECT, as the recipe says."""
    station = session.station
    if session.recipe.projections:
        header = _nuclear_header(session, phase, Role.PROJECTIONS, station.projection_name)
        views = projections(scene, camera=SPECT, n_views=N_VIEWS, counts=VIEW_COUNTS, rng=session.rng(f"views {phase}"))
        step = (ARC_DEGREES[1] - ARC_DEGREES[0]) / N_VIEWS
        rotation = Rotation(start_degrees=ARC_DEGREES[0] % 360, step_degrees=step)
        image = spect_projections(views, spacing_mm=SPECT.pixel_mm, rotation=rotation, header=header)
        yield _Made(Role.PROJECTIONS, [image])
    if session.recipe.attenuation_map:
        header = _nuclear_header(session, phase, Role.ATTENUATION_MAP, station.map_name)
        header = replace(header, is_transmission=True, is_derived=True)
        values = scene.ct_map_zyx * np.float32(MAP_SCALE)
        yield _Made(Role.ATTENUATION_MAP, [spect_volume(values, scene.grid, header=header)])


def _capture(session: _Session, scene: Scene, shown: Float32Array) -> _Made:
    middle = tuple(int(axis.mean()) for axis in np.nonzero(scene.uptake_zyx > 0.7 * scene.uptake_zyx.max()))
    header = session.header("capture", session.station.capture_name, CAPTURE_NUMBER,
                            time=session.time(session.phases[-1], minutes=50))  # fmt: skip
    z, y, x = middle
    page = slice_page(
        shown, title=f"{session.name}  simulated, not a patient", middle_zyx=(z, y, x), half=CAPTURE_HALF_PX
    )
    return _Made(Role.CAPTURE, [secondary_capture(page, header=header)])


# Dose


def _dose_series(session: _Session) -> Iterator[_Made]:
    """Yield the dose report and the dose page, as the recipe says."""
    beams = list(_irradiations(session))
    last = session.time(session.phases[-1], minutes=15)
    if session.recipe.dose_page:
        header = session.header("dose page", "Dose Report", DOSE_PAGE_NUMBER, time=last)
        page = text_page(_dose_lines(session.name, beams))
        yield _Made(Role.DOSE_PAGE, [secondary_capture(page, header=header, modality="CT", kind=("SCREEN SAVE",))])
    if session.recipe.dose_report:
        header = session.header("dose report", "Radiation Dose Report", DOSE_NUMBER, time=last)
        yield _Made(Role.DOSE_REPORT, [dose_report(beams, header=header, ended_at=last)])


def _dose_lines(name: str, beams: list[Irradiation]) -> list[str]:
    rows = [f"{one.protocol[:28]:28s} {one.ctdi_vol_mgy:6.2f} mGy {one.dlp_mgy_cm:8.1f} mGy.cm" for one in beams]
    total = sum(one.dlp_mgy_cm for one in beams)
    return [f"Dose Report  {name}", "simulated, not a patient", "", *rows, "", f"Total DLP {total:.1f} mGy.cm"]


def _irradiations(session: _Session) -> Iterator[Irradiation]:
    if session.recipe.localizer is not Localizer.NONE:
        scan = session.scans[Role.STRESS_CT]
        length = scan.volume.spacing_mm_zyx[0] * scan.volume.grid.shape_zyx[0]
        yield Irradiation(
            protocol=session.station.scout_name, kvp=scan.facts.acquisition.kvp, tube_current_ma=SCOUT_MA,
            exposure_s=round(length / SCOUT_MM_S, 2), rotation_s=1.0, length_mm=round(length, 1),
            ctdi_vol_mgy=SCOUT_CTDI_MGY, collimation_mm=SCOUT_COLLIMATION_MM, is_localizer=True,
        )  # fmt: skip
    for role, scan in session.scans.items():
        yield _irradiation(_ct_header(session, role), scan)


def _irradiation(header: CtHeader, scan: SimulatedPatient) -> Irradiation:
    length = scan.volume.spacing_mm_zyx[0] * scan.volume.grid.shape_zyx[0]
    acquisition = scan.facts.acquisition
    width = (header.collimation_mm or SCOUT_COLLIMATION_MM)[1]
    turns = max(length / (width * (header.pitch or 1.0)), 1.0)
    return Irradiation(
        protocol=header.description, kvp=header.kvp, tube_current_ma=round(header.tube_current_ma, 1),
        exposure_s=round(turns * acquisition.rotation_s, 2), rotation_s=round(acquisition.rotation_s, 3),
        length_mm=round(length, 1), ctdi_vol_mgy=header.ctdi_vol_mgy or 0.0,
        collimation_mm=header.collimation_mm or SCOUT_COLLIMATION_MM, pitch=header.pitch,
    )  # fmt: skip
