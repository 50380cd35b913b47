from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="TRAINING NOT TESTED: torch is not installed (train extra)")

from calcmap.training.losses import focal_loss, soft_dice_loss  # noqa: E402

pytestmark = pytest.mark.torch


def some_logits(n_classes: int = 3) -> torch.Tensor:
    return torch.randn(2, n_classes, 5, 6, generator=torch.Generator().manual_seed(1))


def one_hot(classes_shw: torch.Tensor, n_classes: int = 3) -> torch.Tensor:
    return torch.nn.functional.one_hot(classes_shw, n_classes).permute(0, 3, 1, 2).float()


def some_classes(n_classes: int = 3) -> torch.Tensor:
    return torch.randint(0, n_classes, (2, 5, 6), generator=torch.Generator().manual_seed(2))


def test_without_focus_and_weights_it_is_cross_entropy() -> None:
    logits, classes = some_logits(), some_classes()
    found = focal_loss(logits, one_hot(classes), gamma=0.0, class_weights_c=torch.ones(3), mask_sh=torch.ones(2, 5, 6))
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(logits, classes))


def test_one_voxel_by_hand() -> None:
    # p = 0.8 for the true class, weight 0.25, gamma 2: 0.25 * 0.2^2 * -ln 0.8
    logits = torch.log(torch.tensor([0.2, 0.8])).view(1, 2, 1, 1)
    found = focal_loss(
        logits,
        torch.tensor([0.0, 1.0]).view(1, 2, 1, 1),
        gamma=2.0,
        class_weights_c=torch.tensor([1.0, 0.25]),
        mask_sh=torch.ones(1, 1, 1),
    )
    assert found.item() == pytest.approx(0.25 * 0.04 * 0.22314355, rel=1e-5)


def test_masked_voxels_take_no_part() -> None:
    logits, classes = some_logits(), some_classes()
    mask = (torch.arange(60).view(2, 5, 6) % 3 == 0).float()
    changed, other = logits.clone(), classes.clone()
    changed.movedim(1, -1)[mask == 0] += 50.0 * torch.randn(40, 3, generator=torch.Generator().manual_seed(4))
    other[mask == 0] = 2
    keywords = {"gamma": 2.0, "class_weights_c": torch.ones(3), "mask_sh": mask}
    torch.testing.assert_close(
        focal_loss(changed, one_hot(other), **keywords), focal_loss(logits, one_hot(classes), **keywords)
    )


def test_an_empty_mask_costs_nothing_and_moves_nothing() -> None:
    logits = some_logits().requires_grad_()
    loss = focal_loss(
        logits, one_hot(some_classes()), gamma=2.0, class_weights_c=torch.ones(3), mask_sh=torch.zeros(2, 5, 6)
    )
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_focusing_lowers_the_loss_of_easy_voxels_most() -> None:
    target = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)

    def loss(logit: float, gamma: float) -> float:
        logits = torch.tensor([0.0, logit]).view(1, 2, 1, 1)
        return focal_loss(
            logits, target, gamma=gamma, class_weights_c=torch.ones(2), mask_sh=torch.ones(1, 1, 1)
        ).item()

    assert loss(3.0, 2.0) / loss(3.0, 0.0) < 0.01 < loss(-1.0, 2.0) / loss(-1.0, 0.0)


def test_soft_dice_by_hand() -> None:
    # Even odds everywhere, half of four voxels true: 1 - (2 * 1 + 1) / (2 + 2 + 1)
    found = soft_dice_loss(torch.zeros(1, 2, 2, 2), torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]))
    assert found.item() == pytest.approx(1 - 3 / 5)


def test_soft_dice_of_a_perfect_answer_is_nothing() -> None:
    truth = torch.zeros(1, 4, 4)
    truth[0, 1:3, 1:3] = 1.0
    logits = torch.stack([-40 * (truth - 0.5), 40 * (truth - 0.5)], dim=1)
    assert soft_dice_loss(logits, truth).item() == pytest.approx(0.0, abs=1e-6)
    assert soft_dice_loss(-logits, truth).item() > 0.9


def test_soft_dice_of_nothing_found_where_nothing_is_is_nothing() -> None:
    logits = torch.stack([torch.full((1, 3, 3), 40.0), torch.zeros(1, 3, 3)], dim=1)
    assert soft_dice_loss(logits, torch.zeros(1, 3, 3)).item() == pytest.approx(0.0, abs=1e-6)
