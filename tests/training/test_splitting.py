from __future__ import annotations

import logging
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calcmap.core.errors import ConfigError
from calcmap.training.samples import HeartSample, SampleFacts
from calcmap.training.splitting import deal_folds, groups_at_site, split_by_group, split_samples
from training.small_cases import small_config

EMPTY = np.zeros((1, 2, 2), dtype=np.uint8)


def case(name: str, *, group: str = "", site: str = "a", category: int = 0) -> HeartSample:
    return HeartSample(EMPTY.astype(np.int16), EMPTY, SampleFacts(name, group or name, site, category))


def facts_of(samples: list[HeartSample]) -> list[SampleFacts]:
    return [sample.facts for sample in samples]


def ids(samples: tuple[HeartSample, ...]) -> set[str]:
    return {sample.facts.case_id for sample in samples}


@settings(deadline=None, max_examples=60)
@given(categories=st.lists(st.integers(0, 3), min_size=7, max_size=60), folds=st.integers(2, 7), seed=st.integers(0, 9))
def test_folds_of_single_cases_are_alike_in_every_category_and_in_size(
    categories: list[int], folds: int, seed: int
) -> None:
    samples = [case(f"c{i}", category=category) for i, category in enumerate(categories)]
    dealt = deal_folds(facts_of(samples), folds=folds, seed=seed)
    assert sorted(group for fold in dealt for group in fold) == sorted(ids(tuple(samples)))
    tables = [Counter(categories[int(group[1:])] for group in fold) for fold in dealt]
    for category in range(4):
        counts = [table[category] for table in tables]
        assert max(counts) - min(counts) <= 1
    sizes = [len(fold) for fold in dealt]
    assert max(sizes) - min(sizes) <= 1


@settings(deadline=None, max_examples=40)
@given(sizes=st.lists(st.integers(1, 6), min_size=5, max_size=25), seed=st.integers(0, 9))
def test_every_case_is_held_out_by_one_fold_and_no_group_straddles(sizes: list[int], seed: int) -> None:
    samples = [case(f"{g}-{i}", group=f"g{g}", category=i % 4) for g, size in enumerate(sizes) for i in range(size)]
    splits = [split_samples(samples, small_config(folds=5, fold=fold, seed=seed)) for fold in range(5)]
    assert sorted(name for split in splits for name in ids(split.held_out)) == sorted(ids(tuple(samples)))
    for split in splits:
        assert split.training
        assert split.held_out
        assert {s.facts.group for s in split.training}.isdisjoint({s.facts.group for s in split.held_out})


def test_a_large_group_is_balanced_by_single_cases() -> None:
    large = [case(f"big-{i}", group="big", category=3) for i in range(4)]
    samples = [*large, *(case(f"s{i}", category=3) for i in range(4))]
    assert set(deal_folds(facts_of(samples), folds=2, seed=0)) == {
        frozenset({"big"}),
        frozenset({"s0", "s1", "s2", "s3"}),
    }


def test_folds_depend_on_the_seed_and_not_on_the_order() -> None:
    facts = facts_of([case(f"c{i}", category=i % 2) for i in range(20)])
    assert deal_folds(facts, folds=5, seed=1) == deal_folds(facts[::-1], folds=5, seed=1)
    assert deal_folds(facts, folds=5, seed=1) != deal_folds(facts, folds=5, seed=2)


def test_more_folds_than_groups_are_refused() -> None:
    facts = facts_of([case("a", group="g"), case("b", group="g"), case("c")])
    with pytest.raises(ConfigError, match=r"2 group\(s\) of cases, expected at least 3"):
        deal_folds(facts, folds=3, seed=0)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"folds": 1}, "folds is 1, expected 2 or more, or 0"),
        ({"folds": -2}, "folds is -2"),
        ({"folds": 5, "fold": 5}, "fold is 5, expected 0 to 4"),
        ({"folds": 5, "fold": -1}, "fold is -1, expected 0 to 4"),
        ({"fold": 2}, "fold is 2, expected 0 to 0"),
    ],
)
def test_folds_that_do_not_exist_are_refused(changes: dict[str, int], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        small_config(**changes)


def test_without_folds_the_split_is_by_share() -> None:
    samples = [case(f"c{i}", category=i % 4) for i in range(40)]
    split = split_samples(samples, small_config(validation_share=0.2, seed=7))
    training, held_out = split_by_group(samples, share=0.2, seed=7)
    assert (split.training, split.held_out) == (tuple(training), tuple(held_out))


def test_the_split_by_share_is_the_one_of_earlier_versions() -> None:
    """Drawn by version 0.1.0: a resumed run, and a run repeated years later, hold out the same."""
    samples = [case(f"case-{i}", group=f"group-{i // 2}", category=i * 7 % 4) for i in range(30)]
    _, held_out = split_by_group(samples, share=0.15, seed=3)
    assert sorted({sample.facts.group for sample in held_out}) == ["group-10", "group-11"]


def test_an_excluded_site_leaves_with_all_cases_of_its_groups(caplog: pytest.LogCaptureFixture) -> None:
    planted = case("scan1-planted", group="scan1", site="planted")
    samples = [case("scan1", site="a"), planted, *(case(f"b{i}", site="b") for i in range(4))]
    assert groups_at_site(facts_of(samples), "a") == {"scan1"}
    with caplog.at_level(logging.WARNING, logger="calcmap"):
        split = split_samples(samples, small_config(exclude_sites=("a", "elsewhere")))
    assert ids(split.training) | ids(split.held_out) == {"b0", "b1", "b2", "b3"}
    assert "no case belongs to the excluded site(s) elsewhere" in caplog.text


def test_only_groups_of_the_validation_sites_are_held_out() -> None:
    samples = [case(f"a{i}", site="a", category=i % 4) for i in range(20)]
    samples += [case(f"r{i}", site="real", category=i % 2) for i in range(7)]
    split = split_samples(samples, small_config(validation_share=0.25, validation_sites=("a",)))
    assert {sample.facts.site for sample in split.held_out} == {"a"}
    assert len(split.held_out) == 5
    assert {f"r{i}" for i in range(7)} <= ids(split.training)


def test_validation_sites_beside_folds_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected one of them"):
        small_config(folds=5, validation_sites=("a",))


def test_excluding_the_only_site_leaves_too_few() -> None:
    with pytest.raises(ConfigError, match=r"0 group\(s\) of cases"):
        split_samples([case("a"), case("b")], small_config(exclude_sites=("a",)))
