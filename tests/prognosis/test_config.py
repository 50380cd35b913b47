from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from calcmap.cohorts.columns import COLUMNS
from calcmap.core.config import config_from_dict, load_config
from calcmap.core.errors import ConfigError
from calcmap.prognosis import config as module
from calcmap.prognosis.bootstrap import QuantileType
from calcmap.prognosis.config import Analysis, CovariateKind, PrognosisSettings
from calcmap.prognosis.missing import ImputationSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "prognosis-settings.md"

LEAST: dict[str, Any] = {
    "horizon": 3,
    "endpoints": [{"name": "mace", "time": "years", "event": "mace"}],
    "categories": [{"name": "dl", "column": "agatston", "cuts": [1, 100, 400]}],
}


def read(**changes: Any) -> PrognosisSettings:
    return config_from_dict(LEAST | changes, PrognosisSettings, where="test")


def test_least_settings_have_the_papers_defaults() -> None:
    found = read()
    assert found.analyses == tuple(Analysis)
    assert found.categories[0].levels == ("0", "1-100", "101-400", ">400")
    assert found.bootstrap_settings.draws == 1000
    assert found.bootstrap_settings.quantile_type is QuantileType.TYPE_2
    assert found.columns == ("years", "mace", "agatston")


def test_example_of_the_page_loads(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    path = tmp_path / "prognosis.toml"
    path.write_text(block, encoding="utf-8")
    found = load_config(path, PrognosisSettings)
    assert [endpoint.name for endpoint in found.endpoints] == ["mace", "hard", "death"]
    assert found.covariates[1].kind is CovariateKind.YES_NO
    assert set(found.columns) <= {column.name for column in COLUMNS}


def test_every_key_is_explained_on_the_page() -> None:
    explained = set(re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8")))
    tables = [
        kind for kind in vars(module).values() if dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__
    ]
    keys = {field.name for table in [*tables, ImputationSettings] for field in dataclasses.fields(table)}
    keys -= {"bootstrap", "imputation"}  # headings of their own
    assert keys - explained == set()


def test_filters_and_tables_are_read() -> None:
    found = read(
        sensitivities=[{"name": "young", "keep": [{"column": "age", "at_most": 60}]}],
        cluster="centre",
        bootstrap={"draws": 10, "by_cluster": True, "quantile_type": "type7"},
        imputation={"imputations": 5},
        confidence=0.9,
    )
    assert found.sensitivities[0].keep[0].at_most == 60.0
    assert (found.bootstrap_settings.draws, found.bootstrap_settings.confidence) == (10, 0.9)
    assert found.imputation.imputations == 5
    assert found.columns[-2:] == ("age", "centre")


def test_unknown_keys_are_all_listed() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown key horizn.*unknown key endpoints\[0\]\.tme.*unknown key bootstrap\.n"
    ):
        read(horizn=1, endpoints=[{"name": "a", "time": "t", "event": "e", "tme": "t"}], bootstrap={"n": 3})


def test_missing_keys_are_all_listed() -> None:
    with pytest.raises(ConfigError, match=r"missing key horizon; missing key endpoints; missing key categories"):
        config_from_dict({}, PrognosisSettings, where="test")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon": 0}, "horizon is 0.0, expected a time above 0"),
        ({"endpoints": []}, "endpoints is empty"),
        ({"analyses": ["km"]}, r"analyses\[0\] is 'km', expected one of"),
        ({"analyses": ["curves", "curves"]}, "analysis 'curves' comes twice"),
        ({"endpoints": LEAST["endpoints"] * 2}, "endpoint 'mace' comes twice"),
        ({"risk_cut_offs": [0.2, 0.1]}, r"risk_cut_offs are \[0.2, 0.1\]"),
        ({"risk_cut_offs": [0.2, 1.0]}, "between 0 and 1"),
        ({"confidence": 95}, "confidence is 95.0"),
        ({"bootstrap": {"draws": 0}}, "draws is 0"),
        ({"bootstrap": {"workers": 0}}, "bootstrap.workers is 0"),
        ({"bootstrap": {"by_stratum": True}}, "by_stratum needs strata"),
        ({"bootstrap": {"by_cluster": True}}, "by_cluster needs cluster"),
        ({"imputation": {"imputations": 1}}, "imputations is 1, expected at least 2"),
        ({"missing": "drop"}, "missing is 'drop', expected one of complete_cases, error, impute"),
        ({"sensitivities": [{"name": "a"}]}, "'a' changes neither"),
        ({"categories": [{"name": "base", "column": "a"}]}, "the name 'base' will not do"),
        ({"endpoints": [{"name": "a/b", "time": "t", "event": "e"}]}, "'a/b' will not do, expected letters, digits"),
        ({"sensitivities": [{"name": "a", "endpoint": "hard"}]}, "wants the endpoint 'hard', there are mace"),
        ({"sensitivities": [{"name": "a", "keep": [{"column": "x"}]}]}, "filter of 'x': has no condition"),
        ({"sensitivities": [{"name": "a", "keep": [{"column": "x", "at_least": 2, "at_most": 1}]}]}, "is above"),
        ({"categories": [{"name": "a", "column": "a", "cuts": [1]}]}, "1 cuts for 4 levels"),
        ({"categories": [{"name": "a", "column": "a", "cuts": [1, 9, 4]}]}, "expected finite numbers, ascending"),
        ({"categories": [{"name": "a", "column": "a", "levels": ["x"]}]}, "1 levels, expected at least 2"),
        ({"categories": [{"name": "a", "column": "a", "levels": ["x", "x"]}]}, "hold one twice"),
        ({"categories": [{"name": "a", "column": "a", "reference": "none"}]}, "reference 'none' is not among"),
        ({"covariates": [{"column": "a", "levels": ["x", "y"]}]}, "levels and reference are for categories"),
        ({"covariates": [{"column": "a", "yes": "M"}]}, "yes is for yes_no, it is number"),
        ({"covariates": [{"column": "a", "kind": "yes_no", "per": 10}]}, "per, transform and summary are for numbers"),
        ({"covariates": [{"column": "a", "per": 0}]}, "per is 0.0"),
        ({"covariates": [{"column": "a", "summary": "category"}]}, "expected normal, skewed or number"),
        ({"covariates": [{"column": "a", "kind": "category"}]}, "0 levels, expected at least 2"),
    ],
)
def test_contradictions_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(**changes)


def test_complaints_of_several_tables_come_together() -> None:
    wrong_category = {"name": "a", "column": "a", "cuts": [1]}
    with pytest.raises(ConfigError, match=r"1 cuts for 4 levels.*imputations is 1"):
        read(categories=[wrong_category], imputation={"imputations": 1})
