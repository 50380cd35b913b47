"""From a torch network to the ONNX file that is served."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from calcmap.core.errors import ModelError
from calcmap.networks.calcmap_net import CalcMapNet

PARITY_TOLERANCE = 1e-3
"""Largest difference of a logit between torch and ONNX Runtime (float32 sums in another order; our choice)."""
INPUT_NAME, OUTPUT_NAME = "slices", "logits"


def export_onnx(network: CalcMapNet, path: Path, *, metadata: dict[str, str]) -> None:
    """Write a network as one ONNX file with metadata, and check it against torch.

    The number of slices, rows and columns stays open; rows and columns are multiples of ``network.config.stride``.

    Parameters
    ----------
    network : CalcMapNet
        Trained network; left in evaluation mode.
    path : Path
        The file to write.
    metadata : dict of str
        Stored in the file: task, sampling, training facts.

    Raises
    ------
    ModelError
        ONNX Runtime's logits differ from torch's by more than `PARITY_TOLERANCE`.
    """
    network.eval()
    side = 2 * network.config.stride
    example = torch.randn(3, network.config.in_channels, side, side, generator=torch.Generator().manual_seed(0))
    dimension = torch.export.Dim
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: dimension("slices", min=1), 2: dimension.AUTO, 3: dimension.AUTO},),
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            verbose=False,
        )
    if program is None:
        raise ModelError("torch.onnx.export returned no program")
    model = program.model_proto
    onnx.helper.set_model_props(model, metadata)
    onnx.save_model(model, str(path))
    _check_parity(network, path, example)


def _check_parity(network: CalcMapNet, path: Path, example: torch.Tensor) -> None:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for n_slices in (1, example.shape[0]):
        with torch.inference_mode():
            expected = network(example[:n_slices]).numpy()
        (found,) = session.run(None, {INPUT_NAME: example[:n_slices].numpy()})
        difference = float(np.abs(found - expected).max())
        if difference > PARITY_TOLERANCE:
            raise ModelError(f"ONNX logits differ from torch by {difference:.2g}, expected at most {PARITY_TOLERANCE}")
