from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from calcmap.evaluation.study import AgreementReport, AgreementSettings, Missing, assess_agreement, read_columns
from calcmap.report.agreement_figures import agreement_figures
from calcmap.report.agreement_folder import write_agreement
from calcmap.report.agreement_page import agreement_page
from calcmap.report.agreement_tables import agreement_tables
from calcmap.report.page import Page, Paragraph, Picture, render_page
from calcmap.report.tables import TextTable
from evaluation.agreement_readings import made_readings

SETTINGS = AgreementSettings(draws=30, is_simulated=True)
NAMES = ("concordance", "concordance_reference_visual", "concordance_test_visual")
SCORES = ("bland_altman_raw", "bland_altman_log", "scatter_log")


def pictures(*names: str) -> Mapping[str, bytes]:
    held = BytesIO()
    Image.new("RGB", (30, 20)).save(held, format="png")
    return dict.fromkeys(names, held.getvalue())


@pytest.fixture(scope="module")
def report() -> AgreementReport:
    return assess_agreement(made_readings(SETTINGS), settings=SETTINGS)


def results(page: Page) -> list[str]:
    blocks = [block for section in page.sections for block in section.blocks]
    return [line for block in blocks if isinstance(block, Paragraph) and block.is_result for line in block.sentences]


def test_every_sentence_of_a_simulated_study_says_so(report: AgreementReport) -> None:
    page = agreement_page(report, pictures=pictures(*NAMES, *SCORES))
    sentences = results(page)
    assert len(sentences) > 15
    assert [line for line in sentences if "simulated" not in line] == []
    captions = [block.caption for section in page.sections for block in section.blocks if isinstance(block, Picture)]
    assert all("simulated" in caption for caption in captions)
    assert all("Simulated" in table.note for table in agreement_tables(report))


def test_a_study_of_people_never_says_simulated() -> None:
    settings = AgreementSettings(draws=30)
    report = assess_agreement(made_readings(settings), settings=settings)
    assert "imulated" not in render_page(agreement_page(report, pictures=pictures(*NAMES, *SCORES)))


def test_every_table_and_figure_stands_on_the_page_once(report: AgreementReport) -> None:
    page = agreement_page(report, pictures=pictures(*NAMES, *SCORES))
    blocks = [block for section in page.sections for block in section.blocks]
    shown = [block.name for block in blocks if isinstance(block, TextTable)]
    assert sorted(shown) == sorted([*(table.name for table in agreement_tables(report)), "provenance"])
    assert sorted(block.name for block in blocks if isinstance(block, Picture)) == sorted([*NAMES, *SCORES])
    assert "[[" not in render_page(page)


def test_equal_readers_have_no_kappa_and_the_page_says_why() -> None:
    read = partial(read_columns, columns={"reference": "a", "test": "b"}, settings=SETTINGS)
    report = assess_agreement(read({"reference": [0.0, 0.5], "test": [0.0, 0.5]}), settings=SETTINGS)
    text = " ".join(results(agreement_page(report, pictures=pictures("concordance", *SCORES))))
    assert "not estimable (" in text
    assert "agreement beyond chance is shown" not in text


def test_moves_that_do_not_differ_are_told_as_no_difference() -> None:
    read = partial(read_columns, columns={"reference": "a", "test": "b"}, settings=SETTINGS)
    report = assess_agreement(read({"reference": [0, 1, 2, 3, 1], "test": [1, 0, 2, 3, 1]}), settings=SETTINGS)
    text = " ".join(results(agreement_page(report, pictures=pictures("concordance"))))
    assert "no difference between moves up and down is shown" in text


def test_rows_without_a_reading_are_counted() -> None:
    settings = replace(SETTINGS, missing=Missing.DROP)
    cells: dict[str, list[object]] = {"reference": [0, 1, 2, 3], "test": [0, 1, None, 3]}
    readings = read_columns(cells, columns={"reference": "a", "test": "b"}, settings=settings)
    page = agreement_page(assess_agreement(readings, settings=settings), pictures=pictures("concordance"))
    assert "A reading was missing in 1 row of simulated patients, which were left out." in results(page)


def test_moves_of_one_direction_are_told_as_such() -> None:
    read = partial(read_columns, columns={"reference": "a", "test": "b"}, settings=SETTINGS)
    report = assess_agreement(read({"reference": [0, 1, 2] * 5, "test": [1, 2, 3] * 5}), settings=SETTINGS)
    assert "moves up were the more frequent" in " ".join(results(agreement_page(report, pictures=pictures(NAMES[0]))))


def test_a_reader_who_is_right_more_often_is_told_without_a_denial() -> None:
    columns = {"reference": "a", "test": "b", "visual": "c"}
    cells = {"reference": [0, 1, 2, 3] * 4, "test": [0, 1, 2, 3] * 4, "visual": [1, 2, 3, 2] * 4}
    report = assess_agreement(read_columns(cells, columns=columns, settings=SETTINGS), settings=SETTINGS)
    (told,) = (line for line in results(agreement_page(report, pictures=pictures(*NAMES))) if "McNemar" in line)
    assert "by the test alone in 16 and by the visual alone in 0" in told
    assert "no difference shown" not in told


def test_a_kappa_whose_draws_are_mostly_undefined_has_no_bootstrap_interval() -> None:
    read = partial(read_columns, columns={"reference": "a", "test": "b"}, settings=SETTINGS)
    report = assess_agreement(read({"reference": [0, 3], "test": [0, 3]}), settings=SETTINGS)
    assert "by bootstrap without interval (" in " ".join(
        results(agreement_page(report, pictures=pictures("concordance")))
    )


def test_every_figure_of_a_simulated_study_says_so(report: AgreementReport) -> None:
    figures = agreement_figures(report)
    assert set(figures) == {*NAMES, *SCORES}
    assert {figure.get_suptitle() for figure in figures.values()} == {"Simulated patients"}


def test_the_folder_holds_the_page(tmp_path: Path) -> None:
    settings = replace(SETTINGS, is_simulated=False)
    cells: dict[str, list[object]] = {"reference": [0, 1, 2, 3, 3], "test": [0, 1, 1, 3, 2]}
    readings = read_columns(cells, columns={"reference": "a", "test": "b"}, settings=settings)
    write_agreement(assess_agreement(readings, settings=settings), tmp_path, table_sha256="f" * 64)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "f" * 64 in html
    assert html.count("data:image/png;base64,") == 1
    assert "Limits of agreement" not in html
