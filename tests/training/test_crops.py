from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: torch is not installed (train extra)")

from calcmap.core.errors import ConfigError  # noqa: E402
from calcmap.segmentation.calcium_input import calcium_network_input, heart_frame  # noqa: E402
from calcmap.segmentation.heart_grid import heart_network_input  # noqa: E402
from calcmap.training.config import Task  # noqa: E402
from calcmap.training.crops import Crop, _shifted, calcium_crop, calcium_loss_mask, draw_cases, heart_crop  # noqa: E402
from calcmap.training.loop import draw_crops, training_loss  # noqa: E402
from calcmap.training.samples import (  # noqa: E402
    IGNORED,
    CalciumSample,
    HeartSample,
    SampleFacts,
    make_calcium_sample,
    make_heart_sample,
)
from training.small_cases import GRID, STILL, small_case, small_config  # noqa: E402

pytestmark = pytest.mark.torch

FACTS = SampleFacts("a", "a", "test", 2)


@pytest.fixture(scope="module")
def heart_sample() -> HeartSample:
    return make_heart_sample(*small_case(), FACTS, grid=GRID)


@pytest.fixture(scope="module")
def calcium_sample() -> CalciumSample:
    return make_calcium_sample(*small_case(), FACTS, unsure_zyx=[])


def same_crops(a: list[Crop], b: list[Crop]) -> bool:
    return all(
        torch.equal(getattr(one, name), getattr(two, name))
        for one, two in zip(a, b, strict=True)
        for name in ("input_schw", "target_schw", "mask_shw")
    )


def test_categories_come_equally_often_however_rare_they_are() -> None:
    facts = [SampleFacts(str(i), str(i), "a", 0 if i < 18 else i - 17) for i in range(20)]
    drawn = draw_cases(facts, 6000, site_weights={}, rng=np.random.default_rng(0))
    counts = Counter(facts[index].category for index in drawn)
    assert set(counts) == {0, 1, 2}
    assert max(counts.values()) - min(counts.values()) < 200


def test_a_site_comes_as_often_as_it_weighs_within_its_category() -> None:
    facts = [SampleFacts(str(i), str(i), "rare" if i == 0 else "usual", 0) for i in range(4)]
    drawn = draw_cases(facts, 6000, site_weights={"rare": 3.0}, rng=np.random.default_rng(0))
    assert drawn.count(0) / 6000 == pytest.approx(0.5, abs=0.03)


def test_a_site_of_weight_nothing_never_comes() -> None:
    facts = [SampleFacts("a", "a", "out", 0), SampleFacts("b", "b", "out", 1), SampleFacts("c", "c", "in", 1)]
    assert set(draw_cases(facts, 50, site_weights={"out": 0.0}, rng=np.random.default_rng(0))) == {2}
    with pytest.raises(ConfigError, match="every case the weight 0"):
        draw_cases(facts[:2], 1, site_weights={"out": 0.0}, rng=np.random.default_rng(0))


@pytest.mark.parametrize("task", list(Task))
def test_the_crops_of_a_step_depend_on_seed_and_step_alone(
    task: Task, heart_sample: HeartSample, calcium_sample: CalciumSample
) -> None:
    sample = heart_sample if task is Task.HEART else calcium_sample
    config = small_config(task)
    np.random.default_rng(0).random(3)
    first = draw_crops([sample, sample], config, step=4)
    draw_crops([sample, sample], config, step=5)
    torch.manual_seed(99)
    assert same_crops(draw_crops([sample, sample], config, step=4), first)
    assert not same_crops(draw_crops([sample, sample], config, step=5), first)
    assert not same_crops(draw_crops([sample, sample], replace(config, seed=4), step=4), first)


@pytest.mark.parametrize("task", list(Task))
def test_crops_have_the_size_asked_for(task: Task, heart_sample: HeartSample, calcium_sample: CalciumSample) -> None:
    sample = heart_sample if task is Task.HEART else calcium_sample
    config = small_config(task, crop_px=20 if task is Task.HEART else 28)
    for crop in draw_crops([sample], config, step=0):
        assert crop.input_schw.shape == (4, config.in_channels, config.crop_px, config.crop_px)
        assert crop.target_schw.shape == (4, config.n_classes, config.crop_px, config.crop_px)
        assert crop.mask_shw.shape == (4, config.crop_px, config.crop_px)
        torch.testing.assert_close(crop.target_schw.sum(dim=1)[crop.mask_shw > 0], torch.ones(int(crop.mask_shw.sum())))


def test_a_heart_crop_without_changes_is_the_sample_itself(heart_sample: HeartSample) -> None:
    config = small_config(slices=heart_sample.ct_hu_zyx.shape[0], augmentation=STILL)
    crop = heart_crop(heart_sample, config, np.random.default_rng(0))
    expected = heart_network_input(heart_sample.ct_hu_zyx.astype(np.float32))
    np.testing.assert_allclose(crop.input_schw.numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(crop.target_schw[:, 1].numpy(), heart_sample.heart_zyx / 255, atol=1e-4)
    assert (crop.mask_shw == 1).all()


def test_a_calcium_crop_without_changes_is_what_is_served(calcium_sample: CalciumSample) -> None:
    config = small_config(Task.CALCIUM, slices=10, crop_px=26, augmentation=STILL)
    crop = calcium_crop(calcium_sample, config, np.random.default_rng(0))
    heart = calcium_sample.heart_zyx
    served = calcium_network_input(calcium_sample.ct_hu_zyx, heart, heart_frame(heart))
    np.testing.assert_allclose(crop.input_schw[:, :, :23, :25].numpy(), served, atol=1e-6)
    assert torch.equal(
        crop.input_schw[:, :, 23:], crop.input_schw[:, :, 22:23].expand(-1, -1, 3, -1)
    )  # as serving pads
    assert not crop.mask_shw[:, 23:].any()
    assert not crop.target_schw[:, :, 23:].any()


def test_a_moved_heart_leaves_the_box_and_does_not_come_back_on_the_other_side() -> None:
    heart = np.zeros((2, 6, 6), dtype=np.bool_)
    heart[1, 4:, 1:3] = True
    moved = _shifted(heart, [0, 1, -2])
    expected = np.zeros_like(heart)
    expected[1, 5, 0] = True
    np.testing.assert_array_equal(moved, expected)


def test_most_calcium_crops_hold_calcium(calcium_sample: CalciumSample) -> None:
    config = small_config(Task.CALCIUM, slices=2, crop_px=8)
    rng = np.random.default_rng(0)
    crops = [calcium_crop(calcium_sample, config, rng) for _ in range(60)]
    assert sum(bool(crop.target_schw[:, 1:].any()) for crop in crops) / 60 > 0.6


def test_a_case_without_calcium_gives_crops_over_the_heart(calcium_sample: CalciumSample) -> None:
    empty = replace(calcium_sample, target_zyx=np.zeros_like(calcium_sample.target_zyx))
    crop = calcium_crop(empty, small_config(Task.CALCIUM), np.random.default_rng(1))
    assert (crop.target_schw[:, 0][crop.mask_shw > 0] == 1).all()


def test_a_heart_that_every_fourth_pixel_misses_is_still_cropped(calcium_sample: CalciumSample) -> None:
    heart = np.zeros_like(calcium_sample.heart_zyx)
    heart[5, 9:11, 9:11] = True
    tiny = replace(calcium_sample, heart_zyx=heart, target_zyx=np.zeros_like(calcium_sample.target_zyx))
    crop = calcium_crop(tiny, small_config(Task.CALCIUM, augmentation=STILL), np.random.default_rng(1))
    assert crop.input_schw[:, 1].any()


def test_the_loss_is_taken_from_dense_sure_voxels_in_or_near_the_heart() -> None:
    ct = np.array([[[500, 109, 110, 500, 500, 500]]], dtype=np.int16)
    heart = np.array([[[True, True, True, False, False, False]]])
    target = np.array([[[1, 0, 0, 0, IGNORED, 0]]], dtype=np.uint8)
    mask = calcium_loss_mask(ct, heart, target, spacing_mm_zyx=(5.0, 3.0, 3.0))  # 6 mm are two pixels
    assert mask.tolist() == [[[1, 0, 1, 1, 0, 0]]]


def test_ignored_voxels_take_no_part_in_the_loss(calcium_sample: CalciumSample) -> None:
    target = calcium_sample.target_zyx.copy()
    target[target == 2] = IGNORED
    config = small_config(Task.CALCIUM, slices=10, crop_px=26, augmentation=STILL, crops=1)
    crop = calcium_crop(replace(calcium_sample, target_zyx=target), config, np.random.default_rng(0))
    ignored = np.zeros((10, 26, 26), dtype=np.bool_)
    ignored[:, :23, :25] = target == IGNORED
    assert not crop.mask_shw.numpy()[ignored].any()
    other = crop.target_schw.clone()
    other.movedim(1, -1)[torch.from_numpy(ignored)] = torch.tensor([0.0, 1.0, 0.0])
    network = torch.nn.Conv2d(5, 3, 1)
    changed = Crop(crop.input_schw, other, crop.mask_shw)
    settings = replace(config, loss=replace(config.loss, dice_weight=0.0))
    assert training_loss(network, [crop], settings).item() == training_loss(network, [changed], settings).item()


def test_a_moved_heart_moves_the_frame_with_it(calcium_sample: CalciumSample) -> None:
    config = small_config(Task.CALCIUM, slices=10, crop_px=26, augmentation=replace(STILL, heart_shift_mm=14.0))
    crop = calcium_crop(calcium_sample, config, np.random.default_rng(5))
    mask, along_x = crop.input_schw[:, 1].numpy(), crop.input_schw[:, 4].numpy()
    unmoved = calcium_sample.heart_zyx
    assert not np.array_equal(mask[:, :23, :25] > 0, unmoved)
    assert abs(float(along_x[mask > 0].mean())) < 0.25
