"""A store of thousands of studies, as a busy department fills it in some years."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import insert

from calcmap.core.result import ConfidenceWord, Status
from calcmap.service.store import Store
from calcmap.service.store_studies import Identity
from calcmap.service.store_tables import MACHINE_RESULT, STUDY, STUDY_IDENTITY

FAMILIES = ("Meier", "Okafor", "Yamada", "Silva", "Novák")
TIME = "2026-01-02T03:04:05.000000+00:00"


def add_many(store: Store, n: int) -> None:
    """Write the rows of ``n`` scored studies, which is all that a worklist reads; every third is borderline."""
    words = list(ConfidenceWord)
    studies = [
        {"id": k, "input_key": f"many-{k}", "name": f"study-{k:05d}", "created_utc": TIME} for k in range(1, n + 1)
    ]
    results = [
        {
            "id": k,
            "study_id": k,
            "number": 1,
            "result_sha256": f"{k}",
            "result_json": "{}",
            "status": Status.SCORED.value,
        }
        | {"agatston": float(k % 600), "category": 2, "confidence": words[k % 3].value, "n_warnings": k % 2}
        | {"created_by": "node", "created_utc": TIME}
        for k in range(1, n + 1)
    ]
    people = [
        {"study_id": k}
        | asdict(Identity(patient_name=f"{FAMILIES[k % 5]}^Patient", patient_id=f"ID{k:06d}", study_date="20260102"))
        for k in range(1, n + 1)
    ]
    with store.database.writing() as connection:
        for table, rows in ((STUDY, studies), (MACHINE_RESULT, results), (STUDY_IDENTITY, people)):
            connection.execute(insert(table), rows)
