"""``calcmap bench`` as a person types it; the measuring itself is put aside."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmark.made_report import MISSING, made_report
from calcmap.benchmark.figures import BenchReport
from calcmap.benchmark.run import BenchOptions, Stage
from calcmap.cli.main import app

Bench = Callable[..., Result]


@pytest.fixture
def asked() -> list[BenchOptions]:
    """Return what the command asked for."""
    return []


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, asked: list[BenchOptions]) -> Bench:
    """Return a function that runs the command with a report that is ready."""

    def run(*arguments: str, report: BenchReport | None = None) -> Result:
        def run_bench(options: BenchOptions, *, on_stage: Callable[[Stage], None]) -> BenchReport:
            asked.append(options)
            for stage in Stage:
                on_stage(stage)
            return report or made_report()

        monkeypatch.setattr("calcmap.benchmark.run.run_bench", run_bench)
        return CliRunner().invoke(app, ["bench", *arguments])

    return run


def test_tables_show_steps_processes_memory_and_networks(bench: Bench) -> None:
    ran = bench()
    assert ran.exit_code == 0
    for text in ("find", "heart", "812", "calcmap score", "2.12", "400", "12,029,302", "6 of 60 slices", "60 of 60"):
        assert text in ran.stdout
    shown = " ".join(ran.stdout.split())
    assert "60 slices of 512 x 512, increment 3.27 mm, scored" in shown
    assert "2 cores of a processor; Linux; Python 3.11.7, numpy 2.0, torch not installed" in shown
    assert "research use only" in shown


def test_the_comparison_is_said_in_words(bench: Bench) -> None:
    shown = " ".join(bench().stdout.split())
    assert "calcmap is 120.0 times faster than clstm in this run (0.50 s and 60.0 s a study)" in shown
    assert "with 153.3 times less processor time" in shown


def test_json_alone_reaches_the_output_stream(bench: Bench) -> None:
    printed = json.loads(bench("--json").stdout)
    assert printed["networks"]["clstm"]["seconds_per_study"] == 60.0


def test_what_was_not_measured_is_said_aloud(bench: Bench) -> None:
    networks = made_report().networks | {"clstm": MISSING, "unet": MISSING}
    for arguments in ((), ("--json",)):
        ran = bench(*arguments, report=made_report(networks=networks))
        assert "clstm was NOT measured: torch is not installed" in ran.stderr
        assert ran.exit_code == 0
    shown = " ".join(bench(report=made_report(networks=networks)).stdout.split())
    assert "not measured" in shown
    assert "unet was not measured: no comparison in this run" in shown


def test_a_study_without_a_score_ends_with_three(bench: Bench) -> None:
    refused = replace(made_report().study, status="refused", reason="no heart", is_simulated=False)
    ran = bench(report=made_report(study=refused))
    assert ran.exit_code == 3
    assert "no heart" in ran.stderr
    assert "\nstudy: 60 slices" in ran.stdout


def test_options_reach_the_benchmark(bench: Bench, asked: list[BenchOptions]) -> None:
    bench("--study", "s", "--weights", "w", "--keep", "k", "--repeats", "2", "--slices", "3")
    assert asked == [BenchOptions(study=Path("s"), weights=Path("w"), keep=Path("k"), repeats=2, slices=3)]


@pytest.mark.parametrize("option", ["--repeats", "--slices"])
def test_nothing_to_repeat_is_wrong_usage(bench: Bench, option: str) -> None:
    assert bench(option, "0").exit_code == 2
