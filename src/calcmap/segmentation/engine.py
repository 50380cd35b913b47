"""A network file loaded for inference on a CPU."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import onnxruntime

from calcmap.core.errors import ModelError
from calcmap.core.machine import usable_cores
from calcmap.core.volume import Float32Array

WEIGHTS_FOLDER = "weights"
HEART_FILE, CALCIUM_FILE = "heart.onnx", "calcium.onnx"
REQUIRED_METADATA = {"heart": ("stride", "heart_grid"), "calcium": ("stride", "network")}
"""What a network file has to say of itself, by task."""


@dataclass(frozen=True, eq=False)
class Engine:
    """One network, ready to run.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        The loaded network.
    sha256 : str
        Of the file, for provenance.
    metadata : dict of str
        What was written into the file at export.
    """

    session: onnxruntime.InferenceSession
    sha256: str
    metadata: dict[str, str]

    def logits(self, slices_schw: Float32Array) -> Float32Array:
        """Return logits (s, classes, h, w) of slices (s, channels, h, w), padded to the stride and cut back.

        Padding repeats the border, so that no edge appears that the scan does not have.

        Parameters
        ----------
        slices_schw : ndarray of float32, shape (s, channels, h, w)
            Consecutive slices, as the network was trained to see them.

        Returns
        -------
        ndarray of float32, shape (s, classes, h, w)
            Raw output; a larger value means a likelier class.
        """
        rows, columns = slices_schw.shape[-2:]
        stride = int(self.metadata["stride"])
        padding = ((0, 0), (0, 0), (0, -rows % stride), (0, -columns % stride))
        padded = np.pad(slices_schw, padding, mode="edge")
        (logits,) = self.session.run(None, {self.session.get_inputs()[0].name: padded})
        return np.asarray(logits, dtype=np.float32)[:, :, :rows, :columns]


def load_engine(path: Path, *, task: str, threads: int | None = None) -> Engine:
    """Return an engine from an ONNX file.

    Parameters
    ----------
    path : Path
        The network file.
    task : str
        ``"heart"`` or ``"calcium"``; must be what the file says of itself.
    threads : int or None
        Cores to use; all that the process may run on when ``None``.

    Returns
    -------
    Engine
        Ready to run on the CPU.

    Raises
    ------
    ModelError
        The file is missing, damaged, or made for another task.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the {task} network {path}: {error.strerror}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    # Without the arena a study peaks at about half the memory, and takes no longer.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3  # errors only
    # Spinning threads would take the second core from reading and writing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own errors share no other base class
        raise ModelError(f"{path} is not a network that ONNX Runtime can load: {type(error).__name__}") from error
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    if metadata.get("task") != task:
        raise ModelError(f"{path} is made for task {metadata.get('task')!r}, expected {task!r}")
    missing = [key for key in REQUIRED_METADATA[task] if key not in metadata]
    if missing:
        raise ModelError(f"{path} does not say {', '.join(missing)}; export it with `calcmap export`")
    return Engine(session, hashlib.sha256(content).hexdigest(), metadata)


def shipped_weights(file_name: str) -> Path:
    """Return the path of a network file inside the installed package.

    Raises
    ------
    ModelError
        The package was installed without it.
    """
    path = Path(str(resources.files("calcmap.segmentation").joinpath(WEIGHTS_FOLDER, file_name)))
    if not path.is_file():
        raise ModelError(f"the package holds no {WEIGHTS_FOLDER}/{file_name}; give the weights by name or reinstall")
    return path
