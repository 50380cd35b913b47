from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: torch is not installed (train extra)")

from calcmap.core.volume import Grid, Volume  # noqa: E402
from calcmap.scoring.agatston import score_mask  # noqa: E402
from calcmap.scoring.rules import get_profile  # noqa: E402
from calcmap.training.samples import (  # noqa: E402
    IGNORED,
    CalciumSample,
    SampleFacts,
    make_calcium_sample,
    make_heart_sample,
)
from calcmap.training.validation import validate  # noqa: E402
from training.small_cases import GRID, small_case  # noqa: E402

pytestmark = pytest.mark.torch

FACTS = SampleFacts("a", "a", "test", 2)


class Oracle(torch.nn.Module):
    """A network that answers with classes made by a function of its input."""

    def __init__(self, answer: Callable[[torch.Tensor], np.ndarray], n_classes: int) -> None:
        super().__init__()
        self.answer, self.n_classes = answer, n_classes
        self.config = SimpleNamespace(stride=4, in_channels=5)

    def forward(self, slices_schw: torch.Tensor) -> torch.Tensor:
        classes = torch.zeros(slices_schw.shape[0], *slices_schw.shape[2:], dtype=torch.long)
        answer = self.answer(slices_schw)
        classes[:, : answer.shape[1], : answer.shape[2]] = torch.from_numpy(answer.astype(np.int64))
        return torch.nn.functional.one_hot(classes, self.n_classes).permute(0, 3, 1, 2).float()


@pytest.fixture
def calcium() -> CalciumSample:
    return make_calcium_sample(*small_case(coronary_px=2), FACTS, unsure_zyx=[])


def test_the_whole_heart_found_is_one_and_half_of_it_two_thirds() -> None:
    sample = make_heart_sample(*small_case(), FACTS, grid=GRID)
    heart = sample.heart_zyx >= 128
    half = heart.copy()
    half.ravel()[np.flatnonzero(heart)[::2]] = False
    share = half.sum() / heart.sum()
    assert validate(Oracle(lambda _: heart, 2), [sample, sample]) == 1.0
    assert validate(Oracle(lambda _: half, 2), [sample]) == pytest.approx(2 * share / (1 + share))
    assert validate(Oracle(lambda _: ~heart, 2), [sample]) == 0.0


def test_all_calcium_told_apart_is_one(calcium: CalciumSample) -> None:
    assert validate(Oracle(lambda _: calcium.target_zyx, 3), [calcium]) == 1.0


def test_both_classes_count_alike(calcium: CalciumSample) -> None:
    # All noncoronary right, all coronary missed: F1 of 1 and of 0, and no concordance; then the other way round.
    assert validate(Oracle(lambda _: np.where(calcium.target_zyx == 2, 2, 0), 3), [calcium]) == pytest.approx(0.25)
    assert validate(Oracle(lambda _: np.where(calcium.target_zyx == 1, 1, 0), 3), [calcium]) == pytest.approx(0.75)


def test_ignored_voxels_do_not_count(calcium: CalciumSample) -> None:
    unsure = replace(
        calcium, target_zyx=np.where(calcium.target_zyx == 1, IGNORED, calcium.target_zyx).astype(np.uint8)
    )
    seen = np.where(calcium.target_zyx == 1, 1, calcium.target_zyx)
    both = [calcium, unsure]
    assert validate(Oracle(lambda _: seen, 3), both) == 1.0


def test_a_sample_without_candidates_changes_nothing(calcium: CalciumSample) -> None:
    empty = replace(calcium, ct_hu_zyx=np.full_like(calcium.ct_hu_zyx, 40))
    assert validate(Oracle(lambda _: calcium.target_zyx, 3), [calcium, empty]) == 1.0


def test_a_sample_weighs_as_the_root_of_its_candidates(calcium: CalciumSample) -> None:
    # One sample all wrong with 6 candidates, one all right with 6 and then with 24: its share of the table doubles.
    large = replace(
        calcium,
        **{name: np.tile(getattr(calcium, name), (4, 1, 1)) for name in ("ct_hu_zyx", "heart_zyx", "target_zyx")},
    )

    def right_if_large(slices: torch.Tensor) -> np.ndarray:
        return large.target_zyx if len(slices) == len(large.target_zyx) else np.zeros_like(calcium.target_zyx)

    # With weights 1 (wrong, all background) and 2 (right): F1 = 2 * 2 / (2 * 2 + 1). One score of 0 instead of its due.
    small_score, large_score = (_coronary_score(sample) for sample in (calcium, large))
    truth, found = np.log1p([small_score, large_score]), np.log1p([0.0, large_score])
    # Lin's coefficient from its definition.
    covariance = np.mean((truth - truth.mean()) * (found - found.mean()))
    concordance = 2 * covariance / (truth.var() + found.var() + (truth.mean() - found.mean()) ** 2)
    assert validate(Oracle(right_if_large, 3), [calcium, large]) == pytest.approx((0.8 + concordance) / 2)


def _coronary_score(sample: CalciumSample) -> float:
    z_mm, y_mm, x_mm = sample.spacing_mm_zyx
    volume = Volume(sample.ct_hu_zyx, Grid(sample.ct_hu_zyx.shape, np.diag([x_mm, y_mm, z_mm, 1.0])))
    return score_mask(volume, sample.target_zyx == 1, rule=get_profile("clinical")).coronary.agatston
