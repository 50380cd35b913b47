from __future__ import annotations

import csv
import json
import logging
import math
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: torch is not installed (train extra)")

from calcmap.core.config import config_to_dict  # noqa: E402
from calcmap.core.errors import ConfigError, JobError, ModelError  # noqa: E402
from calcmap.networks.calcmap_net import count_parameters  # noqa: E402
from calcmap.segmentation.heart_grid import HeartGridConfig  # noqa: E402
from calcmap.training import loop  # noqa: E402
from calcmap.training.checkpoint import BEST, LAST, load_checkpoint  # noqa: E402
from calcmap.training.config import NetworkKind, NetworkSettings, Task, TrainConfig  # noqa: E402
from calcmap.training.logs import EVENT_FILES, METRICS_COLUMNS, METRICS_FILE  # noqa: E402
from calcmap.training.loop import (  # noqa: E402
    CASES_FILE,
    StepReport,
    build_network,
    draw_crops,
    learning_rate_at,
    train,
    training_loss,
)
from calcmap.training.samples import HeartSample, SampleFacts, load_samples  # noqa: E402
from calcmap.training.splitting import split_by_group  # noqa: E402
from calcmap.training.team import Team  # noqa: E402
from training.small_cases import STILL, small_config, write_small_cases  # noqa: E402

pytestmark = pytest.mark.torch

TEAM_MEMBER = Path(__file__).with_name("team_member.py")


class Stopped(Exception):
    """Stands for whatever ends a run in the middle."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with four cases and their samples."""
    work = tmp_path_factory.mktemp("work")
    write_small_cases(work / "data")
    return work


def run_training(work: Path, run: Path, config: TrainConfig, **changes: object) -> list[StepReport]:
    reports: list[StepReport] = []
    keywords = {"run": run, "cache": work / "cache", "on_step": reports.append} | changes
    train([work / "data"], config, **keywords)
    return reports


def stopped_at(step: int, reports: list[StepReport]) -> object:
    def listen(report: StepReport) -> None:
        reports.append(report)
        if report.step == step:
            raise Stopped

    return listen


def read_metrics(run: Path) -> list[list[str]]:
    return list(csv.reader((run / METRICS_FILE).read_text(encoding="utf-8").splitlines()))


def samples_of(groups: dict[str, int], *, per_group: int = 1) -> list[HeartSample]:
    empty = np.zeros((1, 2, 2), dtype=np.uint8)
    return [
        HeartSample(empty.astype(np.int16), empty, SampleFacts(f"{group}-{i}", group, "a", category))
        for group, category in groups.items()
        for i in range(per_group)
    ]


@pytest.mark.parametrize(
    ("task", "expected"),
    [(Task.HEART, (0.58135, 0.55170, 0.54339)), (Task.CALCIUM, (0.94402, 0.86341, 0.99624))],
)
def test_the_first_three_losses_are_as_they_were(
    work: Path, tmp_path: Path, task: Task, expected: tuple[float, float, float]
) -> None:
    config = small_config(task, steps=3)
    losses = [report.loss for report in run_training(work, tmp_path / "run", config)]
    assert losses == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("task", list(Task))
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(work: Path, tmp_path: Path, task: Task) -> None:
    config = small_config(task)
    whole = run_training(work, tmp_path / "whole", config)
    parts: list[StepReport] = []
    with pytest.raises(Stopped):
        run_training(work, tmp_path / "parts", config, on_step=stopped_at(3, parts))
    parts = parts[:2] + run_training(work, tmp_path / "parts", config, resume=True)
    assert parts == whole
    for name in (LAST, BEST):
        one, two = (load_checkpoint(tmp_path / run / name) for run in ("whole", "parts"))
        assert one["progress"] == two["progress"]
        assert all(torch.equal(one["network"][key], two["network"][key]) for key in one["network"])
        for key, moments in one["optimizer"]["state"].items():
            for moment, value in moments.items():
                assert torch.equal(value, two["optimizer"]["state"][key][moment])
    without_costs = [[row[:-2] for row in read_metrics(tmp_path / run)] for run in ("whole", "parts")]
    assert without_costs[0] == without_costs[1]


def test_a_run_killed_between_its_row_and_its_checkpoint_has_each_row_once(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, keep = small_config(), loop._keep
    monkeypatch.setattr(loop, "_keep", lambda *a, step, **kw: keep(*a, step=step, **kw) if step < 4 else _stop())
    with pytest.raises(Stopped):
        run_training(work, tmp_path / "run", config)
    assert [row[0] for row in read_metrics(tmp_path / "run")] == ["step", "2", "4"]
    monkeypatch.setattr(loop, "_keep", keep)
    run_training(work, tmp_path / "run", config, resume=True)
    assert [row[0] for row in read_metrics(tmp_path / "run")] == ["step", "2", "4", "6"]


def _stop() -> None:
    raise Stopped


def test_resuming_without_a_checkpoint_is_an_error_and_makes_no_folder(work: Path, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="there is no checkpoint"):
        run_training(work, tmp_path / "run", small_config(), resume=True)
    assert not (tmp_path / "run").exists()


def test_resuming_with_other_settings_is_an_error_that_names_them(work: Path, tmp_path: Path) -> None:
    run_training(work, tmp_path / "run", small_config(steps=2))
    with pytest.raises(JobError, match=r"other settings \(learning_rate, steps\)"):
        run_training(work, tmp_path / "run", small_config(steps=4, learning_rate=1e-3), resume=True)


def test_resuming_with_other_cases_is_an_error(work: Path, tmp_path: Path) -> None:
    run_training(work, tmp_path / "run", small_config(steps=2))
    other = write_small_cases(tmp_path / "other", n_groups=5)
    with pytest.raises(JobError, match="was started with other cases"):
        train([other], small_config(steps=2), run=tmp_path / "run", cache=work / "cache", resume=True)


def test_a_folder_that_holds_a_run_is_not_overwritten(work: Path, tmp_path: Path) -> None:
    run_training(work, tmp_path / "run", small_config(steps=2))
    with pytest.raises(JobError, match="already holds a run"):
        run_training(work, tmp_path / "run", small_config(steps=2))


def test_a_run_folder_holds_settings_cases_curve_and_checkpoints(work: Path, tmp_path: Path) -> None:
    config = small_config()
    reports = run_training(work, tmp_path / "run", config)
    run = tmp_path / "run"
    events = {path.name for path in run.glob(EVENT_FILES)}  # where tensorboard is installed
    assert {path.name for path in run.iterdir()} - events == {"config.json", CASES_FILE, METRICS_FILE, LAST, BEST}
    assert json.loads((run / "config.json").read_text(encoding="utf-8")) == config_to_dict(config)
    cases = json.loads((run / CASES_FILE).read_text(encoding="utf-8"))
    assert sorted(cases["training"] + cases["held_out"]) == [f"case-{group}-0" for group in range(4)]
    header, *rows = read_metrics(run)
    assert tuple(header) == METRICS_COLUMNS
    metrics = [report.metric for report in reports if report.metric is not None]
    assert [float(row[3]) for row in rows] == pytest.approx(metrics, rel=1e-5)
    assert float(rows[0][2]) == pytest.approx((reports[0].loss + reports[1].loss) / 2, rel=1e-5)
    assert load_checkpoint(run / BEST)["progress"]["best_metric"] == max(metrics)


@pytest.mark.parametrize("kind", ["clstm", "unet"])
@pytest.mark.parametrize("task", list(Task))
def test_comparators_train_by_the_same_recipe(work: Path, tmp_path: Path, kind: str, task: Task) -> None:
    size = NetworkSettings(kind=NetworkKind(kind), base_channels=2)
    grid = HeartGridConfig(in_plane_mm=6.0, slice_mm=12.0, size_px=32)
    config = small_config(task, steps=2, crops=1, crop_px=32, network=size, heart_grid=grid)
    (done,) = [report for report in run_training(work, tmp_path / "run", config) if report.metric is not None]
    assert 0 <= done.metric <= 1
    assert np.isfinite(done.loss)


def test_the_published_calcium_network_keeps_its_size_in_training() -> None:
    config = small_config(Task.CALCIUM, crop_px=16, network=NetworkSettings(kind=NetworkKind.CLSTM))
    assert count_parameters(build_network(config)) == 6_014_910


def test_two_processes_train_the_network_of_one(work: Path, tmp_path: Path) -> None:
    """Started by torchrun, each takes one of two crops: the first step's gradients are those of both together."""
    config = small_config(steps=1, validate_every=1, augmentation=STILL)
    settings_file = tmp_path / "config.json"
    settings_file.write_text(json.dumps(config_to_dict(config)), encoding="utf-8")
    run_training(work, tmp_path / "one", config)
    order = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", str(TEAM_MEMBER)]
    arguments = [str(settings_file), str(work / "data"), str(tmp_path / "two"), str(work / "cache")]
    done = subprocess.run([sys.executable, *order, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (load_checkpoint(tmp_path / run / LAST)["optimizer"]["state"] for run in ("one", "two"))
    assert len(one) > 0
    for index, moments in one.items():  # after one step the first moment is the gradient, scaled
        torch.testing.assert_close(two[index]["exp_avg"], moments["exp_avg"], rtol=1e-3, atol=1e-7)


def test_crops_that_cannot_be_shared_out_are_refused(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = contextmanager(lambda device: (yield Team(0, 3, torch.device("cpu"))))
    monkeypatch.setattr(loop, "joined_team", three)
    with pytest.raises(ConfigError, match="crops is 2, expected a multiple of the 3 processes"):
        run_training(work, tmp_path / "run", small_config())


def test_training_learns_the_heart(work: Path, tmp_path: Path) -> None:
    config = small_config(steps=40, validate_every=40, learning_rate=2e-2, augmentation=STILL)
    (metric,) = [report.metric for report in run_training(work, tmp_path / "run", config) if report.metric is not None]
    assert metric > 0.8


def test_one_batch_is_learned_by_heart(work: Path) -> None:
    config = small_config(Task.CALCIUM, augmentation=STILL)
    samples = load_samples([work / "data"], task="calcium", grid=config.heart_grid, cache=work / "cache")
    crops = draw_crops(samples, config, step=1)
    network = build_network(config)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-2)
    settings_ = replace(config, loss=replace(config.loss, dice_weight=0.0))
    first = training_loss(network, crops, settings_).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss = training_loss(network, crops, settings_)
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 10


def test_a_loss_that_is_no_number_ends_the_run(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "training_loss", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(JobError, match="loss of step 1 is nan"):
        run_training(work, tmp_path / "run", small_config())
    assert not (tmp_path / "run" / LAST).exists()


def test_training_leaves_torch_as_it_was(work: Path, tmp_path: Path) -> None:
    before, state = torch.get_num_threads(), torch.random.get_rng_state()
    run_training(work, tmp_path / "run", small_config(steps=1, threads=3))
    assert torch.get_num_threads() == before
    assert torch.equal(torch.random.get_rng_state(), state)


def test_excluded_groups_take_no_part(work: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="calcmap"):
        run_training(work, tmp_path / "run", small_config(steps=1, exclude_groups=("group-2", "nobody")))
    cases = json.loads((tmp_path / "run" / CASES_FILE).read_text(encoding="utf-8"))
    assert "case-2-0" not in cases["training"] + cases["held_out"]
    assert "no case belongs to the excluded group(s) nobody" in caplog.text


def test_a_start_from_another_run_takes_its_weights(work: Path, tmp_path: Path) -> None:
    run_training(work, tmp_path / "first", small_config(steps=2))
    best = tmp_path / "first" / BEST
    network = build_network(small_config(seed=77, init_from=best))
    expected = load_checkpoint(best)["network"]
    assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())
    other = NetworkSettings(level_channels=(4, 8), lstm_level=1, lstm_channels=2)
    with pytest.raises(ModelError, match="another network"):
        build_network(small_config(init_from=best, network=other))
    with pytest.raises(JobError, match="there is no checkpoint"):
        build_network(small_config(init_from=tmp_path / "gone.pt"))


def test_first_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = build_network(small_config(seed=5))
    torch.manual_seed(2)
    two, other = build_network(small_config(seed=5)), build_network(small_config(seed=6))
    assert torch.equal(one.head.weight, two.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)


@settings(deadline=None, max_examples=60)
@given(
    categories=st.lists(st.integers(0, 3), min_size=2, max_size=40),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
)
def test_a_split_never_splits_a_group_and_has_two_sides(categories: list[int], share: float, seed: int) -> None:
    samples = samples_of({f"g{i}": category for i, category in enumerate(categories)}, per_group=2)
    training, held_out = split_by_group(samples, share=share, seed=seed)
    sides = [{sample.facts.group for sample in side} for side in (training, held_out)]
    assert sides[0].isdisjoint(sides[1])
    assert all(sides)
    assert len(training) + len(held_out) == len(samples)
    assert split_by_group(samples[::-1], share=share, seed=seed)[1] == held_out[::-1]


@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.integers(8, 40), min_size=4, max_size=4), seed=st.integers(0, 99))
def test_a_split_keeps_categories_alike(sizes: list[int], seed: int) -> None:
    groups = {f"{category}-{i}": category for category, size in enumerate(sizes) for i in range(size)}
    _, held_out = split_by_group(samples_of(groups), share=0.25, seed=seed)
    for category, size in enumerate(sizes):
        n_held_out = sum(sample.facts.category == category for sample in held_out)
        assert abs(n_held_out - size / 4) <= 1


def test_another_seed_holds_out_others() -> None:
    samples = samples_of({f"g{i}": 0 for i in range(40)})
    sides = [{s.facts.group for s in split_by_group(samples, share=0.2, seed=seed)[1]} for seed in (0, 1)]
    assert sides[0] != sides[1]
    assert [len(side) for side in sides] == [8, 8]


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_groups_cannot_be_split(n: int) -> None:
    with pytest.raises(ConfigError, match=f"{n} group"):
        split_by_group(samples_of({f"g{i}": 0 for i in range(n)}, per_group=3), share=0.2, seed=0)


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    config = small_config(steps=102, warmup_steps=2, learning_rate=1.0)
    rates = [learning_rate_at(step, config) for step in range(103)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[52] == pytest.approx(0.5)
    assert rates[27] == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert rates[102] == pytest.approx(0.0)
    assert all(before >= after for before, after in pairwise(rates[1:]))


def test_a_run_without_warm_up_begins_at_the_full_rate() -> None:
    assert learning_rate_at(0, small_config(warmup_steps=0, learning_rate=0.25)) == 0.25
