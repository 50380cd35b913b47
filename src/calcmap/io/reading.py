"""A chosen series to a `Scan`: voxels in HU, canonical, regular, with everything noteworthy flagged."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from calcmap.core.errors import (
    InputError,
    NoScorableSeriesError,
    NotHounsfieldError,
    UnreadableFileError,
    WrongModalityError,
)
from calcmap.core.scan import Acquisition, QualityFlag, Scan, Severity
from calcmap.core.volume import Volume
from calcmap.io.acquisition import read_acquisition
from calcmap.io.canonical import to_canonical
from calcmap.io.choosing import choose_series
from calcmap.io.finding import find_studies
from calcmap.io.headers import CLASSIC_CT, ENHANCED_CT, Instance
from calcmap.io.hounsfield import check_hounsfield, find_padding, padding_flags, to_int16_hu
from calcmap.io.pixels import have_same_pixels, read_hu
from calcmap.io.slices import Slice, check_one_grid, slices_of
from calcmap.io.sources import Source
from calcmap.io.stacking import Content, check_grid, stack_slices, thickness_flags
from calcmap.io.study import Series, Study
from calcmap.io.voxel_files import read_voxel_image


def load_scan(study: Study, series_uid: str, *, content: Content = Content.CHEST) -> Scan:
    """Return one series of a study as a scan.

    Parameters
    ----------
    study : Study
        From ``finding.find_studies``.
    series_uid : str
        A series of it, usually ``SeriesChoice.chosen.series_uid``.
    content : Content
        What the scan has to show; geometry and encoding are judged alike either way.

    Returns
    -------
    Scan
        HU on the acquired grid, canonical; flags in the order in which they were found.

    Raises
    ------
    SeriesNotFoundError
        The study has no such series.
    SeriesError, GeometryError, UnreadableFileError
        The series is refused; the subclass says why (see ``docs/reference/reading.md``).
    """
    series = study.find_series(series_uid)
    _check_complete(study, series)
    scan = _load_image(series.image, content) if series.image is not None else _load_dicom(series, content)
    return Scan(
        volume=scan.volume,
        acquisition=scan.acquisition,
        series_uid=series.uid,
        input_sha256=scan.input_sha256,
        flags=(*scan.flags, *_problem_flags(study)),
    )


def read_single_ct(path: Path, *, content: Content = Content.CHEST) -> Scan:
    """Return the one CT under a path: the only CT series there, or else the one that would be scored.

    Parameters
    ----------
    path : Path
        Whatever ``finding.find_studies`` takes.
    content : Content
        What the CT has to show; `Content.ANYTHING` where a mask says what is scored.

    Returns
    -------
    Scan
        HU on the acquired grid, canonical.

    Raises
    ------
    InputError
        Nothing is there, several studies are, or the CT is refused.
    """
    studies = find_studies([path])
    if len(studies) != 1:
        raise InputError(f"{path} holds {len(studies)} studies, expected one")
    study = studies[0]
    cts = [series for series in study.series if series.modality == "CT" or series.image is not None]
    if len(cts) == 1:
        return load_scan(study, cts[0].uid, content=content)
    choice = choose_series(study)
    if choice.chosen is None:
        raise choice.refusal or NoScorableSeriesError(f"nothing under {path} can be scored")
    return load_scan(study, choice.chosen.series_uid, content=content)


def _load_dicom(series: Series, content: Content) -> Scan:
    _check_modality(series.instances)
    slices, localizer_flags = slices_of(series.instances)
    if not slices:
        raise NoScorableSeriesError("the series holds localizer images only, expected axial slices")
    check_one_grid(slices)
    stack = stack_slices(slices, have_same_pixels=have_same_pixels, content=content)
    stored_zyx, value_flags = read_hu(stack.slices)
    canonical_zyx, grid = to_canonical(stored_zyx, stack.affine_lps_mm)
    volume = Volume(np.ascontiguousarray(canonical_zyx), grid)
    grid_flags = check_grid(grid, content=content)
    padding_hu = find_padding(volume.ct_hu_zyx, declared_hu=_declared_padding_hu(stack.slices))
    if content is Content.CHEST:
        check_hounsfield(volume.ct_hu_zyx, padding_hu=padding_hu)
    thickness_mm = stack.slices[0].thickness_mm
    flags = (
        *localizer_flags,
        *stack.flags,
        *value_flags,
        *grid_flags,
        *thickness_flags(grid.spacing_mm_zyx[0], thickness_mm),
        *padding_flags(padding_hu),
    )
    acquisition = read_acquisition(stack.slices[0].instance, thickness_mm=thickness_mm, padding_hu=padding_hu)
    return Scan(volume, acquisition, series.uid, _uids_sha256(series.instances), flags)


def _load_image(source: Source, content: Content) -> Scan:
    file = source.read_bytes()
    image = read_voxel_image(source, content=file)
    canonical_zyx, grid = to_canonical(image.voxels_zyx, image.affine_lps_mm)
    ct_hu_zyx, value_flags = to_int16_hu(canonical_zyx)
    grid_flags = check_grid(grid, content=content)
    padding_hu = find_padding(ct_hu_zyx)
    if content is Content.CHEST:
        check_hounsfield(ct_hu_zyx, padding_hu=padding_hu)
    flags = (*image.flags, *value_flags, *grid_flags, *padding_flags(padding_hu))
    acquisition = Acquisition(source_format=image.source_format, padding_hu=padding_hu)
    return Scan(Volume(ct_hu_zyx, grid), acquisition, source.name, hashlib.sha256(file).hexdigest(), flags)


def _check_modality(instances: tuple[Instance, ...]) -> None:
    for instance in instances:
        modality, sop_class = instance.text("Modality"), instance.sop_class_uid
        if modality != "CT":
            raise WrongModalityError(f"the series' modality is {modality or 'absent'}, expected CT")
        if sop_class not in (CLASSIC_CT, *ENHANCED_CT):
            raise NotHounsfieldError(f"the series holds objects of class {sop_class}, expected CT images in HU")


def _declared_padding_hu(slices: tuple[Slice, ...]) -> tuple[int, ...]:
    """Return PixelPaddingValue of the first slice in HU, read as signed and as unsigned: writers mix them up."""
    first = slices[0]
    value = first.instance.number("PixelPaddingValue")
    if value is None:
        return ()
    return tuple(round(stored * first.slope + first.intercept) for stored in (value, value - 2**16))


def _uids_sha256(instances: tuple[Instance, ...]) -> str:
    uids = sorted(instance.sop_instance_uid for instance in instances)
    return hashlib.sha256("\n".join(uids).encode()).hexdigest()


def _check_complete(study: Study, series: Series) -> None:
    """Raise `UnreadableFileError` when a damaged file says that it belongs to the series.

    An end slice would not be missed by its neighbours, so this is asked before the geometry is.
    """
    lost = [one.error for one in study.problems if getattr(one.error, "series_uid", None) == series.uid]
    if lost:
        raise UnreadableFileError(f"{len(lost)} image(s) of the series cannot be read, the first because: {lost[0]}")


def _problem_flags(study: Study) -> tuple[QualityFlag, ...]:
    unreadable = [problem for problem in study.problems if isinstance(problem.error, UnreadableFileError)]
    if not unreadable:
        return ()
    detail = f"{len(unreadable)} file(s) of the study could not be read, the first because: {unreadable[0].error}"
    return (QualityFlag("unreadable_files", Severity.WARNING, detail),)
