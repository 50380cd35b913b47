from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from calcmap.core.config import config_from_dict, config_to_dict, load_config
from calcmap.core.errors import ConfigError
from calcmap.training.config import AugmentationSettings, LossSettings, Task, TrainConfig
from training.small_cases import small_config

CONFIGS = sorted(
    path for task in Task for path in (Path(__file__).resolve().parents[2] / "configs").glob(f"{task.value}*.toml")
)
"""Of training alone: other commands keep their settings in the same folder."""


def test_there_are_settings_for_both_tasks() -> None:
    assert {load_config(path, TrainConfig).task for path in CONFIGS} == set(Task)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_file_of_settings_loads_and_survives_the_run_folder(path: Path) -> None:
    config = load_config(path, TrainConfig)
    table = {key: value for key, value in config_to_dict(config).items() if value is not None}
    assert config_from_dict(table, TrainConfig, where="run") == config


def test_contradictions_are_all_listed_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        small_config(
            crop_px=15,
            steps=0,
            learning_rate=0.0,
            validation_share=1.0,
            site_weights={"a": -1.0},
            loss=LossSettings(2.0, (1.0,)),
        )
    for complaint in (
        "crop_px is 15, expected a multiple of 2",
        "expected heart_grid.size_px (20)",
        "class_weights has 1 values, expected 2",
        "steps, slices, crops, validate_every and threads must be at least 1",
        "learning_rate must be positive",
        "site_weights must not be negative",
        "validation_share is 1.0",
    ):
        assert complaint in str(error.value)


def test_unknown_and_wrong_keys_of_all_tables_are_listed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(
        'task = "lungs"\nstep = 3\ncrops = "many"\n[network]\ndepth = 4\n[augmentation]\nnoise_hu = -1\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as error:
        load_config(path, TrainConfig)
    for complaint in ("unknown key step", "task is 'lungs'", "crops is 'many'", "network.depth", "noise_hu is -1"):
        assert complaint in str(error.value)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(AugmentationSettings)])
def test_changes_of_less_than_nothing_are_refused(field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} is -0.5, expected 0 or more"):
        AugmentationSettings(**{field: -0.5})


def test_a_scale_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="scale is 1, expected below 1"):
        AugmentationSettings(scale=1.0)


@pytest.mark.parametrize(
    "wrong", [{"focal_gamma": -1.0}, {"dice_weight": -0.1}, {"class_weights": (1.0, 0.0)}, {"class_weights": ()}]
)
def test_losses_below_zero_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="must not be negative"):
        LossSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("task", "classes", "channels"), [(Task.HEART, 2, 1), (Task.CALCIUM, 3, 5)])
def test_the_task_decides_classes_and_channels(task: Task, classes: int, channels: int) -> None:
    config = small_config(task)
    assert (config.n_classes, config.in_channels) == (classes, channels)
