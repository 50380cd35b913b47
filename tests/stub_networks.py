"""Two hand-made networks in the files that CalcMap serves: a threshold each, so that every answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

HEART_GRID = {"in_plane_mm": 4.0, "slice_mm": 4.0, "size_px": 48}
HEART_ABOVE_HU = -480.0
"""The heart network calls everything denser than this heart: half way from air to tissue, for a heart in air alone."""
CALCIUM_ABOVE_HU = 118.0
"""The calcium network calls everything denser calcium: coronary on the heart's right side, noncoronary on its left."""

METADATA = {
    "heart": {"task": "heart", "stride": "4", "heart_grid": json.dumps(HEART_GRID), "network": '{"reach": 1}'},
    "calcium": {"task": "calcium", "stride": "4", "heart_grid": "{}", "network": '{"reach": 1}'},
}


def heart_weights() -> tuple[np.ndarray, np.ndarray]:
    """Return weights (classes, channels) and biases of the heart network, a 1 x 1 convolution."""
    threshold = (HEART_ABOVE_HU + 1000.0) / 1400.0 * 2.0 - 1.0
    return np.array([[0.0], [40.0]], dtype=np.float32), np.array([0.0, -40.0 * threshold], dtype=np.float32)


def calcium_weights() -> tuple[np.ndarray, np.ndarray]:
    """Return weights and biases of the calcium network; its channels are HU, heart, z, y, x."""
    threshold = (CALCIUM_ABOVE_HU + 250.0) / 800.0 * 2.0 - 1.0
    weights = [[0, 0, 0, 0, 0], [400, 0, 0, 0, -1], [400, 0, 0, 0, 1]]
    return np.array(weights, dtype=np.float32), np.array([0, -400 * threshold, -400 * threshold], dtype=np.float32)


def write_networks(folder: Path) -> Path:
    """Write ``heart.onnx`` and ``calcium.onnx`` and return the folder; skips the test where onnx is absent."""
    folder.mkdir(parents=True, exist_ok=True)
    for task, (weights, biases) in (("heart", heart_weights()), ("calcium", calcium_weights())):
        (folder / f"{task}.onnx").write_bytes(network_file(weights, biases, metadata=METADATA[task]))
    return folder


def network_file(weights: np.ndarray, biases: np.ndarray, *, metadata: dict[str, str]) -> bytes:
    """Return a 1 x 1 convolution as an ONNX file."""
    onnx = pytest.importorskip("onnx", reason="NETWORK FILES NOT TESTED: onnx is not installed (train extra)")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Conv", ["slices", "weights", "biases"], ["logits"])],
        "stub",
        [helper.make_tensor_value_info("slices", float32, ["s", weights.shape[1], "h", "w"])],
        [helper.make_tensor_value_info("logits", float32, ["s", weights.shape[0], "h", "w"])],
        [
            onnx.numpy_helper.from_array(weights[:, :, None, None], "weights"),
            onnx.numpy_helper.from_array(biases, "biases"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata)
    content: bytes = model.SerializeToString()
    return content
