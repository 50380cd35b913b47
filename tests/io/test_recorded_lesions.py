from __future__ import annotations

import numpy as np

from calcmap.io.recorded_lesions import find_recorded_lesions

SPACING_MM = (3.0, 1.0, 1.0)


def two_lesions() -> np.ndarray:
    dense = np.zeros((5, 20, 20), dtype=bool)
    dense[2, 5, 5:7] = True
    dense[2, 5, 12] = dense[3, 6, 13] = True
    return dense


def test_the_component_with_the_nearest_centroid_is_the_lesion() -> None:
    (first, second) = find_recorded_lesions(two_lesions(), [[2.0, 5.0, 5.5], [2.5, 5.5, 12.5]], SPACING_MM)
    assert first is not None
    assert second is not None
    assert np.argwhere(first).tolist() == [[2, 5, 5], [2, 5, 6]]
    assert np.argwhere(second).tolist() == [[2, 5, 12], [3, 6, 13]], "corner neighbours are one lesion"


def test_distance_is_in_mm_and_ends_at_three() -> None:
    centres = [[3.0, 5.0, 5.5], [3.1, 5.0, 5.5], [2.0, 8.0, 5.5], [2.0, 8.1, 5.5]]
    found = [lesion is not None for lesion in find_recorded_lesions(two_lesions(), centres, SPACING_MM)]
    assert found == [True, False, True, False]


def test_where_nothing_is_dense_nothing_is_found() -> None:
    empty = np.zeros((3, 4, 4), dtype=bool)
    assert find_recorded_lesions(empty, [[1.0, 1.0, 1.0]], SPACING_MM) == [None]
    assert find_recorded_lesions(two_lesions(), [], SPACING_MM) == []


def test_a_centre_may_lie_outside_the_array() -> None:
    assert find_recorded_lesions(two_lesions(), [[-4.0, 5.0, 50.0]], SPACING_MM) == [None]
