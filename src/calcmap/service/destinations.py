"""Where reports go: what every destination has in common, and the folder of a study as the first of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from calcmap.core.errors import DeliveryError
from calcmap.io.text_files import write_aside
from calcmap.service.report_files import RESULT_OBJECT, SET_FILES, VERIFICATION
from calcmap.service.store_outbox import Outcome, Receipt, ReportObject

FOLDER = "folder"
"""Name of the results folder as a destination: the folder itself may move."""
STEM = "verified"


@dataclass(frozen=True)
class Parcel:
    """What is to be delivered.

    Parameters
    ----------
    result_id : int
        The machine result that was reviewed.
    number : int
        1 for a result's first review; amendments count on.
    objects : tuple of ReportObject
        What is still to be sent, in this order.
    content_of : callable
        Returns the bytes of an object.
    reason : str or None
        Why there is no DICOM among it, if so.
    """

    result_id: int
    number: int
    objects: tuple[ReportObject, ...]
    content_of: Callable[[ReportObject], bytes]
    reason: str | None = None


class Destination(Protocol):
    """A place that reports go to."""

    @property
    def name(self) -> str:
        """Its name in the store: the same for the same place in every run."""

    def wants(self, one: ReportObject) -> bool:
        """Tell whether an object of a set goes there at all."""

    def deliver(self, parcel: Parcel) -> Iterator[Receipt]:
        """Deliver and yield a receipt for each object as it is taken or not; `DeliveryError` ends the attempt."""


@dataclass(frozen=True)
class FolderDestination:
    """The results folder that was opened for review: each study's own folder of it.

    The newest signed result has plain names (``verified_sr.dcm``, ``verified.json``). Those of an earlier signature get
    its number (``verified_1_sr.dcm``) and stay. No other file of the folder is touched.

    Parameters
    ----------
    folders : mapping
        The folder of each machine result.
    """

    folders: Mapping[int, Path]

    @property
    def name(self) -> str:
        """Its name in the store."""
        return FOLDER

    def wants(self, one: ReportObject) -> bool:
        """Return that everything goes there."""
        return True

    def deliver(self, parcel: Parcel) -> Iterator[Receipt]:
        """Write every object aside and rename it, ``verified.json`` last: where it stands the others do too."""
        folder = self.folders.get(parcel.result_id)
        if folder is None:
            raise DeliveryError("the study is not in the results folder that is open now")
        try:
            standing = _standing_number(folder)
            if standing < parcel.number:
                _set_aside(folder, standing)
            prefix = STEM if standing <= parcel.number else f"{STEM}_{parcel.number}"
            for one in sorted(parcel.objects, key=lambda one: one.name == RESULT_OBJECT):
                path = write_aside(parcel.content_of(one), folder / _file_name(one.name, prefix))
                yield Receipt(Outcome.ACCEPTED, "written", one.name, one.sop_instance_uid, place=path.name)
        except OSError as error:
            raise DeliveryError(f"cannot write into the study's folder: {error.strerror or error}") from error


def _file_name(name: str, prefix: str) -> str:
    return f"{prefix}.json" if name == RESULT_OBJECT else f"{prefix}_{name}"


def _standing_number(folder: Path) -> int:
    """Return the number of the signed result that has the plain names, 0 where there is none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return int(json.loads((folder / f"{STEM}.json").read_text(encoding="utf-8"))[VERIFICATION]["number"])
    return 0


def _set_aside(folder: Path, number: int) -> None:
    """Give an earlier signed result its number, ``verified.json`` last: it tells the number."""
    if number == 0:
        return
    for name in SET_FILES:
        with suppress(FileNotFoundError):
            (folder / _file_name(name, STEM)).replace(folder / _file_name(name, f"{STEM}_{number}"))
