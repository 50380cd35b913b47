"""What a training step costs, by network: processor time and memory; and settings that give all networks equal time.

    python scripts/training_cost.py configs/heart.toml configs/heart_clstm.toml configs/heart_unet.toml \\
        [--steps 5] [--minutes 60 -o runs/configs]

Each network takes a few steps, with the crops of its own settings, in a process of its own and on one core. With
--minutes the settings are written to OUT with as many steps as fit into that much processor time; the run itself stays
a matter of steps, so that it can be resumed and repeated to the bit. Crops are cut from a made-up case: their making is
counted, for it takes its share of a small network's step. Validation is not.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calcmap.benchmark.launching import WORKER_ENVIRONMENT, launch
from calcmap.core.config import config_from_dict, config_to_dict
from calcmap.core.memory import peak_rss_mb
from kept_rows import table

if TYPE_CHECKING:
    from calcmap.training.config import TrainConfig
    from calcmap.training.samples import CalciumSample, HeartSample

UNCOUNTED_STEPS = 1
"""The first step takes its memory and makes the optimiser's; it is slower."""
PRACTICE_SLICES = 50
"""Of the made-up case: about those of a heart's box, or of a scan on the coarse grid."""
PRACTICE_CALCIUM_PX = 160
PRACTICE_SPACING_MM_ZYX = (3.3, 0.98, 0.98)


@dataclass(frozen=True)
class TrainingCost:
    """What the training of one network costs."""

    parameters: int
    cpu_seconds_per_step: float
    """Median."""
    startup_mb: float
    """Most memory held before there was a network: libraries and the made-up case."""
    peak_mb: float

    @property
    def added_mb(self) -> float:
        """Memory of network, gradients, optimiser and activations."""
        return self.peak_mb - self.startup_mb


def main() -> None:
    """Measure, print a table, and write settings of equal time if asked."""
    arguments = _parse()
    if arguments.answer is not None:
        cost = measure(config_from_dict(json.loads(arguments.order), _config_type(), where="order"), arguments.steps)
        arguments.answer.write_text(json.dumps(asdict(cost)), encoding="utf-8")
        return
    costs = {path: training_cost(load(path), steps=arguments.steps) for path in arguments.configs}
    sys.stdout.write(cost_table(costs) + "\n")
    if arguments.minutes is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        for path, cost in costs.items():
            steps = max(1, round(arguments.minutes * 60 / cost.cpu_seconds_per_step))
            (arguments.out / path.name).write_text(with_steps(path.read_text(encoding="utf-8"), steps=steps), "utf-8")


def training_cost(config: TrainConfig, *, steps: int) -> TrainingCost:
    """Return the cost of a training, measured in a process of its own."""
    order = json.dumps({name: value for name, value in config_to_dict(config).items() if value is not None})
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, __file__, "--order", order, "--answer", answer, "--steps", str(steps)]
        launched = launch(command, environment=WORKER_ENVIRONMENT | {"OMP_NUM_THREADS": "1"})
        if launched.exit_code != 0:
            raise SystemExit(f"measuring a training failed: {launched.errors.strip() or launched.exit_code}")
        return TrainingCost(**json.loads(answer.read_text(encoding="utf-8")))


def measure(config: TrainConfig, steps: int) -> TrainingCost:
    """Return what some training steps cost in this process; the first is not counted."""
    import torch

    from calcmap.networks.calcmap_net import count_parameters
    from calcmap.training.loop import MAX_GRADIENT_NORM, build_network, draw_crops, training_loss

    torch.set_num_threads(config.threads)
    samples = [practice_sample(config)]
    startup_mb = peak_rss_mb()
    network = build_network(config).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    seconds = []
    for step in range(UNCOUNTED_STEPS + steps):
        started = time.process_time()
        loss = training_loss(network, draw_crops(samples, config, step=step), config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), max_norm=MAX_GRADIENT_NORM)
        optimizer.step()
        seconds.append(time.process_time() - started)
    return TrainingCost(
        parameters=count_parameters(network),
        cpu_seconds_per_step=float(np.median(seconds[UNCOUNTED_STEPS:])),
        startup_mb=startup_mb,
        peak_mb=peak_rss_mb(),
    )


def practice_sample(config: TrainConfig) -> HeartSample | CalciumSample:
    """Return a made-up case of usual size: soft tissue with noise, some calcium, and a heart in its middle."""
    from calcmap.training.config import Task
    from calcmap.training.samples import CalciumSample, HeartSample, SampleFacts

    facts = SampleFacts("practice", "practice", "practice", 1)
    side = config.heart_grid.size_px if config.task is Task.HEART else PRACTICE_CALCIUM_PX
    rng = np.random.default_rng(config.seed)
    ct_hu_zyx = np.rint(rng.normal(40.0, 20.0, (PRACTICE_SLICES, side, side))).astype(np.int16)
    z, y, x = np.ogrid[-1.0 : 1.0 : PRACTICE_SLICES * 1j, -1.0 : 1.0 : side * 1j, -1.0 : 1.0 : side * 1j]
    heart_zyx = z**2 + y**2 + x**2 < 0.8
    if config.task is Task.HEART:
        return HeartSample(ct_hu_zyx, heart_zyx.astype(np.uint8) * np.uint8(255), facts)
    target_zyx = np.zeros(ct_hu_zyx.shape, dtype=np.uint8)
    target_zyx[::5, side // 2, side // 2 : side // 2 + 4] = 1
    ct_hu_zyx[target_zyx == 1] = 400
    return CalciumSample(ct_hu_zyx, heart_zyx, target_zyx, PRACTICE_SPACING_MM_ZYX, facts)


def load(path: Path) -> TrainConfig:
    """Return the settings of a TOML file, started from scratch and on one core."""
    from dataclasses import replace

    from calcmap.core.config import load_config

    return replace(load_config(path, _config_type()), init_from=None, threads=1)


def with_steps(text: str, *, steps: int) -> str:
    """Return the text of a settings file with another number of steps, validations as many as before.

    Raises
    ------
    SystemExit
        The text does not name both on lines of their own.
    """
    values: dict[str, int] = {}
    for name in ("steps", "validate_every"):
        found = re.findall(rf"^{name} = (\d+)$", text, flags=re.MULTILINE)
        if len(found) != 1:
            raise SystemExit(f"the settings name {name} {len(found)} times, expected once")
        values[name] = int(found[0])
    every = max(1, round(steps * values["validate_every"] / values["steps"]))
    text = re.sub(r"^steps = \d+$", f"steps = {steps}", text, flags=re.MULTILINE)
    return re.sub(r"^validate_every = \d+$", f"validate_every = {every}", text, flags=re.MULTILINE)


def cost_table(costs: dict[Path, TrainingCost]) -> str:
    """Return the costs as Markdown, ratios to the first row's beside them."""
    first = next(iter(costs.values()))
    heads = ["settings", "parameters", "processor s a step", "ratio", "peak MB", "added by the training, MB", "ratio"]
    rows = [
        [
            path.name,
            f"{cost.parameters:,}",
            f"{cost.cpu_seconds_per_step:.2f}",
            f"{cost.cpu_seconds_per_step / first.cpu_seconds_per_step:.1f}",
            f"{cost.peak_mb:.0f}",
            f"{cost.added_mb:.0f}",
            f"{cost.added_mb / first.added_mb:.2f}",
        ]
        for path, cost in costs.items()
    ]
    return table(heads, rows)


def _config_type() -> Any:
    from calcmap.training.config import TrainConfig

    return TrainConfig


def _parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", type=Path, nargs="*")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--minutes", type=float, help="processor time that each network may train for")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/configs"))
    parser.add_argument("--order", help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
