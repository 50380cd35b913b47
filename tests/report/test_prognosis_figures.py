from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.text import Text

from calcmap.prognosis.config import Analysis
from calcmap.prognosis.study import PrognosisStudy
from calcmap.report.figures import FONT_POINTS, write_figures
from calcmap.report.prognosis_figures import DASHES, INKS, MARKERS, file_name, prognosis_figures
from report.prognosis_studies import made_study

READABLE_CONTRAST = 3.0
"""Of graphics against their ground (WCAG 2.1, 1.4.11)."""


@pytest.fixture(scope="module")
def study() -> PrognosisStudy:
    return made_study(sensitivities=())


def luminance(ink: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.1)."""
    parts = [int(ink[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def lightness(ink: str) -> float:
    """Return CIE L*, 0 to 100."""
    return 116 * luminance(ink) ** (1 / 3) - 16


def test_all_figures_of_the_paper_are_drawn(study: PrognosisStudy) -> None:
    figures = prognosis_figures(study)
    assert {"survival_dl", "survival_expert", "hazard_ratios", "forest_dl", "nri", "calibration"} <= set(figures)


def test_letters_are_as_large_as_print_needs_and_simulated_is_written(study: PrognosisStudy) -> None:
    for figure in prognosis_figures(study).values():
        texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
        assert min(text.get_fontsize() for text in texts) >= FONT_POINTS
        assert any("Simulated" in text.get_text() for text in texts)


def test_figures_of_people_do_not_say_simulated() -> None:
    study = made_study(sensitivities=(), is_simulated=False, analyses=(Analysis.CURVES,))
    texts = [text.get_text() for figure in prognosis_figures(study).values() for text in figure.findobj(Text)]
    assert not any("imulated" in text for text in texts)


def test_lines_of_four_categories_differ_in_grey_and_stand_out_from_paper() -> None:
    for one, other in combinations(INKS[:4], 2):
        assert abs(lightness(one) - lightness(other)) > 9.0
    assert all(1.05 / (luminance(ink) + 0.05) > READABLE_CONTRAST for ink in INKS)
    assert len({str(dash) for dash in DASHES}) == len(DASHES) == len(MARKERS) == len(INKS)


def test_the_numbers_at_risk_stand_under_the_curves(study: PrognosisStudy) -> None:
    curves = (study.main.curves or ())[0]
    figure = prognosis_figures(study)["survival_dl"]
    written = [text.get_text() for text in figure.axes[1].texts]
    assert written == [str(count) for level in curves.survival for count in level.at_risk]
    assert "Log-rank p" in figure.axes[0].get_title(loc="left")


def test_a_hazard_axis_is_logarithmic_and_holds_one(study: PrognosisStudy) -> None:
    for name in ("hazard_ratios", "forest_dl"):
        axes = prognosis_figures(study)[name].axes[0]
        assert axes.get_xscale() == "log"
        low, high = axes.get_xlim()
        assert low < 1.0 < high


def test_files_are_pdf_and_png_and_names_are_safe(tmp_path: Path) -> None:
    study = made_study(sensitivities=(), analyses=(Analysis.CURVES,))
    pictures = write_figures(prognosis_figures(study), tmp_path / "figures")
    paths = sorted((tmp_path / "figures").iterdir())
    assert [path.suffix for path in paths] == [".pdf", ".png"] * 2
    assert all(path.stat().st_size > 1000 for path in paths)
    assert pictures == {path.stem: path.read_bytes() for path in paths if path.suffix == ".png"}
    assert [file_name(name) for name in ("../a b", "dl", "")] == ["a_b", "dl", "unnamed"]
