"""Studies of every kind that a page has to show, put into a store."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from calcmap.core.result import result_to_json
from calcmap.core.volume import Label, UInt8Array, Volume, grid_from_spacing
from calcmap.scoring import PROFILES, score_volume
from calcmap.service.store import Store, scan_contents
from calcmap.service.store_studies import Identity, NewResult, StoredResult
from calcmap.service.store_voxels import pack_voxels
from core.results import refused_result
from service.reviewed_chest import machine_labels, machine_scan, result_of, reviewed_volume

HTML_NAME = "<script>alert(1)</script>^<b>Bold</b>"
HTML_ID = "<img src=x onerror=window.hacked=1>"
JAPANESE_NAME = "Yamada^Tarou=山田^太郎=やまだ^たろう"
ARABIC_NAME = "قباني^لنزار"
LONG_SHAPE = (400, 48, 48)
REFUSAL = "the heart leaves the scan <script>window.hacked=1</script>"


def add_study(
    store: Store,
    name: str,
    *,
    volume: Volume | None = None,
    maps: tuple[UInt8Array, UInt8Array] | None = None,
    identity: Identity | None = None,
    has_images: bool = True,
) -> StoredResult:
    """Store a study with the machine's result on it: the reviewed chest's unless told otherwise."""
    key = hashlib.sha256(name.encode()).hexdigest()
    scan = replace(machine_scan(volume or reviewed_volume()), input_sha256=key)
    labels_zyx, vessels_zyx = maps or machine_labels()
    scoring = score_volume(
        scan.volume, labels_zyx, rule=PROFILES["clinical"], mass_factor=0.8, vessels_zyx=vessels_zyx, kvp=120.0
    )
    images = scan_contents(scan) if has_images else {}
    new = NewResult(
        name=name,
        result=result_to_json(result_of(scoring, study=name, input_sha256=key)),
        labels_sha256=store.contents.put(pack_voxels(labels_zyx, scan.volume.grid)),
        voxels_sha256=hashlib.sha256(labels_zyx.tobytes()).hexdigest(),
        contents={place: store.contents.put(each) for place, each in images.items()},
        identity=identity,
    )
    return store.add_result(new, actor="node")


def add_no_calcium(store: Store, name: str) -> StoredResult:
    """Store a study in which the machine found nothing."""
    labels_zyx, vessels_zyx = machine_labels()
    nothing_zyx = np.where(labels_zyx > Label.HEART, Label.HEART, labels_zyx).astype(np.uint8)
    return add_study(store, name, maps=(nothing_zyx, np.zeros_like(vessels_zyx)))


def add_long(store: Store, name: str) -> StoredResult:
    """Store a study of 400 slices with one lesion near its end."""
    ct_hu_zyx = np.full(LONG_SHAPE, 40, dtype=np.int16)
    labels_zyx, vessels_zyx = (np.zeros(LONG_SHAPE, dtype=np.uint8) for _ in range(2))
    ct_hu_zyx[390, 20:22, 20:22] = 250
    labels_zyx[390, 20:22, 20:22] = Label.CORONARY
    volume = Volume(ct_hu_zyx, grid_from_spacing(LONG_SHAPE, (3.0, 1.0, 1.0)))
    return add_study(store, name, volume=volume, maps=(labels_zyx, vessels_zyx))


def add_refusal(store: Store, name: str) -> StoredResult:
    """Store a refusal whose reason looks like HTML."""
    refused = replace(refused_result(), study=name, reason=REFUSAL)
    return store.add_result(NewResult(name, result_to_json(refused)), actor="node")
