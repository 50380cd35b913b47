"""The last stage of an exported network, rearranged so that it runs at half resolution: same logits, less work.

At full resolution a network has few channels, and few channels use a processor badly. The last stage enlarges what it
got from below, lays it beside the features of the first level, and convolves both. Enlarging by repetition and then
convolving is the same as convolving first and writing four results, one for each pixel of a 2 x 2 square; so the stage
becomes convolutions with four times the channels on a quarter of the pixels, and the enlarged features, the largest
array of all, are never made. Weights are regrouped and added up, nothing is learned or rounded to fewer digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from calcmap.core.volume import Float32Array

_SQUARE = [(row, column) for row in (0, 1) for column in (0, 1)]
"""Pixels of a 2 x 2 square, in the order in which ONNX's DepthToSpace lays channels out."""


@dataclass(frozen=True, eq=False)
class _LastStage:
    """Nodes of the last stage, and its two inputs: ``low`` at half resolution, ``skip`` at full."""

    enlarge: onnx.NodeProto
    join: onnx.NodeProto
    conv: onnx.NodeProto
    relu: onnx.NodeProto
    head: onnx.NodeProto

    @property
    def low(self) -> str:
        return str(self.enlarge.input[0])

    @property
    def skip(self) -> str:
        return str(self.join.input[1])

    @property
    def nodes(self) -> tuple[onnx.NodeProto, ...]:
        return (self.enlarge, self.join, self.conv, self.relu, self.head)


def finish_at_half_resolution(model: onnx.ModelProto) -> bool:
    """Rearrange the last stage of a network, in place, and return whether it ends in one that can be rearranged.

    The stage is what `CalcMapNet` ends in: features enlarged twofold by repetition, joined with others, a 3 x 3
    convolution, a rectifier, a 1 x 1 convolution. Logits change by the order of their sums only.

    Parameters
    ----------
    model : ModelProto
        As exported, normalisation folded into the convolutions.

    Returns
    -------
    bool
        False where the network ends otherwise; it is left as it was.
    """
    stage = _last_stage(model.graph)
    if stage is None:
        return False
    weights = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    conv, head = weights[stage.conv.input[1]], weights[stage.head.input[1]]
    n_low = _channels_of(stage.low, model.graph, weights)
    regrouped = {
        "half.low": _of_enlarged(conv[:, :n_low]),
        "half.skip": _of_full_size(conv[:, n_low:]),
        "half.bias": np.tile(weights[stage.conv.input[2]], len(_SQUARE)),
        "half.head": _of_each_pixel(head),
        "half.head_bias": np.tile(weights[stage.head.input[2]], len(_SQUARE)),
    }
    model.graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name)
        for name, values in regrouped.items()
    )
    _replace(model.graph, stage)
    return True


def _last_stage(graph: onnx.GraphProto) -> _LastStage | None:
    """Return the last stage; ``None`` where a network ends otherwise."""
    maker = {output: node for node in graph.node for output in node.output}
    found: list[onnx.NodeProto] = []
    output = str(graph.output[0].name)
    for kind in ("Conv", "Relu", "Conv", "Concat", "Resize"):
        node = maker.get(output)
        if node is None or node.op_type != kind:
            return None
        found.append(node)
        output = str(node.input[0])
    head, relu, conv, join, enlarge = found
    stage = _LastStage(enlarge, join, conv, relu, head)
    return (
        stage
        if _is_as_expected(stage, {each.name: numpy_helper.to_array(each) for each in graph.initializer})
        else None
    )


def _is_as_expected(stage: _LastStage, weights: dict[str, Float32Array]) -> bool:
    """Tell whether the stage enlarges twofold by repetition, joins two inputs, and convolves by 3 x 3 and 1 x 1."""
    if len(stage.join.input) != 2 or not {*stage.conv.input[1:], *stage.head.input[1:]} <= set(weights):
        return False
    kernels = [weights[node.input[1]].shape[2:] for node in (stage.conv, stage.head)]
    modes = {attribute.s for attribute in stage.enlarge.attribute if attribute.name == "mode"}
    scales = weights.get(stage.enlarge.input[2]) if len(stage.enlarge.input) == 3 else None
    is_twofold = scales is not None and scales.tolist() == [1, 1, 2, 2]
    has_biases = len(stage.conv.input) == len(stage.head.input) == 3
    return has_biases and is_twofold and modes == {b"nearest"} and kernels == [(3, 3), (1, 1)]


def _channels_of(name: str, graph: onnx.GraphProto, weights: dict[str, Float32Array]) -> int:
    """Return the channels of the rectified output of a convolution."""
    maker = {output: node for node in graph.node for output in node.output}
    return int(weights[maker[maker[name].input[0]].input[1]].shape[0])


def _of_enlarged(weights_kcyx: Float32Array) -> Float32Array:
    """Return 3 x 3 weights (4 k, c, 3, 3) at half resolution that do what these do on enlarged features.

    Three rows of enlarged features around row 2 i + p are rows (i - 1, i, i) of the features for p = 0, and
    (i, i, i + 1) for p = 1; rows that coincide add their weights.
    """
    n_out, n_in = weights_kcyx.shape[:2]
    low = np.zeros((len(_SQUARE), n_out, n_in, 3, 3), dtype=np.float32)
    for part, (p, q) in zip(low, _SQUARE, strict=True):
        for y in range(3):
            for x in range(3):
                part[:, :, (p + y + 1) // 2, (q + x + 1) // 2] += weights_kcyx[:, :, y, x]
    return low.reshape(-1, n_in, 3, 3)


def _of_full_size(weights_kcyx: Float32Array) -> Float32Array:
    """Return 4 x 4 weights (4 k, c, 4, 4) that, two pixels apart, do what these do at every pixel."""
    n_out, n_in = weights_kcyx.shape[:2]
    strided = np.zeros((len(_SQUARE), n_out, n_in, 4, 4), dtype=np.float32)
    for part, (p, q) in zip(strided, _SQUARE, strict=True):
        part[:, :, p : p + 3, q : q + 3] = weights_kcyx
    return strided.reshape(-1, n_in, 4, 4)


def _of_each_pixel(weights_kc11: Float32Array) -> Float32Array:
    """Return 1 x 1 weights (4 k, 4 c) that treat the four pixels of a square each by itself."""
    n_out, n_in = weights_kc11.shape[:2]
    diagonal = np.kron(np.eye(len(_SQUARE)), weights_kc11.reshape(n_out, n_in))
    return diagonal.astype(np.float32)[:, :, None, None]


def _replace(graph: onnx.GraphProto, stage: _LastStage) -> None:
    """Put the rearranged stage in the place of the one that was, its weights and shapes included."""
    outputs = {str(output) for node in stage.nodes for output in node.output}
    old_weights = {str(name) for node in (stage.conv, stage.head) for name in node.input[1:]}
    kept = [node for node in graph.node if str(node.output[0]) not in outputs]
    half = [
        helper.make_node("Conv", [stage.skip, "half.skip", "half.bias"], ["half_skip"], strides=[2, 2], pads=[1] * 4),
        helper.make_node("Conv", [stage.low, "half.low"], ["half_low"], pads=[1] * 4),
        helper.make_node("Add", ["half_low", "half_skip"], ["half_sum"]),
        helper.make_node("Relu", ["half_sum"], ["half_features"]),
        helper.make_node("Conv", ["half_features", "half.head", "half.head_bias"], ["half_logits"]),
        helper.make_node("DepthToSpace", ["half_logits"], [stage.head.output[0]], blocksize=2, mode="DCR"),
    ]
    weights = [each for each in graph.initializer if each.name not in old_weights]
    shapes = [each for each in graph.value_info if each.name not in outputs]
    for field, values in ((graph.node, [*kept, *half]), (graph.initializer, weights), (graph.value_info, shapes)):
        values = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(values)
