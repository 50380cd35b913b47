"""`scripts/cross_validate.py`: what is held out together, and that nothing of it is trained on."""

from __future__ import annotations

import csv
import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch", reason="CROSS-VALIDATION NOT TESTED: torch is not installed (train extra)")

from calcmap.core.config import config_to_dict
from calcmap.core.errors import ConfigError
from calcmap.io.cases import Case, write_case
from calcmap.training.samples import SampleFacts
from stub_networks import write_networks
from training.small_cases import small_case

PROJECT = Path(__file__).resolve().parents[2]
CASES = (
    ("a0", "a0", "a"),
    ("a1", "a1", "a"),
    ("b0", "b0", "b"),
    ("b0-again", "b0", "b"),
    ("a1-planted", "a1", "planted"),
)
"""Name, group and site."""

Run = Callable[..., list[Path]]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT / "scripts"))
    import cross_validate

    return cross_validate


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    for seed, (name, group, site) in enumerate(CASES):
        volume, labels = small_case(coronary_px=2 + 4 * (seed % 2), seed=seed)
        write_case(folder / name, volume, labels, Case(name, "made for a test", "Apache-2.0", site=site, group=group))
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Path]:
    """Return settings that only have to load."""
    weights = {"heart": "[1.0, 1.0]", "calcium": "[1.0, 1.0, 1.0]"}
    for task, values in weights.items():
        text = f'task = "{task}"\n[loss]\nclass_weights = {values}\n'
        (tmp_path / f"{task}.toml").write_text(text, encoding="utf-8")
    return {task: tmp_path / f"{task}.toml" for task in weights}


@pytest.fixture
def run(
    script: ModuleType, data: Path, settings: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Return the program with two known networks in place of trained ones; it returns which parts were trained."""

    def stands_in(part: object, folder: Path, arguments: Namespace) -> None:
        trained.append(folder)
        write_networks(folder)

    monkeypatch.setattr(script, "train_without", stands_in)
    trained: list[Path] = []

    def run(*words: object) -> list[Path]:
        trained.clear()
        fixed = ["--data", data, "-o", tmp_path / "cv", "--cache", tmp_path / "cache"]
        files = ["--heart", settings["heart"], "--calcium", settings["calcium"]]
        script.main([str(word) for word in (*fixed, *files, *words)])
        return trained

    return run


def facts() -> list[SampleFacts]:
    return [SampleFacts(name, group, site, i % 2) for i, (name, group, site) in enumerate(CASES)]


def folders() -> list[Path]:
    return [Path(name) for name, _, _ in CASES]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("site", {"a": {"a0", "a1"}, "b": {"b0", "b0-again"}, "planted": {"a1-planted"}}),
        ("scan", {"a0": {"a0"}, "a1": {"a1", "a1-planted"}, "b0": {"b0", "b0-again"}}),
    ],
)
def test_what_is_held_out_together(script: ModuleType, by: str, expected: dict[str, set[str]]) -> None:
    parts = script.plan_parts(folders(), facts(), by=script.By(by), folds=5, seed=0)
    assert {part.name: {case.name for case in part.cases} for part in parts} == expected
    group = {name: group for name, group, _ in CASES}
    assert all({group[case.name] for case in part.cases} <= part.groups for part in parts)


def test_folds_hold_out_every_case_once_and_no_group_twice(script: ModuleType) -> None:
    parts = script.plan_parts(folders(), facts(), by=script.By.FOLD, folds=2, seed=0)
    assert [part.name for part in parts] == ["fold-0", "fold-1"]
    assert sorted(case for part in parts for case in part.cases) == sorted(folders())
    assert parts[0].groups.isdisjoint(parts[1].groups)


def test_one_site_alone_and_names_that_share_a_folder_are_refused(script: ModuleType) -> None:
    alike = [SampleFacts("1", "1", "a b", 0), SampleFacts("2", "2", "a_b", 0)]
    with pytest.raises(ConfigError, match="would share a folder: a b, a_b"):
        script.plan_parts(folders()[:2], alike, by=script.By.SITE, folds=5, seed=0)
    with pytest.raises(ConfigError, match="all cases are of one site"):
        script.plan_parts(folders()[:1], alike[:1], by=script.By.SITE, folds=5, seed=0)


def test_every_part_is_evaluated_on_its_own_cases_and_joined(run: Run, tmp_path: Path) -> None:
    cv = tmp_path / "cv"
    assert run("--by", "site") == [cv / "a", cv / "b", cv / "planted"]
    with (cv / "cases.csv").open(newline="", encoding="utf-8") as file:
        assert sorted(row["case_id"] for row in csv.DictReader(file)) == sorted(name for name, _, _ in CASES)
    with (cv / "b" / "cases.csv").open(newline="", encoding="utf-8") as file:
        assert [row["case_id"] for row in csv.DictReader(file)] == ["b0", "b0-again"]
    joint = json.loads((cv / "evaluation.json").read_text(encoding="utf-8"))
    assert joint["n"] == len(CASES)
    assert set(joint["weights_sha256"]) >= {
        f"{part}/{task}" for part in ["a", "b", "planted"] for task in ("heart", "calcium")
    }
    rows = (cv / "table.md").read_text(encoding="utf-8").splitlines()
    assert [line.split("|")[1].strip() for line in rows[2:6]] == ["a", "b", "planted", "all"]


def test_an_interrupted_run_goes_on_where_it_stopped_and_another_plan_is_refused(run: Run, tmp_path: Path) -> None:
    cv = tmp_path / "cv"
    run("--by", "scan")
    (cv / "b0" / "evaluation.json").unlink()
    assert run("--by", "scan") == [cv / "b0"]
    with pytest.raises(SystemExit, match="was begun with other cases or settings"):
        run("--by", "scan", "--steps", 3)


@pytest.mark.parametrize(("seen", "is_refused"), [(["a1-planted"], True), (["simulated"], False)])
def test_a_first_stage_that_saw_what_is_held_out_is_refused(
    run: Run, settings: dict[str, Path], tmp_path: Path, seen: list[str], is_refused: bool
) -> None:
    first = tmp_path / "first" / "best.pt"
    text = settings["heart"].read_text(encoding="utf-8")
    settings["heart"].write_text(f'init_from = "{first}"\n{text}', encoding="utf-8")
    with pytest.raises(SystemExit, match=r"without cases.json beside it"):
        run("--by", "scan")
    first.parent.mkdir()
    cases = {"training": seen, "held_out": []}
    (first.parent / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    if not is_refused:
        assert len(run("--by", "scan")) == 3
        return
    with pytest.raises(SystemExit, match="was trained with 1 of the groups that are held out, such as a1"):
        run("--by", "scan")


def test_trainings_leave_the_groups_and_the_site_out_and_take_the_further_data(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    class Training:
        def __init__(self, command: list[object], **_: object) -> None:
            started.append([str(word) for word in command[3:]])

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(script.subprocess, "Popen", Training)
    monkeypatch.setattr(script.subprocess, "run", lambda command, check: None)
    words = ["--data", "real", "--also", "sim", "--by", "site", "-o", "cv", "--steps", "7", "--heart", "h.toml"]
    part = script.Part("a", (), frozenset({"g1", "g2"}), "a")
    (tmp_path / "calcium").mkdir()
    (tmp_path / "calcium" / "last.pt").touch()
    script.train_without(part, tmp_path, script._parse(words))
    heart, calcium = (" ".join(command) for command in started)
    assert heart.startswith("train heart --config h.toml")
    assert "--data real --data sim --exclude g1 --exclude g2 --exclude-site a" in heart
    assert "--steps 7" in heart
    assert ("--resume" in heart, "--resume" in calcium) == (False, True)
    monkeypatch.setattr(Training, "wait", lambda self: 1)
    with pytest.raises(script.JobError, match="training of heart and calcium failed"):
        script.train_without(part, tmp_path, script._parse(words))


def test_the_settings_page_is_what_the_settings_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "scripts"))
    import settings_table
    from calcmap.training.config import Task, TrainConfig

    tables = settings_table.settings_tables()
    page = (PROJECT / "docs" / "reference" / "training.md").read_text(encoding="utf-8")
    order = "run: python scripts/settings_table.py --page docs/reference/training.md"
    assert f"<!-- SETTINGS -->\n{tables}\n<!-- /SETTINGS -->" in page, order
    keys = set()
    for name, value in config_to_dict(TrainConfig(Task.HEART)).items():
        keys |= set(value) if isinstance(value, dict) and value else {name}
    assert {key for key in keys if f"`{key}`" not in tables} == set()
