"""A network file loaded for inference on a CPU."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime

from calcmap.core.errors import ModelError
from calcmap.core.machine import usable_cores
from calcmap.core.volume import Float32Array

PROVIDER = ("CPUExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"})
"""The arena grows by what is asked for; by default it would double each time."""
WEIGHTS_FOLDER = "weights"
HEART_FILE, CALCIUM_FILE = "heart.onnx", "calcium.onnx"
REQUIRED_METADATA = {"heart": ("stride", "heart_grid"), "calcium": ("stride", "network")}
"""What a network file has to say of itself, by task."""
MIN_PART_SLICES = 4
"""A stack is not split into parts smaller than this: each part reads its neighbours' slices again (our choice)."""
MAX_PART_SLICES = 24
"""Nor are parts larger, however many slices there are, so that memory stays within bounds (our choice)."""


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
    threads : int
        Parts of a stack that are run at a time. The session itself runs on one thread then.
    reach : int or None
        Neighbours on each side that change a slice's logits; ``None`` where that is not known, and stacks stay whole.
    """

    session: onnxruntime.InferenceSession
    sha256: str
    metadata: dict[str, str]
    threads: int = 1
    reach: int | None = None

    def logits(self, slices_schw: Float32Array) -> Float32Array:
        """Return logits (s, classes, h, w) of slices (s, channels, h, w), padded to the stride and cut back.

        Padding repeats the border, so that no edge appears that the scan does not have. A long stack is run in parts,
        ``threads`` at a time, each with the neighbours that its first and last slices look at: the logits are those of
        the whole stack.

        Parameters
        ----------
        slices_schw : ndarray of float32, shape (s, channels, h, w)
            Consecutive slices, as the network was trained to see them.

        Returns
        -------
        ndarray of float32, shape (s, classes, h, w)
            Raw output; a larger value means a likelier class.
        """
        parts = self._parts(len(slices_schw))
        if len(parts) == 1:
            return self._run(slices_schw)
        with ThreadPoolExecutor(min(self.threads, len(parts))) as pool:
            return np.concatenate(list(pool.map(lambda part: self._run_part(slices_schw, part), parts)))

    def _parts(self, n_slices: int) -> list[tuple[int, int]]:
        """Return half-open ranges of slices, as even as can be, a multiple of the threads in number."""
        if self.reach is None:
            return [(0, n_slices)]
        rounds = -(-n_slices // (self.threads * MAX_PART_SLICES))
        n_parts = max(1, min(self.threads * rounds, n_slices // MIN_PART_SLICES))
        edges = [n_slices * part // n_parts for part in range(n_parts + 1)]
        return list(pairwise(edges))

    def _run_part(self, slices_schw: Float32Array, part: tuple[int, int]) -> Float32Array:
        first, last = part
        low, high = max(0, first - (self.reach or 0)), min(len(slices_schw), last + (self.reach or 0))
        return self._run(slices_schw[low:high])[first - low : last - low]

    def _run(self, slices_schw: Float32Array) -> Float32Array:
        rows, columns = slices_schw.shape[-2:]
        stride = int(self.metadata["stride"])
        below, beside = -rows % stride, -columns % stride
        if below or beside:
            slices_schw = np.pad(slices_schw, ((0, 0), (0, 0), (0, below), (0, beside)), mode="edge")
        (logits,) = self.session.run(None, {self.session.get_inputs()[0].name: slices_schw})
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
    try:
        session = onnxruntime.InferenceSession(content, _session_options(), providers=[PROVIDER])
    except Exception as error:  # ONNX Runtime's own errors share no other base class
        raise ModelError(f"{path} is not a network that ONNX Runtime can load: {type(error).__name__}") from error
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    if metadata.get("task") != task:
        raise ModelError(f"{path} is made for task {metadata.get('task')!r}, expected {task!r}")
    missing = [key for key in REQUIRED_METADATA[task] if key not in metadata]
    if missing:
        raise ModelError(f"{path} does not say {', '.join(missing)}; export it with `calcmap export`")
    sha256 = hashlib.sha256(content).hexdigest()
    return Engine(session, sha256, metadata, threads=threads or usable_cores(), reach=_stated_reach(metadata))


def _session_options() -> onnxruntime.SessionOptions:
    """Return the options of a session that runs on the thread that calls it, and keeps its memory for the next run."""
    options = onnxruntime.SessionOptions()
    # Threads each run a part of the stack, which is quicker than sharing every layer between them: the layers that only
    # copy are shared too, and nobody waits for the slower half of each layer.
    options.intra_op_num_threads = 1
    # Memory that is kept need not be taken from the system again for every layer, a quarter of the time; a plan of all
    # of a run's memory would be made anew for each size of stack, and come on top.
    options.enable_cpu_mem_arena = True
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors only
    return options


def _stated_reach(metadata: dict[str, str]) -> int | None:
    """Return how many neighbours on each side a network looks at; ``None`` where its file does not say."""
    try:
        return int(json.loads(metadata["network"])["reach"])
    except (KeyError, TypeError, ValueError):
        return None


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
