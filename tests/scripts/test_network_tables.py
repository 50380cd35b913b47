"""Scripts that compare networks: variants, kept rows, tables."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calcmap.core.config import load_config
from calcmap.networks.neighbours import Neighbours
from calcmap.pipeline.evaluation import CaseRow
from calcmap.training.config import TrainConfig
from house.documents import PROJECT

CONFIGS = PROJECT / "configs"


@pytest.fixture(scope="module")
def scripts() -> Iterator[Any]:
    """Return a way to import a script by name."""
    sys.path.insert(0, str(PROJECT / "scripts"))
    yield importlib.import_module
    sys.path.remove(str(PROJECT / "scripts"))


def row(case_id: str, *, reference: float, agatston: float) -> CaseRow:
    categories = [sum(score > limit for limit in (0.99, 100, 400)) for score in (reference, agatston)]
    return CaseRow(
        case_id=case_id,
        site="external",
        reference_range=(reference, reference),
        reference_category=categories[0],
        agatston=agatston,
        category=categories[1],
        is_category_right=categories[0] == categories[1],
        dice_heart=0.95,
        heart_ml=600.0,
        reference_heart_ml=610.0,
        n_reference_lesions=int(reference > 0),
        n_found_lesions=int(reference > 0 and agatston > 0),
        n_false_lesions=int(reference == 0 and agatston > 0),
        seconds=0.5,
    )


REFERENCES = (0.0, 0.0, 50.0, 200.0, 600.0, 30.0)
RIGHT = [row(f"case-{k}", reference=score, agatston=score) for k, score in enumerate(REFERENCES)]
WORSE = [row(f"case-{k}", reference=score, agatston=20.0) for k, score in enumerate(REFERENCES)]


def test_each_variant_lacks_one_thing(scripts: Any) -> None:
    ablation = scripts("ablation")
    base = load_config(CONFIGS / "calcium.toml", TrainConfig)
    changed = {name: ablation.variant_config(name, base) for name in ablation.VARIANTS}
    assert changed["no heart mask"] == replace(base, network=replace(base.network, sees_heart=False))
    assert changed["one slice instead of three"].network.neighbours is Neighbours.NONE
    assert changed["no ConvLSTM"].network.neighbours is Neighbours.CONCAT
    assert changed["no noise augmentation"].augmentation == replace(base.augmentation, noise_hu=0.0)
    for name in (ablation.BASELINE, "no real scans", "no planted plaques"):
        assert changed[name] == base


def test_data_are_left_out_of_the_variants_that_are_named_so(scripts: Any) -> None:
    folders = {"simulated": [Path("sim")], "real": [Path("real")], "planted": [Path("planted")]}
    ablation = scripts("ablation")
    found = {name: [str(p) for p in ablation.variant_folders(name, **folders)] for name in ablation.VARIANTS}
    assert found.pop("no real scans") == ["sim", "planted"]
    assert found.pop("no planted plaques") == ["sim", "real"]
    assert all(each == ["sim", "real", "planted"] for each in found.values())


def test_a_finished_run_of_other_settings_is_not_taken(scripts: Any, tmp_path: Path) -> None:
    ablation = scripts("ablation")
    config = load_config(CONFIGS / "calcium.toml", TrainConfig)
    job = ablation.Job("whole recipe", config, (), tmp_path, tmp_path)
    assert not ablation._is_finished(job)
    job.network.touch()
    (tmp_path / "config.json").write_text(json.dumps({"task": "calcium"}), encoding="utf-8")
    with pytest.raises(SystemExit, match="other settings"):
        ablation._is_finished(job)


def test_the_ablation_table_says_simulated_beside_its_figures(scripts: Any) -> None:
    ablation = scripts("ablation")
    text = ablation.section("TEST", {ablation.BASELINE: RIGHT, "no ConvLSTM": WORSE}, steps=7)
    assert "7 steps each, on 6 simulated patients (site external) whom" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert lines[2].startswith("| whole recipe | 1.000 (1.000 to 1.000) |  | ")
    assert lines[2].endswith("| 0.00 | 6 of 6 |")
    assert lines[3].endswith("| 0.33 | 2 of 6 |")
    assert " | -1.000 (-1.000 to " in lines[3] or " | -0." in lines[3]


def test_networks_on_different_cases_are_not_compared(scripts: Any) -> None:
    with pytest.raises(SystemExit, match="different cases"):
        scripts("kept_rows").difference(RIGHT, RIGHT[:-1])


def test_rows_are_kept_and_one_cut_short_is_left_out(scripts: Any, tmp_path: Path) -> None:
    kept, path = scripts("kept_rows"), tmp_path / "new" / "rows.jsonl"
    assert kept.read_rows(path) == {}
    kept.append_row(path, Path("a"), RIGHT[0])
    path.write_text(path.read_text() + '\n{"folder": "b", "row": {"cas', encoding="utf-8")
    kept.append_row(path, Path("c"), RIGHT[2])
    assert kept.read_rows(path) == {"a": RIGHT[0], "c": RIGHT[2]}


@pytest.mark.parametrize("side", ["training", "held_out"])
def test_a_run_that_has_seen_the_test_stops_the_comparison(scripts: Any, tmp_path: Path, side: str) -> None:
    cases = {"training": ["x"], "held_out": ["y"]}
    (tmp_path / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    scripts("kept_rows").check_unseen(RIGHT, [tmp_path])
    (tmp_path / "cases.json").write_text(json.dumps(cases | {side: ["case-3"]}), encoding="utf-8")
    with pytest.raises(SystemExit, match="has seen 1 of the test's cases, the first of them case-3"):
        scripts("kept_rows").check_unseen(RIGHT, [tmp_path])


def test_settings_of_equal_time_validate_as_often(scripts: Any) -> None:
    text = "steps = 800\nvalidate_every = 200\n# steps = 1 a day\n"
    assert scripts("training_cost").with_steps(text, steps=100) == (
        "steps = 100\nvalidate_every = 25\n# steps = 1 a day\n"
    )


def test_settings_without_steps_are_refused(scripts: Any) -> None:
    with pytest.raises(SystemExit, match="name validate_every 0 times"):
        scripts("training_cost").with_steps("steps = 800\n", steps=100)


@pytest.mark.parametrize(
    "path", [*CONFIGS.glob("heart*.toml"), *CONFIGS.glob("calcium*.toml")], ids=lambda path: path.name
)
def test_every_settings_file_can_be_given_other_steps(scripts: Any, path: Path, tmp_path: Path) -> None:
    changed = tmp_path / path.name
    changed.write_text(scripts("training_cost").with_steps(path.read_text(), steps=77), encoding="utf-8")
    assert load_config(changed, TrainConfig).steps == 77


def test_costs_stand_beside_their_ratios_and_a_missing_one_has_none(scripts: Any) -> None:
    line = scripts("compare_networks")._line
    assert line("s", {"calcmap": 0.5, "clstm": 4.0, "unet": 6.0}, asked="≥ 3", grid="the same") == [
        "s", "0.50", "4.00", "6.00", "8.0", "12.0", "≥ 3", "the same"
    ]  # fmt: skip
    assert line("s", {"clstm": 4.0}, grid="") == ["s", "–", "4.00", "–", "–", "–", "", ""]


def test_the_cost_table_says_what_stands_on_which_grid(scripts: Any) -> None:
    compare = scripts("compare_networks")
    kinds = dict(zip(compare.KINDS, (1.0, 6.0, 10.0), strict=True))
    costs = {kind: [compare.ScanCost(*[seconds] * 4)] for kind, seconds in kinds.items()}
    training = {
        kind: {task: compare.TrainingCost(100, seconds, 300.0, 300.0 + 50 * seconds) for task in compare.TASKS}
        for kind, seconds in kinds.items()
    }
    memory = {kind: compare.InferenceMemory(100.0, 100.0 + seconds) for kind, seconds in kinds.items()}
    rows = dict.fromkeys(kinds, RIGHT)
    found = compare.Findings(rows, costs, memory, training, dict.fromkeys(kinds, "5 + 5"), {"calcmap": 0.5, "unet": 80})
    text = compare.cost_table(found)
    assert "Medians of 1 simulated scans" in text
    assert "| networks alone, processor s a scan | 1.00 | 6.00 | 10.00 | 6.0 | 10.0 | clstm ≥ 20 and unet ≥ 3 |" in text
    assert "| as published, processor s a study | 0.50 | – | 80.00 | – | 160.0 |" in text
    assert "| paper's reference 17: s a scan on a CPU | – | 6.18 | 10.10 | – | – |" in text
    agreement = compare.agreement_table(found)
    assert "On 6 simulated patients (site external) whom" in agreement
    assert "| unet | 1.000 (1.000 to 1.000) | 0.000 (0.000 to 0.000) | 0.950 (0.950 to 0.950) |" in agreement
