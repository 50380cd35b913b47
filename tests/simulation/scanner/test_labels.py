"""Labels name calcium that is bright on this very picture, never bone and never a device."""

from __future__ import annotations

import numpy as np

from calcmap.core.volume import Float32Array, Label
from calcmap.simulation.calcium.deposits import Tissue
from calcmap.simulation.patient import _labels_of
from calcmap.simulation.scanner.imaging import Picture

SHAPE_ZYX = (1, 1, 6)


def _row(*values: float) -> Float32Array:
    return np.array(values, dtype=np.float32).reshape(SHAPE_ZYX)


def test_a_voxel_belongs_to_the_deposit_that_adds_most_and_devices_are_no_calcium() -> None:
    # bright coronary, faint coronary, coronary in bone, more aorta, stent over calcium, stent alone
    picture = Picture(
        ct_hu_zyx=_row(300, 129, 400, 300, 900, 900).astype(np.int16),
        heart_zyx=np.ones(SHAPE_ZYX, dtype=np.bool_),
        tissue_hu_zyx=_row(40, 40, 200, 40, 40, 40).astype(np.int16),
        added_hu_zyx={
            Tissue.CORONARY: _row(260, 89, 200, 100, 200, 0),
            Tissue.NONCORONARY: _row(0, 0, 0, 160, 0, 0),
            Tissue.DEVICE: _row(0, 0, 0, 0, 660, 860),
        },
    )

    labels = _labels_of(picture)

    heart, coronary, other = Label.HEART, Label.CORONARY, Label.NONCORONARY
    np.testing.assert_array_equal(labels.ravel(), [coronary, heart, heart, other, heart, heart])
