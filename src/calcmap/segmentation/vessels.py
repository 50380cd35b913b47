"""Which coronary vessel calcium belongs to, from where it lies in the heart."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from calcmap.core.errors import ModelError
from calcmap.core.result import Vessel
from calcmap.core.volume import BoolArray, Float64Array, Label, UInt8Array
from calcmap.segmentation.calcium_input import heart_frame
from calcmap.segmentation.engine import WEIGHTS_FOLDER

VESSELS_FILE = "vessels.json"
VESSELS = (Vessel.LM, Vessel.LAD, Vessel.LCX, Vessel.RCA)
"""Order of the model's classes; voxel value of a vessel map is one more, 0 being no vessel (`scoring.VesselCode`)."""
N_FEATURES = 20
"""Products of the three coordinates up to the third degree, the constant included."""
REACH = 2.0
"""Coordinates are clipped here, in half hearts from the middle, as the calcium network's are."""


@dataclass(frozen=True, eq=False)
class VesselModel:
    """Multinomial logistic regression on heart-relative coordinates.

    Parameters
    ----------
    weights : ndarray of float64, shape (20, 4)
        Of each feature for LM, LAD, LCx and RCA.
    sha256 : str
        Of its file, for provenance; empty for a model without one.

    Raises
    ------
    ModelError
        The weights are of another shape, or not finite.
    """

    weights: Float64Array
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.weights.shape != (N_FEATURES, len(VESSELS)) or not np.isfinite(self.weights).all():
            raise ModelError(
                f"the vessel model's weights have shape {self.weights.shape}, expected (20, 4), all finite"
            )

    def probabilities(self, position_zyx: Float64Array) -> Float64Array:
        """Return the probability of LM, LAD, LCx and RCA (n, 4) at heart-relative coordinates (n, 3)."""
        score = features(position_zyx) @ self.weights
        share = np.exp(score - score.max(axis=1, keepdims=True))
        probability: Float64Array = share / share.sum(axis=1, keepdims=True)
        return probability


def features(position_zyx: Float64Array) -> Float64Array:
    """Return all products of up to three of the coordinates (n, 3), the constant first: shape (n, 20)."""
    at = np.clip(position_zyx, -REACH, REACH)
    columns = [np.ones(len(at))]
    for i in range(3):
        columns.append(at[:, i])
        for j in range(i, 3):
            columns.append(at[:, i] * at[:, j])
            columns.extend(at[:, i] * at[:, j] * at[:, k] for k in range(j, 3))
    return np.stack(columns, axis=1)


def vessel_map(labels_zyx: UInt8Array, heart_zyx: BoolArray, model: VesselModel) -> UInt8Array:
    """Return the vessel of every coronary voxel: 0 none, 1 LM, 2 LAD, 3 LCx, 4 RCA.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (slices, rows, columns)
        Values of `Label`.
    heart_zyx : ndarray of bool, same shape
        Heart mask, calcium in it included.
    model : VesselModel
        Where each vessel's calcium lies.

    Returns
    -------
    ndarray of uint8, shape of the labels
        Voxel by voxel; scoring gives each lesion the vessel that most of its voxels name.
    """
    codes = np.zeros(labels_zyx.shape, dtype=np.uint8)
    found = np.argwhere(labels_zyx == Label.CORONARY)
    if len(found) == 0 or not heart_zyx.any():
        return codes
    position = heart_frame(heart_zyx).relative(found)
    codes[tuple(found.T)] = model.probabilities(position).argmax(axis=1) + 1
    return codes


def load_vessel_model(path: Path | None = None) -> VesselModel:
    """Return a vessel model from its JSON file; the shipped one by default.

    Raises
    ------
    ModelError
        The file is missing or is not a vessel model.
    """
    path = path or Path(str(resources.files("calcmap.segmentation").joinpath(WEIGHTS_FOLDER, VESSELS_FILE)))
    try:
        raw = path.read_bytes()
        weights = np.array(json.loads(raw)["weights"], dtype=np.float64)
    except OSError as error:
        raise ModelError(f"cannot read the vessel model {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not a vessel model: {type(error).__name__}") from error
    return VesselModel(weights, hashlib.sha256(raw).hexdigest())
