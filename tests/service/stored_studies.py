"""Studies put into a store, as a test needs them."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from calcmap.core.result import StudyResult, result_to_json
from calcmap.service.store import Store, scan_contents
from calcmap.service.store_studies import Identity, NewResult, StoredResult
from calcmap.service.store_voxels import pack_voxels
from core.results import refused_result
from service.reviewed_chest import machine_result

READER = "reader-1"
IDENTITY = Identity(patient_name="Plantedname^Zebedee", patient_id="PLANTEDID4711", study_date="20260102")


def add_chest(store: Store, *, input_sha256: str = "c" * 64, identity: Identity | None = None) -> StoredResult:
    """Store the reviewed chest and return where it lies."""
    scan, labels, result = machine_result()
    named = replace(result, provenance=replace(result.provenance, input_sha256=input_sha256))
    new = NewResult(
        name=named.study,
        result=result_to_json(named),
        labels_sha256=store.contents.put(pack_voxels(labels.labels_zyx, labels.grid)),
        voxels_sha256=hashlib.sha256(labels.labels_zyx.tobytes()).hexdigest(),
        contents={key: store.contents.put(each) for key, each in scan_contents(scan).items()},
        identity=identity,
    )
    return store.add_result(new, actor="node")


def add_refused(store: Store, result: StudyResult | None = None) -> StoredResult:
    """Store a refusal and return where it lies."""
    refused = result or refused_result()
    return store.add_result(NewResult(refused.study, result_to_json(refused)), actor="node")
