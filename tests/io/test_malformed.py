from __future__ import annotations

from pathlib import Path

import pytest

from calcmap.core.errors import InputError
from calcmap.core.scan import Scan
from calcmap.io.choosing import choose_series
from calcmap.io.finding import find_studies
from calcmap.io.reading import load_scan
from ct_series import ct_images, save
from malformed import MALFORMED, Malformed


def _read(path: Path) -> Scan:
    (study,) = find_studies([path])
    choice = choose_series(study)
    if choice.chosen is None:
        assert choice.refusal is not None
        raise choice.refusal
    return load_scan(study, choice.chosen.series_uid)


@pytest.mark.parametrize("row", MALFORMED.values(), ids=MALFORMED.keys())
def test_each_defect_is_refused_or_flagged_as_written(row: Malformed, tmp_path: Path) -> None:
    path = row.build(tmp_path / "study")
    if row.is_refused:
        with pytest.raises(InputError) as refusal:
            _read(path)
        assert refusal.value.code == row.expected
        assert "Synthetic" not in str(refusal.value)
    else:
        assert row.expected in [flag.code for flag in _read(path).flags]


def test_a_sound_series_has_no_flag(tmp_path: Path) -> None:
    assert _read(save(ct_images(), tmp_path)).flags == ()


def test_the_documentation_lists_every_code() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "reading.md").read_text(encoding="utf-8")
    assert [row.expected for row in MALFORMED.values() if f"`{row.expected}`" not in page] == []
