"""The paper's numbers beside a cohort's."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from calcmap.prognosis.study import AnalysisResult, CategoryReclassification
from calcmap.reproduction.comparison import (
    ComparisonLine,
    NetworkColumns,
    cohort_numbers,
    covariate_numbers,
    network_columns,
    prognosis_numbers,
    quantile,
)
from calcmap.reproduction.paper import PAPER, PaperNumber, Section
from calcmap.statistics.estimates import Estimate


def columns(categories: list[int], events: list[bool]) -> NetworkColumns:
    scores = np.array([(0.0, 50.0, 200.0, 900.0)[k] for k in categories])
    return NetworkColumns(scores, np.array(categories), np.array(events), np.linspace(1.0, 5.0, len(categories)))


def test_every_number_of_the_paper_has_a_key_of_its_own() -> None:
    keys = [number.key for number in (*PAPER, *covariate_numbers())]

    assert len(set(keys)) == len(keys)


def test_the_papers_shares_and_events_sum_to_the_whole() -> None:
    value = {number.key: number.value for number in PAPER}

    assert sum(value[f"share_{k}"] for k in range(4)) == pytest.approx(100.0)
    assert sum(value[f"events_{k}"] for k in range(4)) == value["events"] == 320.0


@pytest.mark.parametrize(
    ("key", "low", "high"),
    # the intervals that follow from the standard errors 0.1817, 0.1776, 0.1671 of FACTS 0
    [("unadjusted_1", 1.54, 3.14), ("unadjusted_2", 3.23, 6.49), ("unadjusted_3", 4.27, 8.21)],
)
def test_unadjusted_intervals_follow_from_the_standard_errors(key: str, low: float, high: float) -> None:
    (number,) = (each for each in PAPER if each.key == key)

    assert number.low == pytest.approx(low, abs=0.006)
    assert number.high == pytest.approx(high, abs=0.006)


def test_adjusted_ratios_of_covariates_are_those_of_table_2() -> None:
    ratio = {number.key: round(number.value, 2) for number in covariate_numbers()}

    assert ratio["stress_tpd_class:3"] == 4.73
    assert ratio["diabetes"] == 1.28


def test_shares_are_in_per_cent_and_events_for_the_papers_patients() -> None:
    found = cohort_numbers(columns([0, 0, 1, 3], [False, False, True, True]))

    assert found["share_0"].estimate == 50.0
    assert found["events"].estimate == 2271 / 2
    assert found["events_3"].estimate == 2271 / 4
    assert found["high_with"].estimate == 50.0


def test_a_cohort_without_events_has_no_median_of_them() -> None:
    found = cohort_numbers(columns([0, 1], [False, False]))

    assert found["median_with"].estimate is None
    assert found["median_with"].reason == "there are no such patients"
    assert found["high_with"].estimate is None


def test_the_medians_interval_is_that_of_order_statistics() -> None:
    # n = 10: the binomial quantiles of 0.025 and 0.975 are 2 and 8, so the third and the ninth value
    found = quantile(np.arange(1.0, 11.0), 0.5)

    assert (found.estimate, found.low, found.high) == (5.5, 3.0, 9.0)


def test_refused_patients_are_not_in_the_columns() -> None:
    scored = {"network_agatston": "12.5", "network_category": "1", "mace": "1", "follow_up_years": "2.5"}
    refused = {**scored, "network_agatston": "", "network_category": ""}

    assert network_columns([scored, refused]).agatston.tolist() == [12.5]


def test_a_reading_without_net_reclassification_says_why() -> None:
    nothing = np.zeros(0)
    bare = [
        CategoryReclassification(name, name, (), None, None, 0, 0, nothing, nothing, reason="nobody is at risk")
        for name in ("network", "visual")
    ]
    main = SimpleNamespace(hazard_ratios=None, reclassification=SimpleNamespace(categories=bare))

    found = prognosis_numbers(cast(AnalysisResult, main))

    assert {key: each.reason for key, each in found.items()} == dict.fromkeys(
        ("nri", "nri_event", "nri_nonevent", "nri_visual"), "nobody is at risk"
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Estimate(0.8, 0.7, 0.9, 10), True),
        (Estimate(0.6, 0.5, 0.7, 10), False),
        (Estimate(None, None, None, 0, reason="nobody"), None),
    ],
)
def test_a_printed_number_is_inside_or_not_or_unknown(found: Estimate, said: bool | None) -> None:
    line = ComparisonLine(PaperNumber("kappa", Section.AGREEMENT, "kappa", 0.8), found)

    assert line.is_inside is said
    assert math.isfinite(line.paper.value)
