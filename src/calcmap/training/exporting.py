"""The network file of a finished run."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from calcmap import __version__
from calcmap.core.config import config_sha256
from calcmap.networks.calcmap_net import count_parameters
from calcmap.networks.export import export_onnx
from calcmap.training.checkpoint import BEST, LAST, config_of, load_checkpoint, load_network_weights
from calcmap.training.config import TrainConfig
from calcmap.training.loop import build_network


def export_run(run: Path, out: Path | None = None, *, use_last: bool = False) -> Path:
    """Return the path of the ONNX file written from a run's best (or last) checkpoint.

    Parameters
    ----------
    run : Path
        Run folder.
    out : Path or None
        File to write; ``<run>/<task>.onnx`` when ``None``.
    use_last : bool
        Take the last checkpoint, not the best by validation.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    JobError
        The run has no checkpoint.
    OutputError
        The file cannot be written.
    ModelError
        The checkpoint is damaged, or the file disagrees with torch.
    """
    source = run / (LAST if use_last else BEST)
    content = load_checkpoint(source)
    config = config_of(content, where=str(source))
    network = build_network(_without_start(config))
    load_network_weights(network, content, where=source)
    path = out or run / f"{config.task.value}.onnx"
    metadata = {
        "task": config.task.value,
        "stride": str(network.config.stride),
        "heart_grid": json.dumps(asdict(config.heart_grid)),
        "network": json.dumps({**asdict(network.config), "reach": network.config.reach}),
        "sees_heart": json.dumps(config.network.sees_heart),
        "parameters": str(count_parameters(network)),
        "step": str(content["progress"]["step"]),
        "validation_metric": f"{content['progress']['best_metric']:.6f}",
        "config_sha256": config_sha256(config),
        "calcmap_version": __version__,
    }
    export_onnx(network, path, metadata=metadata)
    return path


def _without_start(config: TrainConfig) -> TrainConfig:
    """Return the settings without their starting checkpoint: it may be gone, and its weights are replaced anyway."""
    return replace(config, init_from=None)
