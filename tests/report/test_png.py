from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calcmap.report.png import encode_png, write_png


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 7), (2, 3), (5, 1), (37, 61)])
def test_a_picture_reads_back_as_it_was(rows: int, columns: int) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(encode_png(rgb))) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (columns, rows))
        np.testing.assert_array_equal(np.asarray(picture), rgb)


def test_one_black_pixel_is_the_file_that_the_standard_describes() -> None:
    content = encode_png(np.zeros((1, 1, 3), dtype=np.uint8))
    assert content[:8] == bytes([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
    assert content[8:33] == bytes.fromhex("0000000d 49484452 00000001 00000001 08 02 00 00 00 907753de")
    assert content[-12:] == bytes.fromhex("00000000 49454e44 ae426082")


def test_the_same_picture_gives_the_same_bytes() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert encode_png(rgb) == encode_png(rgb.copy())


def test_flat_pictures_become_small_files() -> None:
    rgb = np.full((400, 600, 3), 77, dtype=np.uint8)
    assert len(encode_png(rgb)) < rgb.nbytes / 100


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    write_png(Image.new("RGB", (4, 3), (1, 2, 3)), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(FileNotFoundError):
        write_png(Image.new("RGB", (4, 3)), tmp_path / "absent" / "a.png")
