"""A study's objects as files, named and laid out as archives and discs hand them out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from pydicom.dataset import FileDataset

from calcmap.io.dicom_objects import save_object
from calcmap.io.dicomdir_writing import write_directory


class Layout(Enum):
    """Where the files of a study lie and what they are called."""

    SERIES_FOLDERS = "series_folders"
    """One folder a series, files by InstanceNumber."""
    FLAT = "flat"
    """One folder for everything, files by SOPInstanceUID: names tell neither series nor order."""
    DISC = "disc"
    """Short names without ending, listed in a DICOMDIR."""


def write_objects(series: Sequence[Sequence[FileDataset]], folder: Path, *, layout: Layout) -> list[Path]:
    """Write the objects of one study and return the files, a DICOMDIR last.

    Parameters
    ----------
    series : sequence of sequences of FileDataset
        The objects of each series.
    folder : Path
        Made when absent.
    layout : Layout
        Names and folders.

    Returns
    -------
    list of Path
        In the order of the objects.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    ways = [
        (_way(made, layout, series_index, index), made)
        for series_index, objects in enumerate(series)
        for index, made in enumerate(objects)
    ]
    for way, made in ways:
        save_object(made, folder.joinpath(*way))
    paths = [folder.joinpath(*way) for way, _ in ways]
    if layout is Layout.DISC and ways:
        paths.append(write_directory(ways, folder, seed=str(ways[0][1].StudyInstanceUID)))
    return paths


def _way(made: FileDataset, layout: Layout, series_index: int, index: int) -> tuple[str, ...]:
    """Return the folders and the name of one file."""
    if layout is Layout.FLAT:
        return (f"{made.SOPInstanceUID}.dcm",)
    if layout is Layout.DISC:
        return "IMAGES", f"SE{series_index:06d}", f"IM{index:06d}"
    words = re.sub(r"[^\w.]+", "_", str(made.SeriesDescription)).strip("_") or "series"
    return f"{made.Modality}_{int(made.SeriesNumber):03d}_{words}", f"{int(made.InstanceNumber):04d}.dcm"
