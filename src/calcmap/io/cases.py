"""Cases for training and evaluation: a CT, its label map and where both come from.

A case is a folder::

    <case>/ct.nii.gz  or  <case>/dicom/
    <case>/labels.nii.gz
    <case>/case.json
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calcmap.core.errors import ConfigError, InputError, OutputError
from calcmap.core.volume import Labels, Volume
from calcmap.io.nifti import read_labels, read_nifti_volume, write_labels, write_volume

CT_FILE = "ct.nii.gz"
DICOM_FOLDER = "dicom"
LABELS_FILE = "labels.nii.gz"
CASE_FILE = "case.json"
DRAWN_HEART_KEY = "heart_drawn_by"
"""In ``case.json``: the network that drew the heart, where no reader did."""

_SURE_KEY, _UNSURE_KEY = "agatston_sure", "agatston_with_unsure"
_OWN_KEYS = ("id", "site", "source", "licence", "reference_agatston", "reference_range", "group")


@dataclass(frozen=True)
class Case:
    """Where a case comes from and what its score should be.

    Parameters
    ----------
    id : str
        Unique within a data set.
    source, licence : str
        Origin and terms, for the model card.
    site : str or None
        Hospital or simulated site; ``None`` when the case does not say.
    reference_agatston : float or None
        Reference score where the labels do not give it.
    reference_range : tuple of float or None
        Lowest and highest score that a reader would accept: certain lesions only, and uncertain ones with them.
    group : str
        Cases with one group (a scan, a patient) must stay on one side of any split; the id unless the case says more.
    extra : dict
        Whatever else ``case.json`` holds.
    """

    id: str
    source: str
    licence: str
    site: str | None = None
    reference_agatston: float | None = None
    reference_range: tuple[float, float] | None = None
    group: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.id)

    @property
    def unsure_centres_zyx(self) -> list[list[float]]:
        """Centres of the lesions that the reader marked unsure, canonical voxel indices (slice, row, column)."""
        lesions = self.extra.get("lesions", [])
        return [lesion["center_zyx"] for lesion in lesions if lesion.get("confidence") == "unsure"]

    @property
    def has_drawn_heart(self) -> bool:
        """Whether a network drew the heart: right for calcium, no teacher of hearts."""
        return DRAWN_HEART_KEY in self.extra


def find_cases(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Return every case folder (one with ``case.json``) under ``folders``, sorted; symbolic links are followed.

    Raises
    ------
    ConfigError
        A folder holds no case.
    """
    found: list[Path] = []
    for folder in folders:
        cases = sorted(Path(root) for root, _, files in os.walk(folder, followlinks=True) if CASE_FILE in files)
        if not cases:
            raise ConfigError(
                f"no {CASE_FILE} under {folder}; a case holds {CT_FILE} or {DICOM_FOLDER}/, {LABELS_FILE}"
            )
        found += cases
    return tuple(found)


def read_case(folder: Path) -> Case:
    """Return what ``case.json`` of a case folder says.

    The keys ``agatston_sure`` and ``agatston_with_unsure`` become ``reference_range``; keys unknown here are kept in
    ``extra``.

    Raises
    ------
    InputError
        The file is missing, is not a JSON object, or lacks id, source or licence.
    """
    path = folder / CASE_FILE
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder} is not a case: cannot read {CASE_FILE} ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    missing = [key for key in ("id", "source", "licence") if not isinstance(table, dict) or not table.get(key)]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}")
    try:
        return _case_from_json(table)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} holds a reference score that is no number: {error}") from error


def load_case_arrays(folder: Path) -> tuple[Volume, Labels, Case]:
    """Return CT, labels and description of a case folder; both arrays canonical and on one grid.

    Raises
    ------
    InputError
        A file is missing or unreadable, or the DICOM folder is refused.
    GridMismatchError
        Labels and CT lie on different grids.
    """
    case = read_case(folder)
    volume = _load_ct(folder)
    return volume, read_labels(folder / LABELS_FILE, volume=volume), case


def write_case(folder: Path, volume: Volume, labels: Labels, case: Case) -> None:
    """Write a case folder; an existing one is overwritten file by file.

    Raises
    ------
    GridMismatchError
        Labels and CT lie on different grids.
    OutputError
        The folder cannot be written.
    """
    labels.check_on(volume)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_volume(volume, folder / CT_FILE)
        write_labels(labels, folder / LABELS_FILE)
        # The description comes last: where it stands, the arrays do too.
        (folder / CASE_FILE).write_text(json.dumps(_case_to_json(case), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write the case {folder}: {error.strerror}") from error


def _load_ct(folder: Path) -> Volume:
    if (folder / CT_FILE).is_file():
        return read_nifti_volume(folder / CT_FILE)
    if not (folder / DICOM_FOLDER).is_dir():
        raise InputError(f"{folder} has neither {CT_FILE} nor {DICOM_FOLDER}/")
    # Imported here: training on NIfTI must not wait for pydicom.
    from calcmap.io.reading import read_single_ct

    return read_single_ct(folder / DICOM_FOLDER).volume


def _case_from_json(table: dict[str, Any]) -> Case:
    extra = {key: value for key, value in table.items() if key not in (*_OWN_KEYS, _SURE_KEY, _UNSURE_KEY)}
    reference = table.get("reference_agatston")
    return Case(
        id=str(table["id"]),
        source=str(table["source"]),
        licence=str(table["licence"]),
        site=table.get("site"),
        reference_agatston=None if reference is None else float(reference),
        reference_range=_reference_range(table),
        group=str(table.get("group") or ""),
        extra=extra,
    )


def _reference_range(table: dict[str, Any]) -> tuple[float, float] | None:
    limits = table.get("reference_range")
    if limits is None and _SURE_KEY in table:
        limits = (table[_SURE_KEY], table.get(_UNSURE_KEY, table[_SURE_KEY]))
    if limits is None:
        return None
    low, high = limits
    return float(low), float(high)


def _case_to_json(case: Case) -> dict[str, Any]:
    own = {key: getattr(case, key) for key in _OWN_KEYS if getattr(case, key) is not None}
    return {**own, **case.extra}
