from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import datetime
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from calcmap.core.result import CalciumClass, ClassScore, LesionResult, Percentile, StudyResult, Vessel
from calcmap.core.scan import QualityFlag, Severity
from calcmap.core.volume import Label, Labels, Volume
from calcmap.report import letters
from calcmap.report.doctor_page import N_PICTURES, PageSubject, draw_page, page_pdf
from core.results import empty_result, refused_result, scored_result
from scored_chest import scored_chest

SUBJECT = PageSubject(
    names=("<b>O'Neil</b> & $x_1$, \\Zoë",),
    left=(("Patient ID", "4711"), ("Born", "1960-01-16"), ("Sex, age", "F, 061Y")),
    right=(("Study", "Myocardial perfusion"), ("Date", "2026-11-23"), ("Accession", ""), ("Referred by", "Who, Dr"),
           ("Series", "CTAC 5.0")),
    status="UNVERIFIED: by software alone, not seen by a physician",
    is_verified=False,
    made_at=datetime(2026, 11, 23, 22, 40),
)  # fmt: skip


@pytest.fixture(scope="module")
def chest() -> tuple[Volume, Labels]:
    return scored_chest()


def words(page: Figure) -> list[str]:
    return [text.get_text() for text in page.texts]


def page_of(result: StudyResult, subject: PageSubject = SUBJECT) -> list[str]:
    return words(draw_page(result, None, None, subject=subject))


def test_the_page_tells_score_category_place_and_trust() -> None:
    page = page_of(scored_result())
    for expected in (
        "122",
        "Category 101-400 CAC-DRS A2/N2",
        "likely: 80 % this category, 99 % any calcium",
        "Percentile: 71 among men, 62 years, white",
        "MESA 2006, 45 to 84 years, no known heart disease;",
        "Arterial age: 74 years",
        "warning: kvp_not_120: 140 kVp instead of 120 kVp",
        SUBJECT.status,
        "Not a medical device; research use only.",
    ):
        assert expected in page
    assert page[page.index("LAD") : page.index("LAD") + 5] == ["LAD", "102", "98", "20.1", "1"]
    assert page[page.index("Noncoronary") : page.index("Noncoronary") + 5] == ["Noncoronary", "310", "240", "-", "1"]
    assert any("Rule clinical: >= 130 HU" in line for line in page)


def test_what_is_not_known_is_said_to_be_not_given() -> None:
    page = page_of(empty_result())
    assert {"0", "0 - no coronary calcium found", "Percentile: not given", "Arterial age: not given"} <= set(page)
    assert "Quality: nothing noticed" in page


def test_an_unknown_reference_is_named_as_it_is() -> None:
    result = replace(scored_result(), percentiles=(Percentile("other2030", 3.0, "women", "interpolated"),))
    assert "other2030; interpolated" in page_of(result)


def test_names_are_printed_letter_by_letter() -> None:
    page = draw_page(scored_result(), None, None, subject=SUBJECT)
    (name,) = [text for text in page.texts if text.get_text() == SUBJECT.names[0]]
    assert not name.get_parse_math()


def test_a_letter_that_no_font_has_is_a_question_mark() -> None:
    assert letters.drawable("a\U0010ffffb\nc") == "a?b c"
    assert letters.fonts_for("Zoë Иван") == [letters.USUAL_FONT]
    assert letters.fonts_for("山")[0] == letters.USUAL_FONT
    assert not letters.can_draw("\U0010ffff")


def test_a_refused_study_has_its_reason_and_no_number(chest: tuple[Volume, Labels]) -> None:
    page = words(draw_page(refused_result(), *chest, subject=SUBJECT))
    assert "No score" in page
    assert any(line.startswith("the lowest slice holds 60%") for line in page)
    assert "This is not a score of 0: nothing is said about calcium." in page
    assert not [line for line in page if line.startswith(("Category", "Percentile", "All coronary"))]


def test_a_refused_scan_without_heart_shows_whole_slices(chest: tuple[Volume, Labels]) -> None:
    page = draw_page(refused_result(), chest[0], None, subject=SUBJECT)
    assert len(page.axes) == N_PICTURES


def _crowded() -> StudyResult:
    """Return a result that fills every line of the page."""
    one = ClassScore(12345.6, 12345.6, 1234.5, 99, 3.9)
    long = "a sentence that is much longer than a line of this page has room for, " * 3
    lesion = LesionResult(1, CalciumClass.CORONARY, Vessel.LAD, 15, 30, (0.0, 0.0, 0.0), 98.2, 412, 12345.6)
    return replace(
        scored_result(),
        vessels=dict.fromkeys(Vessel, one),
        coronary=one,
        lesions=tuple(replace(lesion, id=number) for number in range(1, 30)),
        quality=tuple(QualityFlag(f"flag_{i}", severity, long) for i in range(3) for severity in Severity
                      if severity is not Severity.REFUSE),
        percentiles=tuple(Percentile(name, 99.0, "white women, 84 years", long) for name in ("hoff2001", "mesa2006")),
    )  # fmt: skip


@pytest.mark.parametrize("result", [_crowded(), replace(refused_result(), reason="why it is so, " * 60)])
def test_no_line_leaves_the_page_or_covers_another(chest: tuple[Volume, Labels], result: StudyResult) -> None:
    subject = replace(
        SUBJECT,
        status="VERIFIED 2026-11-24 08:15 by " + "A Long Name, " * 9,
        names=("Nm" * 32, "the same again", "and again"),
        right=tuple((k, "long " * 30) for k, _ in SUBJECT.right),
    )
    page = draw_page(result, *chest, subject=subject)
    renderer = FigureCanvasAgg(page).get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in page.texts if text.get_text()]
    boxes += [("picture", axes.get_window_extent(renderer)) for axes in page.axes]
    for name, box in boxes:
        assert box.x0 >= 0, name
        assert box.x1 <= page.bbox.x1, name
        assert box.y0 >= 0, name
    touching = [
        (a, b) for (a, box), (b, other) in combinations(boxes, 2) if box.padded(-1.5).overlaps(other.padded(-1.5))
    ]
    assert touching == []
    if result.coronary is not None:
        assert "Quality (2 more flags)" in words(page)


def test_a_refused_page_marks_no_calcium(chest: tuple[Volume, Labels], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def look(volume: Volume, labels: Labels, **_: object) -> object:
        seen.append(int(labels.labels_zyx.max()))
        return [[0]]

    monkeypatch.setattr("calcmap.report.planes.axial_picture", look)
    draw_page(refused_result(), *chest, subject=SUBJECT)
    assert set(seen) == {Label.HEART}


@pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="POPPLER ABSENT: no PDF was read; apt-get install poppler-utils"
)
def test_the_pdf_has_one_page_whose_words_can_be_found(tmp_path: Path) -> None:
    subject = replace(SUBJECT, names=("Иванов, Иван", *(name for name in ("山田, 太郎",) if letters.can_draw(name))))
    (tmp_path / "page.pdf").write_bytes(page_pdf(scored_result(), None, None, subject=subject))
    run = subprocess.run(
        ["pdftotext", "-layout", tmp_path / "page.pdf", "-"], capture_output=True, text=True, check=True
    )
    assert run.stdout.count("\f") == 1
    for name in (*subject.names, "122", "UNVERIFIED"):
        assert name in run.stdout
