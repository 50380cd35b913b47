"""The table of rules: severity by rule, and the same table in the documentation."""

from pathlib import Path

from calcmap.core.scan import QualityFlag, Severity
from calcmap.quality import RULES, refusals, rules_table

REFERENCE_PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "quality.md"


def test_code_and_severity_name_one_rule() -> None:
    keys = [(rule.code, rule.severity) for rule in RULES]
    assert len(set(keys)) == len(keys)


def test_every_rule_says_limit_reason_and_source() -> None:
    assert all(rule.limit and rule.reason and rule.source for rule in RULES)


def test_a_flag_takes_its_severity_from_its_rule() -> None:
    for rule in RULES:
        assert rule.flag("found") == QualityFlag(rule.code, rule.severity, "found")


def test_no_tube_voltage_rule_refuses() -> None:
    assert all(rule.severity is not Severity.REFUSE for rule in RULES if rule.code.startswith("kvp"))


def test_reader_codes_are_not_used_here() -> None:
    assert {"hu_padding", "slice_gap", "slice_overlap"}.isdisjoint(rule.code for rule in RULES)


def test_refusals_keeps_only_refusing_flags_in_order() -> None:
    flags = [QualityFlag(str(i), severity, "d") for i, severity in enumerate([*Severity, *Severity])]
    assert [flag.code for flag in refusals(flags)] == ["2", "5"]


def test_no_flags_are_no_refusal() -> None:
    assert refusals(()) == ()


def test_the_reference_page_holds_the_table_of_the_code() -> None:
    assert rules_table() in REFERENCE_PAGE.read_text(encoding="utf-8")
