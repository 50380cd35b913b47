"""Where on the disk the images of a series came from, so that they can be found again."""

from __future__ import annotations

from pathlib import Path

from calcmap.io.sources import Source, ZipMember
from calcmap.io.study import Study


def series_paths(study: Study, series_uid: str) -> tuple[Path, ...]:
    """Return the fewest paths under which ``find_studies`` finds a series again.

    Parameters
    ----------
    study : Study
        As it was found.
    series_uid : str
        One of its series.

    Returns
    -------
    tuple of Path
        Absolute: the folders of its DICOM files, the zip archive that holds them, or the voxel file; in their order.

    Raises
    ------
    SeriesNotFoundError
        The study has no such series.
    """
    series = study.find_series(series_uid)
    if series.image is not None:
        return (_path_of(series.image, is_whole_folder=False),)
    folders = {_path_of(each.source, is_whole_folder=True) for each in series.instances}
    return tuple(sorted(folders))


def _path_of(source: Source, *, is_whole_folder: bool) -> Path:
    if isinstance(source, ZipMember):
        return source.archive_path.absolute()
    folder = Path(*source.location)
    return folder if is_whole_folder else folder / source.name
