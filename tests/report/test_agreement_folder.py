from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calcmap.core.errors import InputError, OutputError
from calcmap.evaluation.bland_altman import bland_altman
from calcmap.evaluation.study import AgreementReport, AgreementSettings, assess_agreement, read_columns
from calcmap.report.agreement_figures import _bland_altman_figure
from calcmap.report.agreement_folder import write_agreement
from calcmap.report.agreement_json import agreement_to_json
from calcmap.report.agreement_tables import agreement_tables
from calcmap.report.checklists import agreement_facts
from calcmap.report.figures import new_figure, save_figure
from calcmap.report.numerals import between, p_value, percent
from calcmap.report.provenance import provenance_blocks
from calcmap.report.tables import TextTable, csv_text, latex_text, markdown_text, write_tables
from calcmap.statistics.estimates import Estimate
from evaluation.agreement_readings import made_readings

SETTINGS = AgreementSettings(draws=30)
TABLE = TextTable("a_b", "Share > 5 %", ("who", "n_1"), (("x|y", "5 & 6"),), note="not {real}")


@pytest.fixture(scope="module")
def report() -> AgreementReport:
    return assess_agreement(made_readings(SETTINGS), settings=SETTINGS)


def test_a_folder_holds_numbers_tables_and_figures(report: AgreementReport, tmp_path: Path) -> None:
    whole = write_agreement(report, tmp_path / "out", table_sha256="0" * 64)
    assert json.loads((tmp_path / "out" / "agreement.json").read_text(encoding="utf-8")) == whole
    figures = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert {"concordance.pdf", "concordance.png", "bland_altman_raw.pdf", "scatter_log.png"} <= figures
    with Image.open(tmp_path / "out" / "figures" / "bland_altman_log.png") as picture:
        assert min(picture.size) > 900
    tables = {path.stem for path in (tmp_path / "out" / "tables").glob("*.tex")}
    assert {"concordance", "kappa", "detection", "icc", "limits_of_agreement", "kappa_comparison"} <= tables


def test_json_has_the_promised_numbers(report: AgreementReport) -> None:
    whole = agreement_to_json(report)
    assert whole["matrix"] == [list(row) for row in report.pair.matrix]
    for scheme in ("linear", "quadratic", "unweighted"):
        kappa = whole[f"kappa_{scheme}"]
        assert kappa["low"] < kappa["estimate"] < kappa["high"]
        assert kappa["weighting"] == scheme
    assert whole["r2"] == pytest.approx(whole["scores"]["r2_raw"]["estimate"])
    assert set(whole["scores"]["icc_raw"]) == {"ICC(1,1)", "ICC(A,1)", "ICC(C,1)", "ICC(1,k)", "ICC(A,k)", "ICC(C,k)"}
    assert len(whole["three_way"]["kappa_differences"]) == 9
    json.dumps(whole, allow_nan=False)


def test_categories_alone_have_no_tables_and_figures_of_scores(tmp_path: Path) -> None:
    cells = {"reference": [0, 1, 2, 3, 3], "test": [0, 1, 1, 3, 2]}
    readings = read_columns(cells, columns={"reference": "a", "test": "b"}, settings=SETTINGS)
    report = assess_agreement(readings, settings=SETTINGS)
    whole = write_agreement(report, tmp_path, table_sha256="0" * 64)
    assert whole["scores"] is None
    assert whole["r2_interval"]["of"] == "category numbers"
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"concordance"}


def test_scores_that_are_equal_are_drawn_and_written(tmp_path: Path) -> None:
    cells: dict[str, list[object]] = {"reference": [0.0, 0.5], "test": [0.0, 0.5]}
    readings = read_columns(cells, columns={"reference": "a", "test": "b"}, settings=SETTINGS)
    whole = write_agreement(assess_agreement(readings, settings=SETTINGS), tmp_path, table_sha256="0" * 64)
    assert whole["kappa_linear"]["estimate"] is None
    assert whole["kappa_linear"]["reason"] is not None
    assert whole["scores"]["bland_altman_raw"]["limits"]["bias"]["estimate"] == 0.0


def test_limits_that_are_not_known_are_not_drawn() -> None:
    one, other = np.array([150.0]), np.array([120.0])
    figure = _bland_altman_figure(one, other, found=bland_altman(one, other), x="mean", y="difference")
    assert [line.get_ydata() for line in figure.axes[0].lines] == [[-30.0, -30.0]]  # the bias alone
    assert not figure.axes[0].patches


def test_a_table_repeats_the_matrix_with_its_sums(report: AgreementReport) -> None:
    table = next(table for table in agreement_tables(report) if table.name == "concordance")
    assert [list(map(int, row[1:-1])) for row in table.rows[:-1]] == [list(row) for row in report.pair.matrix]
    assert table.rows[-1][-1] == "80"


def test_markdown_and_latex_keep_their_signs() -> None:
    assert markdown_text(TABLE) == (
        "**Share \\> 5 %**\n\n| who | n\\_1 |\n|---|---:|\n| x\\|y | 5 & 6 |\n\nnot {real}\n"
    )
    tex = latex_text(TABLE)
    assert r"\caption{Share \textgreater{} 5 \%}" in tex
    assert r"x|y & 5 \& 6 \\" in tex
    assert r"\label{tab:a-b}" in tex
    assert r"not \{real\}" in tex
    bare = TextTable("a", "b", ("c",), ())
    assert "footnotesize" not in latex_text(bare)
    assert markdown_text(bare).endswith("|---|\n")


def test_csv_is_header_and_rows() -> None:
    assert list(csv.reader(csv_text(TABLE).splitlines())) == [["who", "n_1"], ["x|y", "5 & 6"]]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(InputError, match="2 columns and a row of 1 cells"):
        TextTable("a", "b", ("c", "d"), (("e",),))


def test_a_folder_that_cannot_be_written_is_one_line(report: AgreementReport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write"):
        write_agreement(report, tmp_path / "file", table_sha256="0")
    with pytest.raises(OutputError, match="cannot write"):
        write_tables([TABLE], tmp_path / "file")
    with pytest.raises(OutputError, match="cannot write"):
        save_figure(new_figure(), tmp_path / "file", name="a")


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (save_figure(new_figure(), tmp_path / name, name="a") for name in ("one", "two"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.8, 0.784, 0.816, 10), "0.800 (0.784 to 0.816)"),
        (Estimate(0.8, None, None, 10), "0.800"),
        (Estimate(None, 0.1, 0.2, 10), "0.100 to 0.200"),
        (Estimate(None, None, None, 0, "no cases"), "-"),
        (Estimate(-0.0001, -0.0004, 0.5, 9), "0.000 (0.000 to 0.500)"),
    ],
)
def test_estimates_are_printed_with_their_limits(estimate: Estimate, text: str) -> None:
    assert between(estimate) == text


def test_shares_and_p_values_are_printed_as_papers_do() -> None:
    assert percent(Estimate(0.125, 0.1, 0.15, 80)) == "12.5 (10.0 to 15.0)"
    assert percent(Estimate(None, None, None, 0)) == "-"
    assert [p_value(p) for p in (None, 0.0001, 0.0123, 1.0)] == ["-", "<0.001", "0.012", "1.000"]


def test_the_number_of_processes_changes_nothing(report: AgreementReport) -> None:
    many = replace(report, settings=replace(report.settings, workers=7))
    assert agreement_to_json(report) == agreement_to_json(many)
    assert agreement_facts(report, table_sha256="0") == agreement_facts(many, table_sha256="0")
    ends = [provenance_blocks(each.settings, table_sha256="") for each in (report, many)]
    assert ends[0] == ends[1]
