"""The small models that stand beside the networks as JSON files: how one is read, and what it may go without."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from calcmap.core.errors import ModelError
from calcmap.segmentation.engine import WEIGHTS_FOLDER

Model = TypeVar("Model")


def load_model(
    path: Path | None, *, shipped: str, kind: str, read: Callable[[dict[str, Any], str], Model]
) -> Model | None:
    """Return a model from its JSON file, or ``None`` where none was named and none is shipped.

    Parameters
    ----------
    path : Path or None
        The file; the shipped one when ``None``.
    shipped : str
        File name inside the package.
    kind : str
        What the model is, for errors.
    read : callable
        Makes the model from the file's content and SHA-256.

    Returns
    -------
    Model or None
        As ``read`` returns it.

    Raises
    ------
    ModelError
        The file was named and is missing, or is not such a model.
    """
    named, path = path, path or Path(str(resources.files("calcmap.segmentation").joinpath(WEIGHTS_FOLDER, shipped)))
    try:
        raw = path.read_bytes()
    except OSError as error:
        if named is None and isinstance(error, FileNotFoundError):
            return None
        raise ModelError(f"cannot read the {kind} {path}: {error.strerror}") from error
    try:
        return read(json.loads(raw), hashlib.sha256(raw).hexdigest())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is not a {kind}: {type(error).__name__}") from error


def networks_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 by task that a model's file says it was fitted for.

    Raises
    ------
    KeyError
        The heart's or the calcium network's is missing.
    """
    networks = content["networks"]
    return {task: str(networks[task]) for task in ("heart", "calcium", *networks)}


def is_for(networks: Mapping[str, str], weights_sha256: Mapping[str, str]) -> bool:
    """Return whether all files that a model was fitted for are those in use (hashes by task; others are left aside)."""
    return all(weights_sha256.get(task) == sha256 for task, sha256 in networks.items())
