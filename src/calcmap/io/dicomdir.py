"""The files that a DICOMDIR lists."""

from __future__ import annotations

from pathlib import Path

from calcmap.core.errors import UnreadableFileError
from calcmap.io.dicom_elements import DIRECTORY_ELEMENTS, MalformedDicomError, read_header


def referenced_files(path: Path) -> list[Path]:
    """Return the files of a DICOMDIR, sorted, whether they exist or not.

    Raises
    ------
    UnreadableFileError
        Not a DICOMDIR, or a file identifier that leads out of its folder.
    """
    try:
        with path.open("rb") as stream:
            elements = read_header(stream, wanted=DIRECTORY_ELEMENTS).elements
    except (MalformedDicomError, OSError) as error:
        raise UnreadableFileError(f"{path.name} is not a readable DICOMDIR: {error}") from error
    if "DirectoryRecordSequence" not in elements:
        raise UnreadableFileError(f"{path.name} is not a DICOMDIR: it lists nothing")
    identifiers = (record.text("ReferencedFileID") for record in elements.sequence("DirectoryRecordSequence"))
    return sorted({_file(path, identifier) for identifier in identifiers if identifier})


def _file(path: Path, identifier: str) -> Path:
    parts = [part.strip() for part in identifier.split("\\")]
    if any(part in ("", ".", "..") or "/" in part for part in parts):
        raise UnreadableFileError(f"{path.name} refers to {'/'.join(parts)}, expected files below its own folder")
    return path.parent.joinpath(*parts)
