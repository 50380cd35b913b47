"""Where bytes come from: a file, or a member of a zip archive that is never unpacked to disk."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from calcmap.core.errors import UnreadableFileError

MAX_ARCHIVE_BYTES = 8 * 2**30
"""Largest uncompressed size of an archive that is opened: far above any study, far below a zip bomb (our choice)."""

MAX_MEMBER_BYTES = 2 * 2**30
"""Largest uncompressed size of one member, for the same reason."""

_ENCRYPTED_BIT = 0x1


class Source(Protocol):
    """Something that can be opened and read more than once."""

    @property
    def name(self) -> str:
        """File name without folders."""

    @property
    def location(self) -> tuple[str, ...]:
        """Folders on the way to the file, outermost first."""

    def open(self) -> BinaryIO:
        """Return a readable, seekable stream."""

    def read_bytes(self) -> bytes:
        """Return the whole content."""

    def sibling(self, name: str) -> Source:
        """Return the source of another file in the same folder."""


@dataclass(frozen=True)
class FileSource:
    """A file on disk."""

    path: Path

    @property
    def name(self) -> str:
        """File name without folders."""
        return self.path.name

    @property
    def location(self) -> tuple[str, ...]:
        """Folders on the way to the file, outermost first."""
        return self.path.absolute().parent.parts

    def open(self) -> BinaryIO:
        """Return a buffered stream of the file."""
        return self.path.open("rb")

    def read_bytes(self) -> bytes:
        """Return the whole file; `UnreadableFileError` when the system refuses."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise UnreadableFileError(f"cannot read {self.name}: {error.strerror}") from error

    def sibling(self, name: str) -> FileSource:
        """Return another file of the same folder; `UnreadableFileError` when the name points elsewhere."""
        return FileSource(self.path.parent / _plain_name(name))


@dataclass(frozen=True, eq=False)
class ZipMember:
    """One file of a zip archive, read in memory: nothing is written, so no member can reach outside a folder."""

    archive: zipfile.ZipFile
    member: str
    archive_path: Path

    @property
    def name(self) -> str:
        """File name without folders."""
        return PurePosixPath(self.member).name

    @property
    def location(self) -> tuple[str, ...]:
        """Folders on the way to the file, the archive counting as one."""
        return (*self.archive_path.absolute().parts, *PurePosixPath(self.member).parent.parts)

    def open(self) -> BinaryIO:
        """Return a stream of the unpacked member."""
        return io.BytesIO(self.read_bytes())

    def read_bytes(self) -> bytes:
        """Return the unpacked member; `UnreadableFileError` when it is encrypted, damaged, absent or too large."""
        try:
            info = self.archive.getinfo(self.member)
            if info.flag_bits & _ENCRYPTED_BIT:
                raise UnreadableFileError(f"{self.name} in {self.archive_path.name} is encrypted")
            if info.file_size > MAX_MEMBER_BYTES:
                raise UnreadableFileError(f"{self.name} unpacks to {info.file_size} bytes, limit {MAX_MEMBER_BYTES}")
            return self.archive.read(info)
        except KeyError as error:
            raise UnreadableFileError(f"{self.archive_path.name} holds no {self.name}") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            raise UnreadableFileError(f"{self.name} in {self.archive_path.name} is damaged: {error}") from error

    def sibling(self, name: str) -> ZipMember:
        """Return another member of the same folder; `UnreadableFileError` when the name points elsewhere."""
        member = str(PurePosixPath(self.member).parent / _plain_name(name))
        return ZipMember(self.archive, member, self.archive_path)


def zip_members(path: Path) -> list[ZipMember]:
    """Return the files of a zip archive, by name.

    Raises
    ------
    UnreadableFileError
        Not a zip archive, or its members unpack to more than ``MAX_ARCHIVE_BYTES`` together.
    """
    try:
        archive = zipfile.ZipFile(path)  # closed with the last member that refers to it
    except (zipfile.BadZipFile, OSError) as error:
        raise UnreadableFileError(f"{path.name} is not a readable zip archive: {error}") from error
    files = [info for info in archive.infolist() if not info.is_dir()]
    total_bytes = sum(info.file_size for info in files)
    if total_bytes > MAX_ARCHIVE_BYTES:
        archive.close()
        raise UnreadableFileError(f"{path.name} unpacks to {total_bytes} bytes, limit {MAX_ARCHIVE_BYTES}")
    return [ZipMember(archive, info.filename, path) for info in sorted(files, key=lambda info: info.filename)]


def _plain_name(name: str) -> str:
    if not name or "\\" in name or PurePosixPath(name).name != name:
        raise UnreadableFileError(f"a data file named {name!r} is refused, expected a plain name in the same folder")
    return name
