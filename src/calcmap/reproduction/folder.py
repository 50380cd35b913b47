"""The comparison as files: ``comparison.json``, a table for each section, and one page that leads to all the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from calcmap import __version__
from calcmap.core.result import DISCLAIMER, Status
from calcmap.io.text_files import write_json
from calcmap.report.page import REPORT_FILE, Page, Paragraph, save_page
from calcmap.report.page import Section as PageSection
from calcmap.report.sentences import capital
from calcmap.report.tables import TABLES_FOLDER, TextTable, write_tables
from calcmap.reproduction.comparison import ComparisonLine
from calcmap.reproduction.paper import PATIENTS, Section
from calcmap.reproduction.scoring import ScoredPatient
from calcmap.statistics.estimates import Estimate

COMPARISON_FILE = "comparison.json"


@dataclass(frozen=True)
class Reproduction:
    """All that the comparison's files tell.

    Parameters
    ----------
    lines : tuple of ComparisonLine
        The paper's numbers beside the simulated ones.
    n_patients : int
        Simulated.
    refusals : dict of str to int
        How many studies were refused, by reason code.
    against_labels : dict
        What `write_evaluation` returned: the networks beside the planted labels.
    networks : dict of str to str
        SHA-256 of what scored.
    seed : int
        Of the cohort.
    """

    lines: tuple[ComparisonLine, ...]
    n_patients: int
    refusals: dict[str, int]
    against_labels: dict[str, Any]
    networks: dict[str, str]
    seed: int

    @property
    def n_inside(self) -> int:
        """How many of the paper's numbers lie in the simulated interval."""
        return sum(line.is_inside is True for line in self.lines)

    @property
    def n_compared(self) -> int:
        """How many of the paper's numbers have a simulated interval beside them."""
        return sum(line.is_inside is not None for line in self.lines)


def count_refusals(scored: Sequence[ScoredPatient]) -> dict[str, int]:
    """Return how many studies were refused, by reason code, the commonest first."""
    refused = (each.result for each in scored if each.result["status"] == Status.REFUSED.value)
    return dict(Counter(str(result["reason_code"]) for result in refused).most_common())


def write_reproduction(found: Reproduction, out: Path) -> dict[str, Any]:
    """Write ``comparison.json``, ``tables/`` and ``report.html`` into a folder.

    Parameters
    ----------
    found : Reproduction
        What was found.
    out : Path
        Made when absent. The page links to ``agreement/``, ``prognosis/`` and ``evaluation/`` beside it.

    Returns
    -------
    dict
        What ``comparison.json`` holds.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    content = comparison_to_json(found)
    write_json(content, out, name=COMPARISON_FILE)
    tables = comparison_tables(found)
    write_tables(tables.values(), out / TABLES_FOLDER)
    save_page(comparison_page(found, tables), out / REPORT_FILE)
    return content


def comparison_to_json(found: Reproduction) -> dict[str, Any]:
    """Return the comparison as plain values."""
    return {
        "is_simulated": True,
        "patients": found.n_patients,
        "paper_patients": PATIENTS,
        "seed": found.seed,
        "refused": found.refusals,
        "compared": found.n_compared,
        "inside": found.n_inside,
        "numbers": [
            {
                "paper": asdict(line.paper),
                "simulated": {
                    "estimate": line.found.estimate,
                    "low": line.found.low,
                    "high": line.found.high,
                    "n": line.found.n,
                    "reason": line.found.reason,
                },
                "is_inside": line.is_inside,
            }
            for line in found.lines
        ],
        "networks_sha256": found.networks,
        "calcmap_version": __version__,
        "disclaimer": DISCLAIMER,
    }


def comparison_tables(found: Reproduction) -> dict[Section, TextTable]:
    """Return one table for each section of the paper that has numbers.

    A reason why several numbers are not known, or have no interval, is told once, below the table.
    """
    by_section = {each: [line for line in found.lines if line.paper.section is each] for each in Section}
    return {section: _table(section, lines) for section, lines in by_section.items() if lines}


def _table(section: Section, lines: Sequence[ComparisonLine]) -> TextTable:
    marks = _shared_reasons(lines)
    told = [f"[{mark}] {reason}." for reason, mark in marks.items()]
    return TextTable(
        name=section.value.replace(" ", "_"),
        title=capital(section.value),
        columns=("", "paper, real patients", "simulated (95 % interval)", "paper's inside?"),
        rows=tuple(_row(line, marks) for line in lines),
        note=" ".join(filter(None, (_note(section), *told))),
    )


def _shared_reasons(lines: Sequence[ComparisonLine]) -> dict[str, str]:
    """Return a letter for each reason that more than one row has for lacking its number or its interval."""
    lacking = Counter(line.found.reason for line in lines if line.is_inside is None and line.found.reason)
    return dict(zip((reason for reason, n in lacking.items() if n > 1), ascii_lowercase, strict=False))


def _note(section: Section) -> str:
    if section is Section.COHORT:
        return (
            f"Counts are brought to the paper's {PATIENTS} patients. * Not printed: follows from the printed intervals "
            "of the unadjusted hazard ratios."
        )
    if section is Section.RECLASSIFICATION:
        return (
            "Continuous, by Kaplan-Meier, at the paper's median follow-up. The paper names neither the kind nor the "
            "horizon; this kind fits its intervals best."
        )
    return ""


def _row(line: ComparisonLine, marks: Mapping[str, str]) -> tuple[str, str, str, str]:
    paper, found = line.paper, line.found
    printed = f"{paper.value:.{paper.digits}f}"
    if paper.low is not None and paper.high is not None:
        printed += f" ({paper.low:.{paper.digits}f} to {paper.high:.{paper.digits}f})"
    said = {True: "yes", False: "no", None: "unknown"}[line.is_inside]
    return paper.what + (" *" if paper.is_derived else ""), printed, _said(found, marks, digits=paper.digits), said


def _said(found: Estimate, marks: Mapping[str, str], *, digits: int) -> str:
    mark = marks.get(found.reason or "")
    why = f" [{mark}]" if mark else f": {found.reason}"
    if found.estimate is None:
        return f"not known{why}"
    if found.low is None or found.high is None:
        return f"{found.estimate:.{digits}f} (no interval{why})"
    return f"{found.estimate:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def comparison_page(found: Reproduction, tables: dict[Section, TextTable]) -> Page:
    """Return the page: what was done, who was refused, and the tables."""
    n_refused = sum(found.refusals.values())
    lead = (
        f"{found.n_patients} simulated patients (external site, seed {found.seed}) were given a DICOM study each; "
        f"the shipped networks scored {found.n_patients - n_refused} and refused {n_refused}. "
        f"Of the {found.n_compared} numbers of the paper that can be compared, {found.n_inside} lie in the simulated "
        "95 % interval."
    )
    sections = [
        PageSection("Patients", (Paragraph(tuple(_patient_sentences(found)), is_result=True),)),
        PageSection("Networks and planted calcium", (Paragraph(tuple(_label_sentences(found)), is_result=True),)),
        *(PageSection(table.title, (table,)) for table in tables.values()),
        PageSection("How to read it", (Paragraph(_READING),)),
    ]
    return Page(
        title="The paper's evidence, on simulated patients",
        lead=lead,
        sections=tuple(sections),
        made_by=f"CalcMap {__version__}",
        is_simulated=True,
    )


_READING = (
    "The simulated cohort was made to resemble the paper's: its shares, risk factors and hazards are set to the "
    "printed ones, so their agreeing says that simulator and analysis are consistent, not that the paper is right.",
    "What is not set is what the networks make of the images; it moves the agreement, and through misread patients the "
    "hazard ratios and the net reclassification.",
    "An interval is one cohort's: of numbers that are right, one in twenty lies outside.",
    "Every number of the agreement is in agreement/report.html, of the prognosis in prognosis/report.html, of each "
    "patient in patients_scored.csv.",
)


def _patient_sentences(found: Reproduction) -> Iterator[str]:
    if not found.refusals:
        yield f"None of the {found.n_patients} simulated studies was refused."
        return
    reasons = ", ".join(f"{code} {n}" for code, n in found.refusals.items())
    yield f"Refused simulated studies by reason: {reasons}; they have no score and are in none of the tables below."


def _label_sentences(found: Reproduction) -> Iterator[str]:
    figures = found.against_labels
    yield (
        f"Against the planted labels of the {figures['n']} simulated patients the linear weighted kappa was "
        f"{_words(figures['kappa_linear'])}, r2 of log(1 + score) {_words(figures['r2_log_score'])}."
    )
    found_any, lesions = figures["any_calcium"], figures["lesions"]
    yield (
        f"In these simulated scans any calcium was found with a sensitivity of {_words(found_any['sensitivity'])} and "
        f"a specificity of {_words(found_any['specificity'])}; of {lesions['reference']} lesions "
        f"{_words(lesions['sensitivity'])} were found, with {lesions['false_per_scan']:.2f} false ones a scan."
    )
    yield f"The simulated hearts were found with a mean Dice of {_words(figures['dice_heart'])}."


def _words(interval: dict[str, Any]) -> str:
    if interval["estimate"] is None:
        return "not defined"
    return f"{interval['estimate']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"
