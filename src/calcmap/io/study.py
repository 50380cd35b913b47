"""What was found of a study before any pixel was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from calcmap.core.errors import InputError, SeriesNotFoundError
from calcmap.io.sources import Source

if TYPE_CHECKING:
    from calcmap.io.headers import Instance


@dataclass(frozen=True)
class FileProblem:
    """A file that can hold no part of a scan, and why."""

    name: str
    error: InputError


@dataclass(frozen=True, eq=False)
class Series:
    """One DICOM series, or one voxel file.

    Parameters
    ----------
    uid : str
        SeriesInstanceUID; for a voxel file, its name.
    modality, description : str
        As in the headers; for a voxel file, its format and name.
    instances : tuple of Instance
        DICOM headers, sorted by SOP Instance UID; empty for a voxel file.
    image : Source or None
        The voxel file.
    """

    uid: str
    modality: str
    description: str
    instances: tuple[Instance, ...] = ()
    image: Source | None = None

    @property
    def n_images(self) -> int:
        """Number of images: frames of all instances, 1 for a voxel file."""
        return sum(instance.n_frames for instance in self.instances) if self.image is None else 1


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that belongs together: series, files with problems, files that were passed over.

    Parameters
    ----------
    name : str
        From the folder or file, unique among the studies found together; never a patient's name from a header.
    series : tuple of Series
        Sorted by UID; may be empty.
    problems : tuple of FileProblem
        Files that were meant to be read and could not, or hold no image.
    ignored : tuple of str
        Names of files that no one would expect to be read: hidden, text, pictures, label maps.
    """

    name: str
    series: tuple[Series, ...] = ()
    problems: tuple[FileProblem, ...] = ()
    ignored: tuple[str, ...] = ()

    def find_series(self, series_uid: str) -> Series:
        """Return the series with that UID; `SeriesNotFoundError` when there is none."""
        for series in self.series:
            if series.uid == series_uid:
                return series
        known = ", ".join(series.uid for series in self.series) or "none"
        raise SeriesNotFoundError(f"series {series_uid} is not in the study; it holds: {known}")
