"""What the routes answer: values of the service as JSON objects. Nothing is computed but their form."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import asdict

from calcmap.core.result import JsonValue
from calcmap.service.review_json import review_to_json
from calcmap.service.reviewing import CurrentReview
from calcmap.service.store import Store
from calcmap.service.store_reviews import Signature, StoredEdit
from calcmap.service.store_studies import MachineResult
from calcmap.service.store_voxels import read_header
from calcmap.service.store_worklist import WorklistPage, WorklistRow
from calcmap.web.pictures import pack_step


def worklist_page(page: WorklistPage) -> dict[str, JsonValue]:
    """Return a page of the worklist."""
    return {
        "rows": [worklist_row(row) for row in page.rows],
        "counts": {state.value: n for state, n in page.n_by_state.items()},
    }


def worklist_row(row: WorklistRow) -> dict[str, JsonValue]:
    """Return a row of the worklist."""
    return asdict(row)


def study_page(store: Store, row: WorklistRow, stored: MachineResult) -> dict[str, JsonValue]:
    """Return what a page shows of a study before it is reviewed: whose it is, what the machine said, its CT."""
    return {
        "study": worklist_row(row),
        "result": json.loads(stored.result_json),
        "scan": scan_facts(store, row.study_id),
        "has_overview": bool(store.study_contents(row.study_id, kind="overview")),
    }


def scan_facts(store: Store, study_id: int) -> dict[str, JsonValue] | None:
    """Return shape, spacing and place of a study's CT; ``None`` where there is none."""
    if not store.has_scan(study_id):
        return None
    (sha256,) = store.study_contents(study_id, kind="ct").values()
    grid = read_header(store.contents.path_of(sha256)).grid
    return {
        "shape": list(grid.shape_zyx),
        "spacing_mm": list(grid.spacing_mm_zyx),
        "affine_lps_mm": grid.affine_lps_mm.tolist(),
    }


def review_state(current: CurrentReview, signature: Signature | None) -> dict[str, JsonValue]:
    """Return a review as it stands, with the calcium to draw."""
    stored = current.stored
    return {
        "id": stored.id,
        "number": stored.number,
        "state": stored.state,
        **review_to_json(current.review),
        "log": [edit_entry(edit) for edit in stored.edits],
        "signature": _signature(signature) if signature else None,
        "calcium": b64encode(pack_step(current.review.steps[-1])).decode(),
    }


def machine_calcium(current: CurrentReview) -> str:
    """Return the machine's own calcium, to be drawn beside the reader's."""
    return b64encode(pack_step(current.review.steps[0])).decode()


def edit_entry(stored: StoredEdit) -> dict[str, JsonValue]:
    """Return an edit with author and time; of a brush stroke, how many pixels it had."""
    entry = stored.as_json()
    edit = entry["edit"]
    if isinstance(edit, dict) and isinstance(edit.get("pixels"), list):
        entry["edit"] = edit | {"pixels": len(edit["pixels"])}  # type: ignore[arg-type]
    return entry


def _signature(signature: Signature) -> dict[str, JsonValue]:
    return {
        "name": signature.signed_name,
        "account": signature.signed_by,
        "time": signature.signed_utc,
        "agatston": signature.agatston,
        "category": signature.category,
        "result_sha256": signature.result_sha256,
    }
