"""Rows of studies and of machine results. Each function works inside a transaction that the store opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from sqlalchemy import Connection, func, insert, select

from calcmap.core.errors import NotInStoreError
from calcmap.core.result import JsonValue
from calcmap.service.store_audit import append_event, canonical_json, sha256_of
from calcmap.service.store_tables import MACHINE_RESULT, STUDY, STUDY_CONTENT, STUDY_IDENTITY

NOT_CONTENT = ("seconds",)
"""Fields of ``result.json`` that differ from run to run of one result: they do not make it another one."""


@dataclass(frozen=True)
class Identity:
    """Who a study is of, as the images say: shown on the page, kept out of every log and of its own printed form."""

    patient_name: str = field(default="", repr=False)
    patient_id: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    sex: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)
    study_instance_uid: str = field(default="", repr=False)
    study_date: str = field(default="", repr=False)
    description: str = field(default="", repr=False)


@dataclass(frozen=True)
class NewResult:
    """A machine result to be stored, its contents on disk already.

    Parameters
    ----------
    name : str
        Folder or file name of the study.
    result : dict
        The object of its ``result.json``.
    labels_sha256 : str or None
        The content that holds its label map; ``None`` for a refusal.
    voxels_sha256 : str or None
        Of the label map's voxels, however they are packed.
    contents : mapping
        SHA-256 of what belongs to the study, by kind (``ct``, ``acquisition``, ``dicom``, ``overview``) and name.
    identity : Identity or None
        Of the patient, where the images say it.
    """

    name: str
    result: Mapping[str, JsonValue]
    labels_sha256: str | None = None
    voxels_sha256: str | None = None
    contents: Mapping[tuple[str, str], str] = field(default_factory=dict)
    identity: Identity | None = None

    @property
    def result_sha256(self) -> str:
        """Of everything that makes this result this result: two runs that say the same are one."""
        return result_key(self.result, self.voxels_sha256)

    @property
    def input_key(self) -> str:
        """What makes a study this study: the hash of its input; of a study that could not be read, of what was said."""
        return input_key(self.result, self.voxels_sha256)


@dataclass(frozen=True)
class StoredResult:
    """Where a machine result lies."""

    study_id: int
    result_id: int
    number: int
    """1 for the study's first result, then 2, 3, ..."""
    is_new: bool
    """Whether this call wrote it."""


@dataclass(frozen=True)
class MachineResult:
    """A machine result as stored."""

    id: int
    study_id: int
    number: int
    result_sha256: str
    result_json: str
    labels_sha256: str | None


def result_key(result: Mapping[str, JsonValue], voxels_sha256: str | None) -> str:
    """Return the hash of a result and its label map, run times left out."""
    return sha256_of([{key: value for key, value in result.items() if key not in NOT_CONTENT}, voxels_sha256])


def input_key(result: Mapping[str, JsonValue], voxels_sha256: str | None) -> str:
    """Return what makes a study this study, see `NewResult.input_key`."""
    provenance = result["provenance"]
    input_sha256 = provenance.get("input_sha256") if isinstance(provenance, dict) else None
    return str(input_sha256) if input_sha256 else f"result:{result_key(result, voxels_sha256)}"


def add_result(connection: Connection, new: NewResult, *, actor: str, time_utc: str) -> StoredResult:
    """Write a study, what belongs to it, and its result, each unless it is there; return where they lie."""
    study_id = _study_id(connection, new, time_utc)
    n_contents = _add_contents(connection, study_id, new.contents)
    _add_identity(connection, study_id, new.identity)
    stored = find_result(connection, new) or _insert_result(connection, study_id, new, actor, time_utc)
    if stored.is_new or n_contents:
        detail: dict[str, JsonValue] = {
            "result": stored.result_id,
            "is_new": stored.is_new,
            "n_contents": n_contents,
            "result_sha256": new.result_sha256,
            "row_sha256": sha256_of([canonical_json(new.result), new.labels_sha256]),
        }
        append_event(
            connection, "add_result", subject=f"study:{study_id}", actor=actor, time_utc=time_utc, detail=detail
        )
    return stored


def read_result(connection: Connection, result_id: int) -> MachineResult:
    """Return a machine result; `NotInStoreError` when there is none of that number."""
    columns = MACHINE_RESULT.c
    query = select(*(columns[name] for name in MachineResult.__dataclass_fields__)).where(columns.id == result_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotInStoreError(f"there is no machine result {result_id}")
    return MachineResult(**row)


def read_contents(connection: Connection, study_id: int, *, kind: str) -> dict[str, str]:
    """Return the SHA-256 of a study's contents of one kind, by name, in the order of names."""
    query = (
        select(STUDY_CONTENT.c.name, STUDY_CONTENT.c.sha256)
        .where(STUDY_CONTENT.c.study_id == study_id, STUDY_CONTENT.c.kind == kind)
        .order_by(STUDY_CONTENT.c.name)
    )
    return {row.name: row.sha256 for row in connection.execute(query)}


def read_identity(connection: Connection, study_id: int) -> Identity:
    """Return whose study it is; all empty where nothing says it."""
    columns = [STUDY_IDENTITY.c[name] for name in Identity.__dataclass_fields__]
    row = connection.execute(select(*columns).where(STUDY_IDENTITY.c.study_id == study_id)).mappings().first()
    return Identity(**{name: value or "" for name, value in row.items()}) if row else Identity()


def find_study(connection: Connection, key: str) -> int | None:
    """Return the number of the study with an input key, ``None`` when there is none."""
    found: int | None = connection.execute(select(STUDY.c.id).where(STUDY.c.input_key == key)).scalar()
    return found


def find_result(connection: Connection, new: NewResult) -> StoredResult | None:
    """Return where a machine result lies, ``None`` when it is not there."""
    result = MACHINE_RESULT.c
    query = select(result.study_id, result.id, result.number).where(
        result.study_id == find_study(connection, new.input_key), result.result_sha256 == new.result_sha256
    )
    row = connection.execute(query).first()
    return StoredResult(row.study_id, row.id, row.number, False) if row else None


def _study_id(connection: Connection, new: NewResult, time_utc: str) -> int:
    present = find_study(connection, new.input_key)
    if present is not None:
        return present
    row = {"input_key": new.input_key, "name": new.name, "created_utc": time_utc}
    return int(connection.execute(insert(STUDY).values(row).returning(STUDY.c.id)).scalar_one())


def _add_contents(connection: Connection, study_id: int, contents: Mapping[tuple[str, str], str]) -> int:
    """Write which contents belong to a study; what stands stays. Return how many were new."""
    known = connection.execute(
        select(STUDY_CONTENT.c.kind, STUDY_CONTENT.c.name).where(STUDY_CONTENT.c.study_id == study_id)
    )
    present = {(row.kind, row.name) for row in known}
    fresh = [
        {"study_id": study_id, "kind": kind, "name": name, "sha256": sha256}
        for (kind, name), sha256 in contents.items()
        if (kind, name) not in present
    ]
    if fresh:
        connection.execute(insert(STUDY_CONTENT), fresh)
    return len(fresh)


def _add_identity(connection: Connection, study_id: int, identity: Identity | None) -> None:
    is_there = select(STUDY_IDENTITY.c.study_id).where(STUDY_IDENTITY.c.study_id == study_id)
    if identity is not None and connection.execute(is_there).first() is None:
        connection.execute(insert(STUDY_IDENTITY).values(study_id=study_id, **asdict(identity)))


def _insert_result(connection: Connection, study_id: int, new: NewResult, actor: str, time_utc: str) -> StoredResult:
    highest = connection.execute(
        select(func.max(MACHINE_RESULT.c.number)).where(MACHINE_RESULT.c.study_id == study_id)
    ).scalar()
    confidence, quality = new.result.get("confidence"), new.result.get("quality")
    flags = quality if isinstance(quality, list) else []
    row = {
        "study_id": study_id,
        "number": (highest or 0) + 1,
        "result_sha256": new.result_sha256,
        "result_json": canonical_json(new.result),
        "labels_sha256": new.labels_sha256,
        "status": new.result["status"],
        "agatston": new.result["agatston"],
        "category": new.result["category"],
        "confidence": confidence["word"] if isinstance(confidence, dict) else None,
        "n_warnings": sum(isinstance(flag, dict) and flag["severity"] != "info" for flag in flags),
        "created_by": actor,
        "created_utc": time_utc,
    }
    result_id = connection.execute(insert(MACHINE_RESULT).values(row).returning(MACHINE_RESULT.c.id)).scalar_one()
    return StoredResult(study_id, int(result_id), (highest or 0) + 1, True)
