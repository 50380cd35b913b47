"""The real PET/CT study, verified in a real browser step by step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from calcmap.io.finding import find_studies
from calcmap.pipeline import ScoreOptions, score_study
from calcmap.report.folder import write_study
from calcmap.segmentation.cascade import load_cascade
from calcmap.service.importing import import_results
from calcmap.service.review import Review
from calcmap.service.reviewing import Reviewing
from calcmap.service.store import Store, open_store
from web.python_scores import python_score
from web.real_browser import Reader, ReaderComes

CASE = "acrin042"
SIZE = 512
NEAR_ZYX = (12, 90, 90)


@pytest.fixture(scope="module")
def page_store(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("real")
    source = shared_data / "real_ct" / CASE / "dicom"
    (study,) = find_studies([source])
    done = score_study(study, load_cascade(), options=ScoreOptions())
    write_study(done.result, done.volume, done.labels, folder=folder / "out" / CASE)
    opened = open_store(folder / "store")
    import_results(opened, folder / "out", sources=[source], actor="local")
    yield opened
    opened.close()


@pytest.mark.real_data
def test_a_real_pet_ct_study_is_verified_step_by_step(enter: ReaderComes, page_store: Store) -> None:
    reader, store, python = enter(), page_store, Reviewing(page_store)
    page = reader.page
    (row,) = store.worklist()
    reader.open(row.name)
    assert float(reader.shown("machine-total")) == row.agatston
    assert row.agatston is not None
    assert row.agatston > 400

    def saved(revision: int) -> tuple[str, ...]:
        reader.until(revision)
        assert reader.page_score() == python_score(store, row.name, reviewing=python)
        assert float(reader.shown("machine-total")) == row.agatston
        return reader.page_score()

    def review() -> Review:
        review_id = store.worklist()[0].review_id
        assert review_id is not None
        return python.current(review_id).review

    steps = [saved(0)]
    page.locator(".lesion").nth(1).click()
    reader.press("m")  # the second lesion lies in the left main
    steps.append(saved(1))
    page.locator(".lesion").nth(0).click()
    page.get_by_role("button", name="Reject", exact=True).click()
    steps.append(saved(2))
    z, y, x = _missed(review())
    _go_to(reader, z)
    reader.press("f", "d")  # the whole field; add
    page.mouse.click(*reader.point_of(y, x, size=SIZE))
    page.locator("#sites [data-site=RCA]").click()
    steps.append(saved(3))
    z, y, x = review().score.lesions[0].anchor_zyx
    reader.press("Escape")
    _go_to(reader, z)
    reader.press("s", ",", ",")  # split, a brush of one pixel
    page.mouse.move(*reader.point_of(y, x, size=SIZE))
    page.mouse.down()
    page.mouse.move(*reader.point_of(y, x + 1, size=SIZE))
    page.mouse.up()
    reader.press("o")  # what was brushed is of the aorta
    steps.append(saved(4))
    reader.press("Escape", "Control+z")
    steps.append(saved(5))
    assert steps[5] == steps[3]
    assert all(before != after for before, after in pairwise(steps))
    page.reload()
    reader.wait("study")
    assert saved(5) == steps[5]
    reader.press("g")
    page.keyboard.type("Dr. Real")
    reader.press("Enter")
    page.wait_for_selector("#amend")
    page.reload()
    reader.wait("study")
    assert saved(5) == steps[5]
    (signed,) = store.worklist()
    assert (signed.signed_name, f"{signed.signed_agatston:g}") == ("Dr. Real", steps[5][0])
    store.check()


def _missed(review: Review) -> tuple[int, int, int]:
    """Return the peak of a small bright spot near the heart's calcium that is in no lesion."""
    volume = review.base.volume
    is_free_zyx = volume.ct_hu_zyx >= review.base.rule.threshold_hu
    is_free_zyx.reshape(-1)[review.calcium.index] = False
    near = tuple(slice(at - n, at + n) for at, n in zip(review.machine.lesions[0].anchor_zyx, NEAR_ZYX, strict=True))
    spots_zyx, _ = ndimage.label(is_free_zyx[near], structure=np.ones((3, 3, 3)))
    n_voxels = np.bincount(spots_zyx.ravel())
    inside = np.setdiff1d(np.flatnonzero((n_voxels >= 9) & (n_voxels <= 60)), _at_border(spots_zyx))
    at_zyx = ndimage.maximum_position(volume.ct_hu_zyx[near], spots_zyx, inside[0])
    z, y, x = (int(at) + side.start for at, side in zip(at_zyx, near, strict=True))
    return z, y, x


def _at_border(spots_zyx: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the spots that may go on outside."""
    return np.unique(np.concatenate([spots_zyx.take(end, axis=n).ravel() for n in range(3) for end in (0, -1)]))


def _go_to(reader: Reader, z: int) -> None:
    """Go to a slice by keys: five at a time, then one by one."""
    reader.press("Home", *["PageUp"] * (z // 5), *["ArrowUp"] * (z % 5))
    reader.page.wait_for_selector(f"canvas.axial[aria-label*='slice {z} ']")
