"""The pages say what is so: links lead somewhere, commands exist, examples run, every field and reason is explained."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from calcmap.core import errors, result, scan
from house.documents import (
    PROJECT,
    Block,
    anchors,
    blocks,
    commands,
    has_module,
    links,
    pages,
    sections,
    shell_blocks,
)

COMMANDS_PAGE = PROJECT / "docs" / "reference" / "commands.md"
RESULT_PAGE = PROJECT / "docs" / "reference" / "result.md"
GLOBAL_OPTIONS = {"--help", "--version", "--verbose"}
RESEARCH_USE = "research use"

needs_cli = pytest.mark.skipif(
    not has_module("calcmap.cli.main"),
    reason="NO COMMAND LINE YET: calcmap.cli.main is missing, its pages went unchecked",
)


def _name(page: Path) -> str:
    return str(page.relative_to(PROJECT))


def test_there_are_pages_and_examples() -> None:
    assert len(pages()) >= 10
    assert len(shell_blocks()) >= 10


@pytest.mark.parametrize("page", pages(), ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in links(page):
        file, _, anchor = target.partition("#")
        if "://" in file or file.startswith("mailto:"):
            continue
        goal = (page.parent / file).resolve() if file else page
        if not goal.exists() or (anchor and anchor not in anchors(goal)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", sorted((PROJECT / "docs").rglob("*.md")), ids=_name)
def test_every_page_is_reached_from_the_index(page: Path) -> None:
    index = PROJECT / "docs" / "index.md"
    reached = {(index.parent / target.partition("#")[0]).resolve() for target in links(index)}
    assert page == index or page in reached


@pytest.mark.parametrize("page", [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))], ids=_name)
def test_every_page_says_research_use_only(page: Path) -> None:
    assert RESEARCH_USE in page.read_text(encoding="utf-8").lower()


@pytest.mark.parametrize("block", shell_blocks(), ids=lambda block: block.id)
def test_shell_example_is_valid_shell(block: Block) -> None:
    run = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("block", shell_blocks(), ids=lambda block: block.id)
def test_make_targets_in_examples_exist(block: Block) -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    used = {word for words in commands(block) if words[0] == "make" for word in words[1:] if "=" not in word}
    assert used <= targets


@needs_cli
@pytest.mark.parametrize("block", shell_blocks(), ids=lambda block: block.id)
def test_calcmap_commands_in_examples_exist(block: Block) -> None:
    known = _cli_commands()
    for program, *words in commands(block):
        if Path(program).name != "calcmap":
            continue
        while words and words[0] in GLOBAL_OPTIONS:
            words.pop(0)
        if words:
            name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
            assert name in known
            used = {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}
            assert used <= _options(known[name]) | GLOBAL_OPTIONS, f"calcmap {name}"


@needs_cli
def test_every_command_has_its_section_and_no_other_does() -> None:
    documented = {title.removeprefix("calcmap ") for title in sections(COMMANDS_PAGE, level=2) if "calcmap " in title}
    assert documented == set(_cli_commands())


@needs_cli
def test_every_option_of_a_command_stands_in_its_section_and_no_other_does() -> None:
    texts = sections(COMMANDS_PAGE, level=2)
    for name, command in _cli_commands().items():
        documented = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", texts[f"calcmap {name}"]))
        options = {option for option in _options(command) if option.startswith("--")}
        assert documented - GLOBAL_OPTIONS == options - GLOBAL_OPTIONS, f"calcmap {name}"


@needs_cli
def test_every_command_and_option_has_help() -> None:
    for name, command in _cli_commands().items():
        assert command.help, f"calcmap {name} has no help"
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"calcmap {name}: {parameter.name} has no help"


@needs_cli
@pytest.mark.parametrize("block", [block for block in shell_blocks() if block.is_run], ids=lambda block: block.id)
def test_marked_example_runs(block: Block, workplace: Path) -> None:
    if block.needs and not has_module(block.needs):
        pytest.skip(f"EXAMPLE NOT RUN: {block.id} needs {block.needs}, which is not installed (train extra)")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        cwd=workplace,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_some_examples_are_run() -> None:
    assert any(block.is_run for block in shell_blocks())
    assert any(block.is_run for block in blocks(PROJECT / "README.md"))


def test_every_field_of_result_json_is_explained() -> None:
    shown = set(re.findall(r"`([\w.\[\]]+)`", RESULT_PAGE.read_text(encoding="utf-8")))
    words = {word for field in shown for word in re.split(r"[.\[\]]+", field)}
    assert _json_fields() - words == set()


def test_every_column_of_results_csv_is_explained() -> None:
    if not has_module("calcmap.report.folder"):
        pytest.skip("NOT BUILT YET: calcmap.report is missing, the columns of results.csv went unchecked")
    from calcmap.report.folder import RESULTS_COLUMNS

    rows = re.findall(r"^\| (`.*?`) \|", sections(RESULT_PAGE, level=2)["results.csv"], flags=re.MULTILINE)
    assert tuple(re.findall(r"`(\w+)`", " ".join(rows))) == RESULTS_COLUMNS


def test_every_reason_code_is_explained_and_no_other() -> None:
    table = sections(RESULT_PAGE, level=2)["Reason codes"]
    explained = set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE))
    from calcmap.cli.score import INTERNAL_ERROR

    known = {error.code for error in _tree(errors.InputError)}
    assert explained == known | {errors.ModelError.code, INTERNAL_ERROR}


def test_every_configuration_file_is_toml_of_a_known_kind() -> None:
    found = [*PROJECT.glob("configs/**/*.toml"), *PROJECT.glob("src/calcmap/**/*.toml")]
    if not has_module("calcmap.training.config"):
        pytest.skip("NO TRAINING YET: calcmap.training is missing, no configuration was loaded")
    from calcmap.core.config import load_config
    from calcmap.evaluation.study import AgreementSettings
    from calcmap.prognosis.config import PrognosisSettings
    from calcmap.training.config import TrainConfig

    kinds = {"agreement": AgreementSettings, "prognosis": PrognosisSettings}
    assert found, "configs/ holds no settings: this test would check nothing"
    for path in found:
        load_config(path, kinds.get(path.stem, TrainConfig))


def _cli_commands() -> dict[str, Any]:
    """Return every visible command by its full name; groups are walked into."""
    from typer.main import get_command

    from calcmap.cli import main as cli

    return dict(_walk(get_command(cli.app), ""))


def _walk(group: Any, prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            found += _walk(command, f"{prefix}{name} ")
        else:
            found.append((prefix + name, command))
    return found


def _options(command: Any) -> set[str]:
    return {
        option
        for parameter in command.params
        if parameter.param_type_name == "option"
        for option in [*parameter.opts, *parameter.secondary_opts]
    }


def _json_fields() -> set[str]:
    """Return every key that result.json can have, nested ones too."""
    refused = result.StudyResult(
        study="a",
        status=result.Status.REFUSED,
        reason="b",
        reason_code="c",
        chosen_series=None,
        rejected_series=(),
        quality=(),
        provenance=result.Provenance(version="0", weights_sha256={}, input_sha256="0"),
        seconds={},
    )
    nested = [
        result.ClassScore,
        result.ScoringMethod,
        result.HeartSummary,
        result.Percentile,
        result.Confidence,
        result.Provenance,
        scan.SeriesCandidate,
    ]
    lesion = result.LesionResult(1, result.CalciumClass.CORONARY, None, 0, 0, (0.0, 0.0, 0.0), 1.0, 130, 1.0)
    return {
        *result.result_to_json(refused),
        *result._lesion_to_json(lesion),
        *(field.name for kind in nested for field in dataclasses.fields(kind)),
        *("chosen", "rejected", "flag", "severity", "detail"),
    }


def _tree(error: type[errors.CalcMapError]) -> list[type[errors.CalcMapError]]:
    return [error, *(below for child in error.__subclasses__() for below in _tree(child))]
