"""A calcium network that gets HU alone: what it finds in the heart's box stays, wherever it lies."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from calcmap.core.errors import ModelError
from calcmap.core.volume import Label, Volume
from calcmap.segmentation.cascade import Cascade
from calcmap.segmentation.engine import Engine
from segmentation.heart_in_air import heart_in_air
from stub_networks import METADATA, heart_weights


class CoronaryAbove:
    """A session that calls everything above the middle of the HU window coronary, and notes what it was given."""

    def __init__(self) -> None:
        self.channels_seen: set[int] = set()

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="slices")]

    def run(self, _: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        slices_schw = feed["slices"]
        self.channels_seen.add(slices_schw.shape[1])
        hu = slices_schw[:, :1]
        return [np.concatenate([np.zeros_like(hu), hu, -np.ones_like(hu)], axis=1)]


class HeartSession(CoronaryAbove):
    def run(self, _: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        weights, biases = heart_weights()
        return [np.einsum("kc,schw->skhw", weights, feed["slices"]) + biases[:, None, None]]


def cascade(session: CoronaryAbove, **metadata: str) -> Cascade:
    heart = Engine(HeartSession(), "a", METADATA["heart"])
    return Cascade(heart, Engine(session, "b", METADATA["calcium"] | metadata))


def ribbed_scan() -> tuple[Volume, tuple[slice, slice, slice]]:
    """Return a scan with a rib of 400 HU outside the heart, and where the rib lies."""
    volume, heart = heart_in_air(with_calcium=False)
    ct = volume.ct_hu_zyx.copy()
    z, y = 20, 42
    edge = int(np.flatnonzero(heart[z, y])[0])
    rib = (slice(z, z + 1), slice(y, y + 1), slice(edge - 4, edge + 1))  # 8 mm outside, one voxel inside
    ct[rib] = 400
    return Volume(ct, volume.grid), rib


def test_it_gets_hu_alone_and_its_findings_are_not_cut_back_to_the_heart() -> None:
    volume, rib = ribbed_scan()
    session = CoronaryAbove()
    labels = cascade(session, sees_heart="false").segment(volume).labels.labels_zyx
    assert session.channels_seen == {1}
    # the box reaches 8 mm beyond the heart: the rib's outermost voxel may lie outside it
    assert (labels[rib][..., 1:] == Label.CORONARY).all()
    assert (labels == Label.CORONARY).sum() <= 5


@pytest.mark.parametrize("metadata", [{}, {"sees_heart": "true"}])
def test_a_network_that_sees_the_heart_is_cut_back_to_it(metadata: dict[str, str]) -> None:
    volume, _ = ribbed_scan()
    session = CoronaryAbove()
    labels = cascade(session, **metadata).segment(volume).labels.labels_zyx
    assert session.channels_seen == {5}
    assert (labels != Label.CORONARY).all()


def test_a_file_that_says_it_unreadably_is_refused() -> None:
    with pytest.raises(ModelError, match="is not understood"):
        cascade(CoronaryAbove(), sees_heart=json.dumps(True) + "?")
