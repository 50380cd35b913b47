from __future__ import annotations

import gzip
import os
import time
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.errors import NotInStoreError, StoreError
from calcmap.core.volume import Int16Array, UInt8Array, grid_from_spacing
from calcmap.service import store_contents
from calcmap.service.store_contents import SWEEP_AGE_S, ContentStore
from calcmap.service.store_voxels import pack_voxels, read_header, read_slice_gzip, unpack_ct, unpack_labels

GRID = grid_from_spacing((3, 5, 7), (2.5, 0.7, 0.7), origin_lps_mm=(0.1, -0.2, 0.3))


def ct() -> Int16Array:
    return np.random.default_rng(3).integers(-1024, 3071, (3, 5, 7)).astype(np.int16)


def labels() -> UInt8Array:
    return (ct() % 4).astype(np.uint8)


def names(contents: ContentStore) -> set[str]:
    return {path.name for path in contents.folder.glob("*/*")}


def test_a_content_lies_under_its_hash_once(tmp_path: Path) -> None:
    contents = ContentStore(tmp_path)
    sha256 = contents.put(b"abc")
    # SHA-256 of "abc" as FIPS 180-2 prints it
    assert sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert contents.put(b"abc") == sha256
    assert (contents.get(sha256), contents.has(sha256), names(contents)) == (b"abc", True, {sha256})
    assert not contents.has("0" * 64)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63])
def test_what_is_no_hash_leads_nowhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotInStoreError, match=r"is no SHA-256"):
        ContentStore(tmp_path).get(name)


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    contents = ContentStore(tmp_path)
    monkeypatch.setattr(store_contents.os, "fsync", full)
    with pytest.raises(StoreError, match="cannot write a content of 3 bytes: No space left on device"):
        contents.put(b"abc")
    assert names(contents) == set()


def test_the_sweep_takes_old_leftovers_and_nothing_that_is_named(tmp_path: Path) -> None:
    contents = ContentStore(tmp_path)
    wanted, loose, fresh = contents.put(b"wanted"), contents.put(b"loose"), contents.put(b"fresh")
    part = contents.path_of(wanted).with_name("half.part")
    part.write_bytes(b"ha")
    old_s = time.time() - SWEEP_AGE_S - 60.0
    for path in (contents.path_of(wanted), contents.path_of(loose), part):
        os.utime(path, (old_s, old_s))
    assert set(contents.sweep({wanted})) == {loose, "half.part"}
    assert names(contents) == {wanted, fresh}
    # put again, an old content is young: its row may be on the way
    contents.put(b"wanted")
    assert contents.sweep(set()) == []
    assert set(contents.sweep(set(), now_s=time.time() + 2 * SWEEP_AGE_S)) == {wanted, fresh}


def test_voxels_come_back_to_the_last_bit(tmp_path: Path) -> None:
    volume = unpack_ct(pack_voxels(ct(), GRID))
    np.testing.assert_array_equal(volume.ct_hu_zyx, ct())
    assert (volume.grid.affine_lps_mm == GRID.affine_lps_mm).all()
    again = unpack_labels(pack_voxels(labels(), GRID))
    np.testing.assert_array_equal(again.labels_zyx, labels())
    assert pack_voxels(ct(), GRID) == pack_voxels(np.asfortranarray(ct()), GRID)


def test_one_slice_is_read_without_the_others(tmp_path: Path) -> None:
    path = tmp_path / "ct"
    path.write_bytes(pack_voxels(ct(), GRID))
    header = read_header(path)
    assert (header.dtype, header.grid.shape_zyx) == ("int16", (3, 5, 7))
    for z in range(3):
        rows = np.frombuffer(gzip.decompress(read_slice_gzip(path, header, z)), dtype="<i2")
        np.testing.assert_array_equal(rows.reshape(5, 7), ct()[z])
    for z in (-1, 3):
        with pytest.raises(StoreError, match=f"slice {z} is asked for, there are 3"):
            header.extent(z)


def test_what_holds_other_voxels_is_refused() -> None:
    with pytest.raises(StoreError, match="is no CT or label map of this store"):
        unpack_ct(b"something else")
    with pytest.raises(StoreError, match="holds uint8 voxels, expected int16"):
        unpack_ct(pack_voxels(labels(), GRID))
    with pytest.raises(StoreError, match="holds int16 voxels, expected uint8"):
        unpack_labels(pack_voxels(ct(), GRID))
