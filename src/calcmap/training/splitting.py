"""Which cases train and which are held out: whole groups, alike in their categories."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from calcmap.core.errors import ConfigError
from calcmap.scoring.categories import PAPER_NAMES
from calcmap.training.config import TrainConfig
from calcmap.training.samples import CalciumSample, HeartSample, SampleFacts

logger = logging.getLogger(__name__)

Sample = HeartSample | CalciumSample


@dataclass(frozen=True)
class Split:
    """The two sides of a training run; no group stands on both.

    Parameters
    ----------
    training, held_out : tuple of HeartSample or of CalciumSample
        Neither is empty.
    """

    training: tuple[Sample, ...]
    held_out: tuple[Sample, ...]


def split_samples(samples: Sequence[Sample], config: TrainConfig) -> Split:
    """Return what a run trains on and what it validates on, as its settings say.

    Excluded groups and sites go first; the rest is parted into folds where the settings name a number of them, else by
    `split_by_group`.

    Raises
    ------
    ConfigError
        Too few groups are left.
    """
    kept = _without(samples, groups=config.exclude_groups, sites=config.exclude_sites)
    if not config.folds:
        training, held_out = split_by_group(
            kept, share=config.validation_share, seed=config.seed, sites=config.validation_sites
        )
        return Split(tuple(training), tuple(held_out))
    fold = deal_folds([sample.facts for sample in kept], folds=config.folds, seed=config.seed)[config.fold]
    training = [sample for sample in kept if sample.facts.group not in fold]
    return Split(tuple(training), tuple(sample for sample in kept if sample.facts.group in fold))


def split_by_group(
    samples: Sequence[Sample], *, share: float, seed: int, sites: Sequence[str] = ()
) -> tuple[list[Sample], list[Sample]]:
    """Return training and validation samples: whole groups, and within each category about ``share`` of the groups.

    A group counts with the category of its last sample. The share is rounded to one group in n, n at least two; neither
    side is empty. Where ``sites`` are named only groups with a case there are held out, and the share is of them.

    Raises
    ------
    ConfigError
        Fewer than two groups that may be held out.
    """
    groups = sorted({sample.facts.group for sample in samples if not sites or sample.facts.site in sites})
    if len(groups) < 2:
        raise ConfigError(f"{len(groups)} group(s) of cases, expected at least 2: one to train on, one to validate on")
    category = {sample.facts.group: sample.facts.category for sample in samples}
    rng = np.random.default_rng([seed, 1])
    order = sorted(groups, key=lambda group: (category[group], rng.random()))
    # Every k-th group in an order sorted by category takes the same share of each.
    every = max(2, round(1.0 / share))
    held_out = set(order[every // 2 :: every]) or {order[-1]}
    training = [sample for sample in samples if sample.facts.group not in held_out]
    return training, [sample for sample in samples if sample.facts.group in held_out]


def deal_folds(facts: Sequence[SampleFacts], *, folds: int, seed: int) -> tuple[frozenset[str], ...]:
    """Return the groups of each fold, so that folds have alike numbers of cases in each category.

    The largest groups are dealt first; each goes to the fold that has the fewest cases of its categories, among equals
    to the one with the fewest cases. Where every group is one case, the folds' counts in a category differ by one at
    most, and so do their sizes.

    Parameters
    ----------
    facts : sequence of SampleFacts
        One a case; their order does not matter.
    folds : int
        Number of folds, at least two.
    seed : int
        Of the order among like groups.

    Returns
    -------
    tuple of frozenset of str
        One set of groups a fold; every group is in exactly one, and no fold is empty.

    Raises
    ------
    ConfigError
        Fewer groups than folds.
    """
    groups = sorted({each.group for each in facts})
    if len(groups) < folds:
        raise ConfigError(f"{len(groups)} group(s) of cases, expected at least {folds}: one for each fold")
    counts = {group: np.zeros(len(PAPER_NAMES), dtype=np.int64) for group in groups}
    for each in facts:
        counts[each.group][each.category] += 1
    rng = np.random.default_rng([seed, 4])
    order = sorted(groups, key=lambda group: (-int(counts[group].sum()), *(-counts[group]).tolist(), rng.random()))
    dealt: list[set[str]] = [set() for _ in range(folds)]
    held = np.zeros((folds, len(PAPER_NAMES)), dtype=np.int64)
    for group in order:
        emptiest = min(range(folds), key=lambda fold: (int(held[fold] @ counts[group]), int(held[fold].sum()), fold))
        dealt[emptiest].add(group)
        held[emptiest] += counts[group]
    return tuple(frozenset(fold) for fold in dealt)


def groups_at_site(facts: Iterable[SampleFacts], site: str) -> frozenset[str]:
    """Return the groups that have a case at a site: a planted scan leaves with the scan it was planted into."""
    return frozenset(each.group for each in facts if each.site == site)


def _without(samples: Sequence[Sample], *, groups: Sequence[str], sites: Sequence[str]) -> list[Sample]:
    """Return the samples that are left; a name that nothing answers to is warned of, it may be mistyped."""
    facts = [sample.facts for sample in samples]
    _warn_of_unknown("group", groups, {each.group for each in facts})
    _warn_of_unknown("site", sites, {each.site for each in facts})
    excluded = set(groups).union(*(groups_at_site(facts, site) for site in sites))
    return [sample for sample in samples if sample.facts.group not in excluded]


def _warn_of_unknown(kind: str, excluded: Sequence[str], known: set[str]) -> None:
    unknown = sorted(set(excluded) - known)
    if unknown:
        logger.warning("no case belongs to the excluded %s(s) %s", kind, ", ".join(unknown))
