from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from calcmap.core.errors import ConfigError, InputError
from calcmap.core.volume import Label, Labels, Volume
from calcmap.io.cases import DRAWN_HEART_KEY, Case, write_case
from calcmap.training import samples
from calcmap.training.samples import (
    IGNORED,
    CalciumSample,
    HeartSample,
    SampleFacts,
    load_samples,
    make_calcium_sample,
    make_heart_sample,
)
from training.small_cases import GRID, SPACING_MM_ZYX, small_case, write_small_cases

FACTS = SampleFacts("a", "a", "test", 2)


def voxel_ml(*spacing_mm: float) -> float:
    return float(np.prod(spacing_mm)) / 1000.0


def test_a_heart_sample_holds_as_much_heart_as_the_labels() -> None:
    volume, labels = small_case()
    sample = make_heart_sample(volume, labels, FACTS, grid=GRID)
    coarse_mm = (12.0, 10.0, 10.0)
    assert sample.ct_hu_zyx.shape == sample.heart_zyx.shape == (5, 20, 20)
    expected_ml = (labels.labels_zyx > 0).sum() * voxel_ml(*SPACING_MM_ZYX)
    assert sample.heart_zyx.sum() / 255 * voxel_ml(*coarse_mm) == pytest.approx(expected_ml, rel=0.01)


def test_calcium_apart_from_the_heart_is_no_heart() -> None:
    volume, labels = small_case()
    apart = labels.labels_zyx.copy()
    apart[5, 3, 3] = 3  # in the descending aorta, say
    sample = make_heart_sample(volume, Labels(apart, labels.grid), FACTS, grid=GRID)
    assert (sample.heart_zyx == make_heart_sample(volume, labels, FACTS, grid=GRID).heart_zyx).all()


def test_a_calcium_sample_is_the_native_box_around_the_heart() -> None:
    volume, labels = small_case(coronary_px=2)
    sample = make_calcium_sample(volume, labels, FACTS, unsure_zyx=[])
    # The heart spans slices 2-8, rows 7-23, columns 8-26; 16 mm are 3 slices, rows and columns.
    assert sample.ct_hu_zyx.shape == (10, 23, 25)
    np.testing.assert_array_equal(sample.ct_hu_zyx, volume.ct_hu_zyx[:, 4:27, 5:30])
    np.testing.assert_array_equal(sample.heart_zyx, labels.labels_zyx[:, 4:27, 5:30] > 0)
    assert [(sample.target_zyx == value).sum() for value in (1, 2, IGNORED)] == [2, 4, 0]
    assert sample.spacing_mm_zyx == SPACING_MM_ZYX


def test_lesions_that_the_reader_was_not_sure_of_are_ignored() -> None:
    volume, labels = small_case()
    sample = make_calcium_sample(volume, labels, FACTS, unsure_zyx=[[4.0, 18.0, 21.5]])
    assert (sample.target_zyx[4, 14, 15:19] == IGNORED).all()
    assert (sample.target_zyx == 2).sum() == 0
    assert (sample.target_zyx == 1).sum() == 2
    assert (sample.ct_hu_zyx[sample.target_zyx == IGNORED] >= 110).all()


def test_an_unsure_place_without_a_lesion_changes_nothing() -> None:
    volume, labels = small_case()
    sample = make_calcium_sample(volume, labels, FACTS, unsure_zyx=[[6.0, 10.0, 12.0]])
    assert not (sample.target_zyx == IGNORED).any()


def test_an_unsure_place_in_a_scan_without_anything_dense_changes_nothing() -> None:
    volume, labels = small_case()
    soft = Volume(np.minimum(volume.ct_hu_zyx, np.int16(60)), volume.grid)
    sample = make_calcium_sample(soft, labels, FACTS, unsure_zyx=[[4.0, 18.0, 21.5]])
    assert not (sample.target_zyx == IGNORED).any()


def test_labels_without_a_heart_are_refused() -> None:
    volume, labels = small_case()
    with pytest.raises(InputError, match="labels of case a hold no heart"):
        make_calcium_sample(volume, Labels(np.zeros_like(labels.labels_zyx), labels.grid), FACTS, unsure_zyx=[])


@pytest.mark.parametrize(("task", "kind"), [("heart", HeartSample), ("calcium", CalciumSample)])
def test_samples_read_from_the_cache_are_those_that_were_made(tmp_path: Path, task: str, kind: type) -> None:
    data = write_small_cases(tmp_path / "data", n_groups=2)
    first = load_samples([data], task=task, grid=GRID, cache=tmp_path / "cache")
    again = load_samples([data], task=task, grid=GRID, cache=tmp_path / "cache")
    assert [type(sample) for sample in first] == [kind, kind]
    for made, read in zip(first, again, strict=True):
        assert made.facts == read.facts
        for name in ("ct_hu_zyx", "heart_zyx"):
            array, other = getattr(made, name), getattr(read, name)
            assert array.dtype == other.dtype
            np.testing.assert_array_equal(array, other)


def test_a_sample_is_made_once_and_again_when_its_case_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_small_cases(tmp_path / "data", n_groups=2)
    made: list[Path] = []
    make = samples._make_sample
    monkeypatch.setattr(samples, "_make_sample", lambda folder, **kw: made.append(folder) or make(folder, **kw))

    def load() -> list[str]:
        made.clear()
        load_samples([data], task="heart", grid=GRID, cache=tmp_path / "cache")
        return [folder.name for folder in made]

    assert load() == ["case-0-0", "case-1-0"]
    assert load() == []
    os.utime(data / "case-1-0" / "labels.nii.gz", ns=(1, 1))
    assert load() == ["case-1-0"]


def test_a_half_written_sample_is_not_taken_for_one(tmp_path: Path) -> None:
    data = write_small_cases(tmp_path / "data", n_groups=1)
    load_samples([data], task="heart", grid=GRID, cache=tmp_path / "cache")
    (path,) = (tmp_path / "cache").iterdir()
    path.rename(path.with_suffix(".part"))
    (sample,) = load_samples([data], task="heart", grid=GRID, cache=tmp_path / "cache")
    assert sample.facts.case_id == "case-0-0"
    assert path.exists()


@pytest.mark.parametrize(
    ("fields", "category"),
    [
        ({"agatston_sure": 50.0, "agatston_with_unsure": 900.0}, 1),
        ({"reference_agatston": 0.0}, 0),
        ({}, 1),  # two pixels of 25 mm2 at weight 4, 6 mm apart: 400; category 2 needs more than 100
    ],
)
def test_the_category_is_the_readers_where_there_is_one(
    tmp_path: Path, fields: dict[str, float], category: int
) -> None:
    data = write_small_cases(tmp_path / "data", n_groups=1)
    path = data / "case-0-0" / "case.json"
    table = {**json.loads(path.read_text(encoding="utf-8")), **fields}
    path.write_text(json.dumps(table), encoding="utf-8")
    (sample,) = load_samples([data], task="heart", grid=GRID, cache=tmp_path / "cache")
    assert sample.facts.category == (category if fields else 2)
    assert (sample.facts.group, sample.facts.site) == ("group-0", "test")


def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="task is 'lungs'"):
        load_samples([tmp_path], task="lungs", grid=GRID, cache=tmp_path / "cache")


def test_calcium_without_a_heart_is_refused() -> None:
    volume, labels = small_case()
    alone = np.where(labels.labels_zyx == Label.HEART, 0, labels.labels_zyx).astype(np.uint8)
    with pytest.raises(InputError, match="labels of case a hold no heart"):
        make_heart_sample(volume, Labels(alone, labels.grid), FACTS, grid=GRID)
    with pytest.raises(InputError, match="labels of case a hold no heart"):
        make_calcium_sample(volume, Labels(alone, labels.grid), FACTS, unsure_zyx=[])


def test_hearts_that_a_network_drew_teach_no_hearts(tmp_path: Path) -> None:
    for number, drawn in enumerate([False, True]):
        volume, labels = small_case(seed=number)
        extra = {DRAWN_HEART_KEY: "a network"} if drawn else {}
        write_case(tmp_path / "data" / str(number), volume, labels, Case(str(number), "made", "none", extra=extra))
    found = load_samples([tmp_path / "data"], task="heart", grid=GRID, cache=tmp_path / "cache")
    assert [sample.facts.case_id for sample in found] == ["0"]
    assert len(load_samples([tmp_path / "data"], task="calcium", grid=GRID, cache=tmp_path / "cache")) == 2
    with pytest.raises(ConfigError, match="drawn by a network"):
        load_samples([tmp_path / "data" / "1"], task="heart", grid=GRID, cache=tmp_path / "cache")
