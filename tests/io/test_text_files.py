"""Texts and JSON in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from calcmap.core.errors import OutputError
from calcmap.io.text_files import write_json, write_texts


def test_json_has_a_line_for_each_entry_and_ends_in_a_newline(tmp_path: Path) -> None:
    path = write_json({"name": "kappa", "value": None}, tmp_path / "made", name="a.json")

    assert path == tmp_path / "made" / "a.json"
    assert path.read_bytes() == b'{\n "name": "kappa",\n "value": null\n}\n'


def test_a_number_that_json_cannot_hold_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json({"value": float("nan")}, tmp_path, name="a.json")

    assert not list(tmp_path.iterdir())


def test_line_ends_stay_as_they_are(tmp_path: Path) -> None:
    (path,) = write_texts({"a.csv": "one\r\ntwo\n"}, tmp_path)

    assert path.read_bytes() == b"one\r\ntwo\n"


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(OutputError, match=r"cannot write .*file: "):
        write_json([], tmp_path / "file", name="a.json")
