"""Contents on disk under the name of their SHA-256: written once, whole, never changed.

A file is written aside, flushed to the disk, and only then gets its name, so a name always stands for the whole
content: a process that dies at any moment leaves at most a part file, which no one reads and a sweep removes.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from calcmap.core.errors import NotInStoreError, StoreError, TamperedError

PART_SUFFIX = ".part"
SWEEP_AGE_S = 86_400.0
"""Part files and contents without a row in the database are left alone this long: a writer may be about to name them
(our choice: a day)."""
_NAME = re.compile(r"[0-9a-f]{64}")
_OWNER_ONLY = 0o600
_OWNER_ONLY_FOLDER = 0o700


@dataclass(frozen=True)
class ContentStore:
    """A folder of contents.

    Parameters
    ----------
    folder : Path
        Made when first written to, readable by its owner alone: scans are patients' data.
    """

    folder: Path

    def put(self, content: bytes) -> str:
        """Return the SHA-256 of a content that is now on disk, whole and flushed; a content that is there stays.

        Raises
        ------
        StoreError
            The disk does not take it; nothing of it is left.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.path_of(sha256)
        try:
            if not _touched(path):
                self._write(content, path)
        except OSError as error:
            raise StoreError(f"cannot write a content of {len(content)} bytes: {error.strerror or error}") from error
        return sha256

    def get(self, sha256: str) -> bytes:
        """Return a content, checked against its name.

        Raises
        ------
        NotInStoreError
            There is no such content.
        TamperedError
            The file holds something else.
        """
        try:
            content = self.path_of(sha256).read_bytes()
        except OSError as error:
            raise NotInStoreError(f"content {sha256[:12]} cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise TamperedError(f"content {sha256[:12]} is not what its name says: the file was changed or is damaged")
        return content

    def has(self, sha256: str) -> bool:
        """Tell whether a content is on disk."""
        return self.path_of(sha256).is_file()

    def path_of(self, sha256: str) -> Path:
        """Return where a content lies or would lie; `NotInStoreError` for what is no SHA-256."""
        if not _NAME.fullmatch(sha256):
            raise NotInStoreError(f"{sha256[:64]!r} is no SHA-256")
        return self.folder / sha256[:2] / sha256

    def sweep(self, wanted: Collection[str], *, now_s: float | None = None) -> list[str]:
        """Remove part files and contents that nothing refers to, if they are older than `SWEEP_AGE_S`; return names.

        Parameters
        ----------
        wanted : collection of str
            Every SHA-256 that the database names.
        now_s : float, optional
            Time to judge ages by, seconds since the epoch; the clock's by default.

        Returns
        -------
        list of str
            Names of the files removed.
        """
        newest_s = (time.time() if now_s is None else now_s) - SWEEP_AGE_S
        removed = []
        for path in sorted(self.folder.glob("*/*")):
            is_loose = path.suffix == PART_SUFFIX or (_NAME.fullmatch(path.name) and path.name not in wanted)
            with suppress(FileNotFoundError):
                if is_loose and path.stat().st_mtime < newest_s:
                    path.unlink()
                    removed.append(path.name)
        return removed

    def _write(self, content: bytes, path: Path) -> None:
        path.parent.mkdir(mode=_OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
        part = path.parent / f"{uuid.uuid4().hex}{PART_SUFFIX}"
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _flush_folder(path.parent)
        _flush_folder(path.parent.parent)


def _touched(path: Path) -> bool:
    """Tell whether a file is there, and make it new, so that no sweep takes it before a row names it."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _flush_folder(folder: Path) -> None:
    """Flush a folder's list of names: without it a name may be lost when the power goes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
