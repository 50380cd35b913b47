from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from calcmap.prognosis.assessment import assess_prognosis
from calcmap.prognosis.config import Analysis
from calcmap.prognosis.study import PrognosisStudy
from calcmap.report.page import Page, Paragraph, Picture, render_page
from calcmap.report.prognosis_figures import prognosis_figures
from calcmap.report.prognosis_page import prognosis_page
from calcmap.report.prognosis_tables import prognosis_tables
from calcmap.report.tables import TextTable
from report.prognosis_studies import SETTINGS, made_cells, made_study


@pytest.fixture(scope="module")
def study() -> PrognosisStudy:
    return made_study()


@pytest.fixture(scope="module")
def pictures(study: PrognosisStudy) -> Mapping[str, bytes]:
    held = BytesIO()
    Image.new("RGB", (30, 20)).save(held, format="png")
    return dict.fromkeys(prognosis_figures(study), held.getvalue())


def results(page: Page) -> list[str]:
    blocks = [block for section in page.sections for block in section.blocks]
    return [line for block in blocks if isinstance(block, Paragraph) and block.is_result for line in block.sentences]


def test_every_sentence_with_a_result_of_a_simulated_study_says_so(
    study: PrognosisStudy, pictures: Mapping[str, bytes]
) -> None:
    page = prognosis_page(study, pictures=pictures)
    sentences = results(page)
    assert len(sentences) > 30
    assert [line for line in sentences if "simulated" not in line] == []
    captions = [block.caption for section in page.sections for block in section.blocks if isinstance(block, Picture)]
    assert all("simulated" in caption for caption in captions)


def test_every_figure_of_the_study_stands_on_the_page(study: PrognosisStudy, pictures: Mapping[str, bytes]) -> None:
    page = prognosis_page(study, pictures=pictures)
    shown = [block.name for section in page.sections for block in section.blocks if isinstance(block, Picture)]
    assert sorted(shown) == sorted(pictures)
    html = render_page(page)
    assert "[[" not in html
    assert not re.search(r"\b(nan|None|inf)\b", html)


def test_every_table_of_the_main_analysis_stands_on_the_page(
    study: PrognosisStudy, pictures: Mapping[str, bytes]
) -> None:
    page = prognosis_page(study, pictures=pictures)
    shown = {block.name for section in page.sections for block in section.blocks if isinstance(block, TextTable)}
    prefixes = tuple(f"{each.name}_" for each in study.sensitivities)
    main = {table.name for table in prognosis_tables(study) if table.rows and not table.name.startswith(prefixes)}
    assert main <= shown


def test_an_analysis_that_cannot_be_made_says_why(study: PrognosisStudy, pictures: Mapping[str, bytes]) -> None:
    page = prognosis_page(study, pictures=pictures)
    section = next(section for section in page.sections if section.heading == "Nobody")
    told = " ".join(line for block in section.blocks if isinstance(block, Paragraph) for line in block.sentences)
    assert "No analysis of these simulated patients was possible:" in told


def test_claims_follow_the_intervals(study: PrognosisStudy, pictures: Mapping[str, bytes]) -> None:
    told = results(prognosis_page(study, pictures=pictures))
    found = study.main.hazard_ratios
    assert found is not None
    for line in found.adjusted[0].terms[1:4]:
        begin = f"In simulated patients with {line.label} {line.level} "
        sentence = next(each for each in told if each.startswith(begin) and "adjusted" in each)
        covers = line.ratio.low is not None and line.ratio.high is not None and line.ratio.low <= 1 <= line.ratio.high
        assert ("no difference is shown" in sentence) == covers


def test_a_reading_without_effect_is_claimed_to_have_none_shown() -> None:
    settings = replace(SETTINGS, is_simulated=False, sensitivities=(), analyses=(Analysis.HAZARD_RATIOS,))
    study = assess_prognosis(made_cells(120, seed=11, effect=0.0), settings)
    told = " ".join(results(prognosis_page(study, pictures={})))
    assert "no difference is shown" in told
    assert "simulated" not in told


def test_the_page_loads_nothing(study: PrognosisStudy, pictures: Mapping[str, bytes]) -> None:
    html = render_page(prognosis_page(study, pictures=pictures, table_sha256="a" * 64))
    assert "a" * 64 in html
    assert not re.search(r"<script|<link|https?://|url\(", html)
