"""The files that a DICOMDIR lists."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from calcmap.core.errors import UnreadableFileError


def referenced_files(path: Path) -> list[Path]:
    """Return the files of a DICOMDIR, sorted, whether they exist or not.

    Raises
    ------
    UnreadableFileError
        Not a DICOMDIR, or a file identifier that leads out of its folder.
    """
    try:
        records = dcmread(path).DirectoryRecordSequence
        identifiers = [record.ReferencedFileID for record in records if "ReferencedFileID" in record]
    except (InvalidDicomError, AttributeError, OSError, EOFError, ValueError) as error:
        raise UnreadableFileError(f"{path.name} is not a readable DICOMDIR: {error}") from error
    return sorted({_file(path, identifier) for identifier in identifiers})


def _file(path: Path, identifier: object) -> Path:
    parts = [identifier] if isinstance(identifier, str) else [str(part) for part in identifier]  # type: ignore[attr-defined]
    if any(part in ("", ".", "..") or "/" in part or "\\" in part for part in parts):
        raise UnreadableFileError(f"{path.name} refers to {'/'.join(parts)}, expected files below its own folder")
    return path.parent.joinpath(*parts)
