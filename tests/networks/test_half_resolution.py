from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="THE LAST STAGE'S REARRANGEMENT NOT TESTED: onnx is not installed")

import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from calcmap.networks.half_resolution import finish_at_half_resolution  # noqa: E402

LOW, SKIP, FEATURES, CLASSES = 5, 3, 4, 2


def small_network(*, mode: str = "nearest", scale: float = 2.0) -> onnx.ModelProto:
    """Return a network that ends as a CalcMapNet does: one level below, one skip, a head."""
    rng = np.random.default_rng(7)
    shapes = {
        "first": (SKIP, 1, 3, 3),
        "below": (LOW, SKIP, 3, 3),
        "conv": (FEATURES, LOW + SKIP, 3, 3),
        "head": (CLASSES, FEATURES, 1, 1),
    }
    weights = [numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), k) for k, shape in shapes.items()]
    weights += [
        numpy_helper.from_array(rng.normal(size=shape[0]).astype(np.float32), f"{k}_bias")
        for k, shape in shapes.items()
    ]
    weights.append(numpy_helper.from_array(np.float32([1, 1, scale, scale]), "scales"))
    nodes = [
        helper.make_node("Conv", ["slices", "first", "first_bias"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["skip"]),
        helper.make_node("Conv", ["skip", "below", "below_bias"], ["b"], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["b"], ["low"]),
        helper.make_node(
            "Resize",
            ["low", "", "scales"],
            ["large"],
            mode=mode,
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        helper.make_node("Concat", ["large", "skip"], ["both"], axis=1),
        helper.make_node("Conv", ["both", "conv", "conv_bias"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["features"]),
        helper.make_node("Conv", ["features", "head", "head_bias"], ["logits"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["s", channels, "h", "w"])
        for name, channels in (("slices", 1), ("logits", CLASSES))
    ]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def logits(model: onnx.ModelProto, slices_schw: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"slices": slices_schw})
    return np.asarray(found)


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (8, 6), (16, 32)])
def test_logits_are_those_of_the_network_as_it_was(rows: int, columns: int) -> None:
    slices = np.random.default_rng(8).standard_normal((3, 1, rows, columns), dtype=np.float32)
    model = small_network()
    expected = logits(model, slices)
    assert expected.std() > 0.1
    assert finish_at_half_resolution(model)
    onnx.checker.check_model(model)
    np.testing.assert_allclose(logits(model, slices), expected, atol=1e-4)


def test_what_the_stage_no_longer_needs_is_gone() -> None:
    model = small_network()
    finish_at_half_resolution(model)
    assert {node.op_type for node in model.graph.node}.isdisjoint({"Concat", "Resize"})
    assert {each.name for each in model.graph.initializer}.isdisjoint({"conv", "conv_bias", "head", "head_bias"})


@pytest.mark.parametrize("change", [{"mode": "linear"}, {"scale": 4.0}])
def test_a_network_that_ends_otherwise_is_left_as_it_is(change: dict[str, object]) -> None:
    model = small_network(**change)
    before = model.SerializeToString()
    assert not finish_at_half_resolution(model)
    assert model.SerializeToString() == before
