"""Texts and JSON as files of a folder: one way to write them, one error where that fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from calcmap.core.errors import OutputError


def json_text(content: object) -> str:
    """Return a value as JSON with a line for each entry, ending in a newline; NaN and infinity are `ValueError`."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def write_json(content: object, folder: Path, *, name: str) -> Path:
    """Write a value as JSON into a folder and return the file's path; the folder is made.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    (path,) = write_texts({name: json_text(content)}, folder)
    return path


def write_aside(content: bytes, path: Path) -> Path:
    """Write a file aside, rename it and return its path: a half-written one is never seen.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    return part.replace(path)


def write_texts(texts: Mapping[str, str], folder: Path) -> list[Path]:
    """Write texts by file name and return the paths; the folder is made.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    return [folder / name for name in texts]
