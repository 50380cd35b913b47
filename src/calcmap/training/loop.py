"""Training from top to bottom: samples, network, steps, validation, run folder."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from calcmap.core.config import config_to_dict
from calcmap.core.errors import ConfigError, JobError
from calcmap.networks.calcmap_net import CalcMapNet, CalcMapNetConfig, count_parameters
from calcmap.networks.windows import Comparator, StackNet, WindowedNet, WindowedNetConfig
from calcmap.training.checkpoint import (
    BEST,
    LAST,
    Progress,
    load_checkpoint,
    load_network_weights,
    save_checkpoint,
)
from calcmap.training.config import NetworkKind, TrainConfig
from calcmap.training.crops import Crop, calcium_crop, draw_cases, heart_crop
from calcmap.training.logs import MetricsRow, RunLogs, open_logs
from calcmap.training.losses import focal_loss, soft_dice_loss
from calcmap.training.samples import HeartSample, load_samples
from calcmap.training.splitting import Sample, Split, split_samples
from calcmap.training.team import Team, autocast, joined_team, peak_memory_mb, share_gradients
from calcmap.training.validation import validate

logger = logging.getLogger(__name__)

CASES_FILE = "cases.json"
UNSET = {"folds": 0, "fold": 0, "exclude_sites": [], "validation_sites": []}
"""Settings that runs of earlier versions do not name, as those versions behaved."""
MAX_GRADIENT_NORM = 5.0
"""Gradients are scaled down to this norm, so that one odd crop cannot throw the weights far (our choice)."""


@dataclass(frozen=True)
class StepReport:
    """What a caller may show after each step.

    Parameters
    ----------
    step, steps : int
        Steps done, and steps in all.
    loss : float
        Training loss of this step.
    metric : float or None
        Validation metric, on the steps that validate; higher is better.
    """

    step: int
    steps: int
    loss: float
    metric: float | None


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Parameters
    ----------
    progress : Progress
        Last step, best validation metric and its step.
    n_training, n_held_out : int
        Cases that were trained on, and those it was validated on.
    steps_taken : int
        Since the run was started or resumed; the figures below are of these.
    seconds : float
        Of steps, validations and checkpoints; preparing the samples is not counted.
    peak_memory_mb : float
        Of the GPU, or on a CPU of the whole process, samples included. Not a number where the system does not count it.
    """

    progress: Progress
    n_training: int
    n_held_out: int
    steps_taken: int
    seconds: float
    peak_memory_mb: float


def train(
    folders: Sequence[Path],
    config: TrainConfig,
    *,
    run: Path,
    cache: Path,
    resume: bool = False,
    on_step: Callable[[StepReport], None] = lambda report: None,
) -> TrainResult:
    """Train one network and leave a run folder: settings, cases, loss curve, last and best checkpoint.

    Each step's crops are a pure function of the seed and the step, so a resumed run sees what an uninterrupted one
    would have seen and ends with the same weights, bit for bit, on the same machine and thread count.

    Under ``torchrun`` each process takes its share of every step's crops, and the gradients are averaged; the number
    of processes must divide ``crops``. The first process alone validates and writes.

    Parameters
    ----------
    folders : sequence of Path
        Where cases lie.
    config : TrainConfig
        Settings.
    run : Path
        Run folder; made when absent.
    cache : Path
        Where samples are kept between runs.
    resume : bool
        Go on from the run folder's last checkpoint.
    on_step : callable
        Called after every step.

    Returns
    -------
    TrainResult
        What the run has reached and what it cost.

    Raises
    ------
    JobError
        ``resume`` without a checkpoint, with other settings or with other cases; a run folder that already holds a run;
        or a loss that is no longer a number.
    ConfigError
        No cases, too few groups to hold some out, no GPU where one is asked for, or crops that cannot be shared out.
    ModelError
        A checkpoint is damaged or of another network.
    """
    with joined_team(config.device) as team, _torch_threads(config.threads):
        if config.crops % team.size:
            raise ConfigError(f"crops is {config.crops}, expected a multiple of the {team.size} processes")
        network = build_network(config).to(team.device)
        optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        # Before the samples are made, which takes minutes: a run that cannot begin or go on says so at once.
        progress = _resume(run, network, optimizer, config) if resume else _begin(run, config, team)
        samples = load_samples(folders, task=config.task, grid=config.heart_grid, cache=cache)
        split = split_samples(samples, config)
        if team.is_first:
            _keep_cases(run, split)
        logger.info(
            "training %s: %d + %d cases, %d parameters, from step %d, on %s",
            config.task,
            len(split.training),
            len(split.held_out),
            count_parameters(network),
            progress.step,
            team.device,
        )
        started = time.perf_counter()
        with open_logs(run, config, step=progress.step) if team.is_first else nullcontext(RunLogs(())) as logs:
            reached = _fit(
                split,
                config,
                run=run,
                team=team,
                learner=(network, optimizer),
                progress=progress,
                logs=logs,
                on_step=on_step,
            )
        return TrainResult(
            progress=reached,
            n_training=len(split.training),
            n_held_out=len(split.held_out),
            steps_taken=config.steps - progress.step,
            seconds=time.perf_counter() - started,
            peak_memory_mb=peak_memory_mb(team),
        )


def build_network(config: TrainConfig) -> StackNet:
    """Return the network of a run with its seeded, or given, first weights; the global random state is left alone.

    Raises
    ------
    ConfigError
        The network's size makes no sense.
    JobError, ModelError
        ``init_from`` is not there, damaged, or of a network of another size.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = _new_network(config)
    if config.init_from is not None:
        load_network_weights(network, load_checkpoint(config.init_from), where=config.init_from)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _new_network(config: TrainConfig) -> StackNet:
    own = config.network
    if own.kind is not NetworkKind.CALCMAP:
        kind = Comparator(own.kind.value)
        return WindowedNet(WindowedNetConfig(kind, config.in_channels, config.n_classes, own.base_channels))
    size = CalcMapNetConfig(
        in_channels=config.in_channels,
        n_classes=config.n_classes,
        level_channels=own.level_channels,
        lstm_level=own.lstm_level,
        lstm_channels=own.lstm_channels,
        reach=own.reach,
        neighbours=own.neighbours,
    )
    return CalcMapNet(size)


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """Return the learning rate of a step: linear warm-up, then a cosine to zero at the last step."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))


def training_loss(network: nn.Module, crops: Sequence[Crop], config: TrainConfig) -> Tensor:
    """Return the mean loss of some crops; each stack of slices counts alike, however much of it is masked."""
    device = next(network.parameters()).device
    weights = torch.tensor(config.loss.class_weights, device=device)
    losses = []
    for crop in crops:
        target_schw, mask_shw = crop.target_schw.to(device), crop.mask_shw.to(device)
        logits = network(crop.input_schw.to(device).contiguous(memory_format=torch.channels_last)).float()
        loss = focal_loss(logits, target_schw, gamma=config.loss.focal_gamma, class_weights_c=weights, mask_sh=mask_shw)
        if config.loss.dice_weight > 0:
            loss = loss + config.loss.dice_weight * soft_dice_loss(logits, target_schw[:, 1])
        losses.append(loss)
    return torch.stack(losses).mean()


def draw_crops(
    samples: Sequence[Sample], config: TrainConfig, *, step: int, share: tuple[int, int] = (0, 1)
) -> list[Crop]:
    """Return the crops of one step: the same for the same seed, step and samples, whoever of a team makes which.

    Parameters
    ----------
    samples : sequence of HeartSample or of CalciumSample
        To draw from.
    config : TrainConfig
        Seed, number and kind of crops.
    step : int
        From 0.
    share : (int, int)
        Number of the process and how many there are: it makes every n-th crop.

    Returns
    -------
    list of Crop
        The process's own, in the order of their draw.

    Raises
    ------
    ConfigError
        Every case's site weighs nothing.
    """
    facts = [sample.facts for sample in samples]
    cases = np.random.default_rng([config.seed, 2, step])
    chosen = draw_cases(facts, config.crops, site_weights=config.site_weights, rng=cases)
    rank, size = share
    own = range(rank, config.crops, size)
    return [_crop(samples[chosen[i]], config, np.random.default_rng([config.seed, 3, step, i])) for i in own]


def _crop(sample: Sample, config: TrainConfig, rng: np.random.Generator) -> Crop:
    return heart_crop(sample, config, rng) if isinstance(sample, HeartSample) else calcium_crop(sample, config, rng)


def _fit(
    split: Split,
    config: TrainConfig,
    *,
    run: Path,
    team: Team,
    learner: tuple[StackNet, torch.optim.Optimizer],
    progress: Progress,
    logs: RunLogs,
    on_step: Callable[[StepReport], None],
) -> Progress:
    network, optimizer = learner
    losses: list[float] = []
    started = time.perf_counter()
    for step in range(progress.step, config.steps):
        crops = draw_crops(split.training, config, step=step, share=(team.rank, team.size))
        loss = _train_step(network, optimizer, crops, config, step=step, team=team)
        losses.append(loss)
        metric = None
        if not team.is_first:
            continue
        logs.add_step(step + 1, loss)
        if (step + 1) % config.validate_every == 0 or step + 1 == config.steps:
            metric = validate(network, split.held_out)
            seconds = time.perf_counter() - started
            # The row comes before the checkpoint: a row too many is dropped on resuming, a lost one could not be made.
            mean_loss, rate = float(np.mean(losses)), learning_rate_at(step, config)
            logs.add_row(MetricsRow(step + 1, rate, mean_loss, metric, seconds, peak_memory_mb(team)))
            progress = _keep(run, network, optimizer, config, progress=progress, step=step + 1, metric=metric)
            losses.clear()
        on_step(StepReport(step + 1, config.steps, loss, metric))
    return progress


def _train_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    crops: Sequence[Crop],
    config: TrainConfig,
    *,
    step: int,
    team: Team,
) -> float:
    network.train()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate_at(step, config)
    optimizer.zero_grad(set_to_none=True)
    with autocast(team, mixed_precision=config.mixed_precision):
        loss = training_loss(network, crops, config)
    if not torch.isfinite(loss):
        raise JobError(f"the loss of step {step + 1} is {loss.item()}; a smaller learning_rate may help")
    loss.backward()  # type: ignore[no-untyped-call]
    share_gradients(network, team)
    torch.nn.utils.clip_grad_norm_(network.parameters(), max_norm=MAX_GRADIENT_NORM)
    optimizer.step()
    return float(loss.detach())


def _keep(
    run: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    *,
    progress: Progress,
    step: int,
    metric: float,
) -> Progress:
    """Write the last checkpoint, and the best one when the metric is at least as good as any before."""
    is_best = metric >= progress.best_metric
    progress = Progress(step, metric if is_best else progress.best_metric, step if is_best else progress.best_step)
    save_checkpoint(run / LAST, network=network, optimizer=optimizer, progress=progress, config=config)
    if is_best:
        save_checkpoint(run / BEST, network=network, optimizer=optimizer, progress=progress, config=config)
    return progress


@contextmanager
def _torch_threads(n: int) -> Iterator[None]:
    """Let torch use ``n`` cores, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _keep_cases(run: Path, split: Split) -> None:
    """Write which cases a run trains on and which it holds out; a resumed run must have the same."""
    cases = {
        "training": sorted(sample.facts.case_id for sample in split.training),
        "held_out": sorted(sample.facts.case_id for sample in split.held_out),
    }
    path = run / CASES_FILE
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != cases:
        raise JobError(f"{run} was started with other cases (see {CASES_FILE}); a resumed run keeps its cases")
    path.write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")


def _begin(run: Path, config: TrainConfig, team: Team) -> Progress:
    begun = Progress(step=0, best_metric=-math.inf, best_step=0)
    if not team.is_first:
        return begun
    if (run / LAST).exists():
        raise JobError(f"{run} already holds a run; resume it or name another folder")
    run.mkdir(parents=True, exist_ok=True)
    (run / CASES_FILE).unlink(missing_ok=True)  # of a run that ended before its first checkpoint
    (run / "config.json").write_text(json.dumps(config_to_dict(config), indent=1) + "\n", encoding="utf-8")
    return begun


def _resume(run: Path, network: nn.Module, optimizer: torch.optim.Optimizer, config: TrainConfig) -> Progress:
    content = load_checkpoint(run / LAST)
    asked, started_with = config_to_dict(config), UNSET | content["config"]
    if started_with != asked:
        changed = sorted(key for key in asked.keys() | started_with.keys() if asked.get(key) != started_with.get(key))
        raise JobError(
            f"{run} was started with other settings ({', '.join(changed)}); a resumed run keeps its settings"
        )
    load_network_weights(network, content, where=run / LAST)
    optimizer.load_state_dict(content["optimizer"])
    return Progress(**content["progress"])
