"""What every network's test asks of its ONNX export."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn


def settle_batch_norms(network: nn.Module, *, seed: int) -> nn.Module:
    """Return the network in inference mode, its batch norms set by noise so that no output is next to nothing."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain mean over the batches seen
            module.reset_running_stats()
    network.train()
    with torch.no_grad():
        for _ in range(2):
            network(torch.randn((2, 3, 48, 48), generator=generator))
    return network.eval()


def largest_difference(network: nn.Module, *, exported_at: Tensor, run_at: list[Tensor]) -> float:
    """Return the largest logit difference, torch against ONNX Runtime, over sizes other than the exported one."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"ONNX PARITY NOT CHECKED: {name} is not installed (train extra)")
    import onnxruntime

    dynamic = torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        network,
        (exported_at,),
        dynamo=True,
        external_data=False,
        verbose=False,
        dynamic_shapes=({0: dynamic, 2: dynamic, 3: dynamic},),
    )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (input_node,) = session.get_inputs()
    differences = []
    for slices_nchw in run_at:
        with torch.no_grad():
            expected_nchw = network(slices_nchw).numpy()
        assert expected_nchw.std() > 0.01, "logits too even to compare"
        (logits_nchw,) = session.run(None, {input_node.name: slices_nchw.numpy()})
        assert logits_nchw.shape == expected_nchw.shape
        differences.append(float(np.abs(logits_nchw - expected_nchw).max()))
    return max(differences)
