"""From a torch network to the ONNX file that is served."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from calcmap.core.errors import ModelError, OutputError
from calcmap.networks.half_resolution import finish_at_half_resolution
from calcmap.networks.windows import StackNet

PARITY_TOLERANCE = 1e-3
"""Largest difference of a logit between torch and ONNX Runtime (float32 sums in another order; our choice)."""
INPUT_NAME, OUTPUT_NAME = "slices", "logits"


def export_onnx(network: StackNet, path: Path, *, metadata: dict[str, str]) -> None:
    """Write a network as one ONNX file with metadata, after checking it against torch.

    The last stage of a `CalcMapNet` is rearranged for speed, see `half_resolution`; the check comes after that.
    The number of slices, rows and columns stays open; rows and columns are multiples of ``network.config.stride``. The
    file is written aside and renamed once the check has passed, so that a network which disagrees is never there.

    Parameters
    ----------
    network : StackNet
        Trained network; left in evaluation mode.
    path : Path
        The file to write; its folder is made when absent.
    metadata : dict of str
        Stored in the file: task, sampling, training facts.

    Raises
    ------
    ModelError
        ONNX Runtime's logits differ from torch's by more than `PARITY_TOLERANCE`, at the exported size or at another.
    OutputError
        The file cannot be written.
    """
    network.eval()
    model = _to_onnx(network)
    finish_at_half_resolution(model)
    onnx.helper.set_model_props(model, metadata)
    content = model.SerializeToString()
    _check_parity(network, content)
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def _to_onnx(network: StackNet) -> onnx.ModelProto:
    dimension = torch.export.Dim
    with _quiet_exporter():
        program = torch.onnx.export(
            network,
            (_example(network, n_slices=3, n_strides=2),),
            dynamo=True,
            dynamic_shapes=({0: dimension("slices", min=1), 2: dimension.AUTO, 3: dimension.AUTO},),
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            verbose=False,
        )
    if program is None:
        raise ModelError("torch.onnx.export returned no program")
    return program.model_proto


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence what the exporter says of its own deprecations and fallbacks, and leave log and warnings as they were."""
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exporter_log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            exporter_log.setLevel(level)


def _example(network: StackNet, *, n_slices: int, n_strides: int) -> torch.Tensor:
    """Return seeded noise of a size that the network takes."""
    side = n_strides * network.config.stride
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n_slices, network.config.in_channels, side, side, generator=generator)


def _check_parity(network: StackNet, content: bytes) -> None:
    """Raise unless torch and ONNX Runtime agree at sizes other than the exported one too."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for n_slices, n_strides in ((3, 2), (1, 1), (4, 3)):
        slices_schw = _example(network, n_slices=n_slices, n_strides=n_strides)
        with torch.inference_mode():
            expected = network(slices_schw).numpy()
        (found,) = session.run(None, {INPUT_NAME: slices_schw.numpy()})
        difference = float(np.abs(found - expected).max())
        if difference > PARITY_TOLERANCE:
            raise ModelError(f"ONNX logits differ from torch by {difference:.2g}, expected at most {PARITY_TOLERANCE}")
