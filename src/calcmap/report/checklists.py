"""Reporting checklists, filled as far as a run of CalcMap knows; the rest is marked for the author.

The items are in ``checklist_items/NAME.json``, each by its number and a short paraphrase of ours: no sentence of the
published forms is copied, and they, not this, are what a journal asks for. Each file says where its items come from and
of which we are not sure.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path

from calcmap import __version__
from calcmap.core.errors import InputError
from calcmap.evaluation.study import REFERENCE, TEST, AgreementReport
from calcmap.io.text_files import write_texts
from calcmap.prognosis.config import Analysis, MissingRule
from calcmap.prognosis.study import PrognosisStudy
from calcmap.report.numerals import between, percent
from calcmap.report.provenance import PACKAGES, StudySettings, settings_sha256
from calcmap.report.sentences import counted, listed, software_sentence
from calcmap.report.tables import TextTable, csv_text, markdown_text

CHECKLISTS_FOLDER = "checklists"
OF_AGREEMENT = ("prime", "claim")
OF_PROGNOSIS = ("prime", "claim", "tripod_ai")
"""TRIPOD+AI is for studies of prediction, so a study of agreement has none."""

NETWORK_FILES = ("heart.onnx", "calcium.onnx")
CARD = "calcmap/segmentation/weights/CARD.md"


class State(StrEnum):
    """Who has answered an item."""

    RUN = "from the run"
    PART = "in part"
    AUTHOR = "for the author"


@dataclass(frozen=True)
class Item:
    """One line of a checklist."""

    number: str
    section: str
    asks: str
    """What it asks for, in our words."""
    facts: tuple[str, ...]
    """Names of the facts of a run that answer it."""
    left: str
    """What these facts leave to the author; empty if nothing."""
    is_sure: bool
    """Whether we are sure of its number and subject; the form itself was not at hand."""


@dataclass(frozen=True)
class Checklist:
    """A reporting guideline's items."""

    name: str
    title: str
    reference: str
    source: str
    """Where our items come from."""
    unsure: str
    """What to compare with the published form."""
    items: tuple[Item, ...]


def load_checklist(name: str) -> Checklist:
    """Return a checklist by its name: ``prime``, ``claim`` or ``tripod_ai``.

    Raises
    ------
    InputError
        There is none of this name.
    """
    if name not in OF_PROGNOSIS:
        raise InputError(f"there is no checklist {name!r}, there are {', '.join(OF_PROGNOSIS)}")
    path = resources.files("calcmap.report").joinpath("checklist_items", f"{name}.json")
    whole = json.loads(path.read_text(encoding="utf-8"))
    items = tuple(Item(**{**item, "facts": tuple(item["facts"])}) for item in whole.pop("items"))
    return Checklist(**whole, items=items)


def state_of(item: Item, facts: Mapping[str, str]) -> State:
    """Return whether the facts answer an item, answer it in part, or leave it to the author."""
    if not any(facts.get(name) for name in item.facts):
        return State.AUTHOR
    return State.PART if item.left or not all(facts.get(name) for name in item.facts) else State.RUN


def filled(checklist: Checklist, facts: Mapping[str, str]) -> TextTable:
    """Return a checklist as a table: item, section, what it asks, who has answered, the answer.

    Parameters
    ----------
    checklist : Checklist
        From `load_checklist`.
    facts : mapping of str to str
        From `agreement_facts` or `prognosis_facts`; an empty or absent one is not known.

    Returns
    -------
    TextTable
        With as many rows as the checklist has items. What the facts leave open is named in the answer.
    """
    rows = []
    for item in checklist.items:
        state = state_of(item, facts)
        said = [facts[name] for name in item.facts if facts.get(name)]
        if state is State.PART and item.left:
            said.append(f"For the author: {item.left}.")
        rows.append(
            (item.number + ("" if item.is_sure else " ?"), item.section, item.asks, state.value, " ".join(said))
        )
    counts = {state: sum(state_of(item, facts) is state for item in checklist.items) for state in State}
    note = (
        f"{counts[State.RUN]} items from the run, {counts[State.PART]} in part, {counts[State.AUTHOR]} for the author. "
        f"Items are in our own words; journals ask for the published form: {checklist.reference}. {checklist.source} "
        f"{checklist.unsure} A question mark is an item of whose number or subject we are not sure. "
        f"Made by CalcMap {__version__}; research use only."
    )
    columns = ("item", "section", "asks for", "answered", "answer")
    return TextTable(checklist.name, f"Reporting checklist: {checklist.title}", columns, tuple(rows), note)


def write_checklists(facts: Mapping[str, str], folder: Path, *, names: Iterable[str]) -> tuple[Path, ...]:
    """Write checklists as Markdown and CSV and return the paths.

    Parameters
    ----------
    facts : mapping of str to str
        From `agreement_facts` or `prognosis_facts`.
    folder : Path
        The study's folder; the files go into its ``checklists``, which is made.
    names : iterable of str
        `OF_AGREEMENT`, `OF_PROGNOSIS` or some of them.

    Returns
    -------
    tuple of Path
        Markdown and CSV of each.

    Raises
    ------
    InputError
        There is no checklist of a name.
    OutputError
        The folder cannot be written.
    """
    tables = [filled(load_checklist(name), facts) for name in names]
    if not tables:
        return ()
    texts = {f"{table.name}.{suffix}": text for table in tables for suffix, text in _texts(table).items()}
    return tuple(write_texts(texts, folder / CHECKLISTS_FOLDER))


def _texts(table: TextTable) -> dict[str, str]:
    return {"md": markdown_text(table), "csv": csv_text(table)}


def agreement_facts(report: AgreementReport, *, table_sha256: str = "") -> dict[str, str]:
    """Return what a study of agreement knows for a checklist, by name."""
    settings, readings, pair = report.settings, report.readings, report.pair
    kappa = next(each.value for each in pair.kappas if each.value.weighting == "linear")
    reference, test = (readings.by_part[part].name for part in (REFERENCE, TEST))
    kind = "simulated " if settings.is_simulated else ""
    any_calcium = pair.detections[0]
    agreement = f"Linear weighted kappa of {test} and {reference}: {between(kappa)}; table kappa."
    return _common(is_simulated=settings.is_simulated) | {
        "n": f"{counted(readings.n, f'{kind}patient')} with every reading.",
        "flow": f"{readings.n + readings.n_dropped} rows, {readings.n_dropped} lack a reading, {readings.n} analysed.",
        "missing": f"{readings.n_dropped} rows with a missing reading, rule: {settings.missing.value}.",
        "task": f"Agreement of {test} with {reference} on calcium scores and their categories.",
        "reference": f"Column {reference}.",
        "columns": "; ".join(report.notes) + ".",
        "reading_rules": f"Categories {', '.join(settings.categories.names)}; scores are not rounded first.",
        "coding": "Scores as they are and as log(1 + score).",
        "measures": "Kappas, shares in the same category, sensitivity, specificity and predictive values at each cut, "
        "correlations, intraclass correlations, limits of agreement.",
        "performance": agreement,
        "agreement": agreement,
        "accuracy": f"From category {any_calcium.from_category}: sensitivity {percent(any_calcium.sensitivity)} %, "
        f"specificity {percent(any_calcium.specificity)} %; table detection.",
        "uncertainty": f"{100 * settings.confidence:g} % intervals, analytic and by bootstrap ({settings.draws} draws, "
        f"seed {settings.seed}).",
        "balance": f"Patients by category of the reference: {_counts(pair.matrix, settings.categories.names)}.",
        "errors": f"{percent(pair.shifts.by_more)} % are more than one category apart; table reclassified.",
        "provenance": _hashes(settings, table_sha256),
    }


def prognosis_facts(study: PrognosisStudy, *, table_sha256: str = "") -> dict[str, str]:
    """Return what a study of prognosis knows for a checklist, by name; what was not asked for is left out."""
    return (
        _common(is_simulated=study.settings.is_simulated)
        | _of_patients(study)
        | _of_settings(study)
        | _of_results(study)
        | {"provenance": _hashes(study.settings, table_sha256)}
    )


def _of_patients(study: PrognosisStudy) -> dict[str, str]:
    settings, flow = study.settings, study.main.patients
    kind = "simulated " if settings.is_simulated else ""
    left_out = listed(f"{each.n} ({each.reason})" for each in flow.left_out) or "nobody"
    facts = {
        "n": f"{counted(flow.n, f'{kind}patient')}, {counted(flow.n_events, 'event')}.",
        "flow": f"{flow.n_read} rows; left out {left_out}; {flow.n} analysed; table patients.",
        "balance": f"{flow.n_events} of {flow.n} {kind}patients had the event; nothing was done about it.",
        "events": "; ".join(
            f"{each.label}: {each.patients.n} patients, {each.patients.n_events} events" for each in study.analyses
        )
        + ".",
        "missing": _missing(study),
        "characteristics": "Tables table_one and table_by_event." if study.main.table_one is not None else "",
    }
    if study.main.follow_up_quartiles is not None:
        low, middle, high = study.main.follow_up_quartiles
        facts["follow_up"] = f"Median {middle:.2f} {settings.time_unit} (quartiles {low:.2f} and {high:.2f})."
    return facts


def _missing(study: PrognosisStudy) -> str:
    rule, flow = study.settings.missing, study.main.patients
    if rule is MissingRule.IMPUTE:
        told = listed(f"{each.reason} of {each.n}" for each in flow.imputed) or "nothing was missing"
        how = f"{study.settings.imputation.imputations} tables by chained equations, pooled by Rubin's rules"
        return f"Imputed: {told}; {how}."
    return (
        "Missing values are refused."
        if rule is MissingRule.ERROR
        else "Complete cases; table patients counts the rest."
    )


def _of_settings(study: PrognosisStudy) -> dict[str, str]:
    settings = study.settings
    endpoint = settings.endpoints[0]
    readings = listed(each.label or each.name for each in settings.categories)
    covariates = listed(each.label or each.column for each in settings.covariates if each.adjust) or "none"
    facts = {
        "title": f"{settings.title}.",
        "task": f"Survival: what {readings} say about {endpoint.label or endpoint.name}.",
        "analyses": f"{listed(each.value for each in settings.analyses)}; settings by their hash.",
        "outcome": f"{endpoint.label or endpoint.name}, column {endpoint.event}, time {endpoint.time}; horizon "
        f"{settings.horizon:g} {settings.time_unit}.",
        "predictors": f"Readings: {readings}. Covariates: {covariates}.",
        "columns": f"Columns used: {', '.join(settings.columns)}.",
        "reading_rules": "; ".join(
            f"{each.label or each.name}: {', '.join(each.levels)}" for each in settings.categories
        )
        + ".",
        "coding": "Categories as indicators against the reference; numbers per unit of the settings; no selection.",
        "model": f"Cox regression, ties by {settings.ties.value}, alone and adjusted for the covariates; no tuning.",
        "uncertainty": f"{100 * settings.confidence:g} % intervals; bootstrap with refits, {settings.bootstrap.draws} "
        f"draws, seed {settings.bootstrap.seed}.",
        "output": f"Risk by {settings.horizon:g} {settings.time_unit}; cut-offs "
        f"{', '.join(f'{cut:g}' for cut in settings.risk_cut_offs) or 'none'}.",
        "updating": "No model was updated.",
        "apparent": "All models were fitted to and judged on the same patients; no separate data.",
        "clusters": _clusters(study),
        "comparison": "Each reading with the covariates against the covariates alone and against the other readings.",
    }
    if settings.sensitivities:
        facts["sensitivities"] = f"{listed(each.label or each.name for each in settings.sensitivities)}."
    return facts


def _clusters(study: PrognosisStudy) -> str:
    settings = study.settings
    if settings.cluster is None and settings.strata is None:
        return ""
    said = [f"standard errors by cluster {settings.cluster}"] if settings.cluster else []
    said += [f"baseline hazard by {settings.strata}"] if settings.strata else []
    told = listed(said)  # not capitalize(): it would lower the letters of columns
    return f"{told[:1].upper()}{told[1:]}."


_MEASURES = {
    Analysis.HAZARD_RATIOS: "hazard ratios",
    Analysis.ADDED_VALUE: "likelihood ratio of added terms",
    Analysis.DISCRIMINATION: "Harrell's and Uno's C, time-dependent AUC",
    Analysis.CALIBRATION: "calibration in groups of risk",
    Analysis.RECLASSIFICATION: "NRI and IDI for censored data",
}


def _of_results(study: PrognosisStudy) -> dict[str, str]:
    main = study.main
    measures = [words for analysis, words in _MEASURES.items() if analysis in study.settings.analyses]
    facts = {"measures": f"{listed(measures)}." if measures else ""}
    if main.discrimination is not None:
        told = (f"{each.label} {between(each.harrell)}" for each in main.discrimination.models)
        facts["performance"] = f"Harrell's C: {'; '.join(told)}; table discrimination."
    if main.hazard_ratios is not None:
        facts["full_model"] = "Hazard ratios of every term: tables hazard_ratios_*."
    return facts


def _common(*, is_simulated: bool) -> dict[str, str]:
    return {
        "software": software_sentence(PACKAGES),
        "table": "One table, a row a patient.",
        "steps": "Table, categories, statistics, report; every setting is in the JSON file.",
        "simulated": "The patients are simulated: nothing here is evidence on people." if is_simulated else "",
        "intended": "CalcMap is for research on ungated attenuation CT, not for care.",
        "interpretation": "CalcMap's score is a sum over lesions that can be seen and removed one by one.",
    } | _of_networks()


def _of_networks() -> dict[str, str]:
    """Return facts of the shipped networks, which hold only where the scores are theirs; a table does not say so."""
    folder = resources.files("calcmap.segmentation").joinpath("weights")
    hashes = listed(
        f"{name} {hashlib.sha256(folder.joinpath(name).read_bytes()).hexdigest()[:16]}" for name in NETWORK_FILES
    )
    card = folder.joinpath("CARD.md").read_text(encoding="utf-8")
    sizes = re.search(r"^\| parameters \| ([\d,]+) \| ([\d,]+) \|", card, flags=re.MULTILINE)
    size = f", {sizes.group(1)} and {sizes.group(2)} parameters" if sizes else ""
    begin = "If the scores are of the networks shipped with this version"
    return {
        "networks": f"{begin}: two cascaded convolutional LSTMs{size} (SHA-256 {hashes}); card {CARD}.",
        "training": f"{begin}: supervised, data, recipe and results in {CARD}.",
        "network_limits": f"{begin}: their limits are in {CARD}.",
    }


def _counts(matrix: tuple[tuple[int, ...], ...], names: tuple[str, ...]) -> str:
    return listed(f"{name} {sum(row)}" for name, row in zip(names, matrix, strict=True))


def _hashes(settings: StudySettings, table_sha256: str) -> str:
    table = f", table SHA-256 {table_sha256}" if table_sha256 else ""
    return f"Settings SHA-256 {settings_sha256(settings)}{table}."
