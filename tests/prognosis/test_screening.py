from __future__ import annotations

import numpy as np
import pytest

from calcmap.core.errors import InputError
from calcmap.prognosis.followup import FollowUp, follow_up
from calcmap.prognosis.screening import Problem, screen_model


def cohort(n: int = 200, **covariates: np.ndarray) -> FollowUp:
    """Return a cohort with the event in every second patient and the covariates given."""
    return follow_up(np.arange(1.0, n + 1), np.arange(n) % 2, covariates=covariates)


def problems(table: FollowUp, **arguments: object) -> list[Problem]:
    return [warning.problem for warning in screen_model(table, **arguments)]


RANDOM = np.random.default_rng(2)
AGE, BMI = RANDOM.normal(65, 10, 200), RANDOM.normal(27, 4, 200)
EVENT = np.arange(200) % 2


def test_sound_model_has_no_warning() -> None:
    assert screen_model(cohort(age=AGE, bmi=BMI, male=RANDOM.integers(0, 2, 200))) == ()


def test_nobody_with_the_event_is_fatal() -> None:
    table = cohort(age=AGE).rows(EVENT == 0)
    (warning,) = screen_model(table)
    assert (warning.problem, warning.is_fatal, warning.detail) == (
        Problem.NO_EVENTS,
        True,
        "nobody of 100 has the event",
    )


def test_few_events_per_term_are_counted() -> None:
    few = {f"x{j}": RANDOM.normal(size=30) for j in range(3)}
    (warning,) = screen_model(cohort(30, **few))
    assert (warning.problem, warning.is_fatal) == (Problem.FEW_EVENTS, False)
    assert warning.detail == "15 events for 3 terms, 5.0 each; 10 are advised"


def test_constant_term_is_fatal() -> None:
    (warning,) = screen_model(cohort(age=AGE, site=np.full(200, 3.0)))
    assert (warning.problem, warning.terms, warning.is_fatal) == (Problem.CONSTANT, ("site",), True)


def test_group_without_events_is_named_once() -> None:
    rare = np.zeros(200)
    rare[[0, 2, 4]] = 1
    (warning,) = screen_model(cohort(age=AGE, rare=rare))
    assert (warning.problem, warning.is_fatal) == (Problem.GROUP_WITHOUT_EVENTS, False)
    assert warning.detail == "none of the 3 patients of 'rare' = 1 has the event"


def test_event_only_outside_a_group_is_named() -> None:
    (warning,) = screen_model(cohort(age=AGE, exposed=np.where(np.arange(200) < 190, 1, EVENT)))
    assert warning.detail == "none of the 5 patients of 'exposed' = 0 has the event"


class TestCategories:
    LEVEL = np.where(EVENT == 1, np.arange(200) // 2 % 2 + 1, np.arange(200) // 2 % 3)

    def test_reference_without_events(self) -> None:
        columns = {f"calcium_{k}": (k == self.LEVEL).astype(float) for k in (1, 2)}
        groups = {"calcium": ("calcium_1", "calcium_2")}
        (warning,) = screen_model(cohort(**columns), categories=groups)
        assert warning.problem is Problem.GROUP_WITHOUT_EVENTS
        assert warning.terms == ("calcium_1", "calcium_2")
        assert "the reference level of 'calcium'" in warning.detail

    def test_empty_reference_is_fatal(self) -> None:
        level = np.arange(200) // 2 % 2 + 1
        columns = {f"calcium_{k}": (level == k).astype(float) for k in (1, 2)}
        found = screen_model(cohort(**columns), categories={"calcium": tuple(columns)})
        assert {warning.problem for warning in found} == {Problem.EMPTY_GROUP, Problem.COLLINEAR}
        assert all(warning.is_fatal for warning in found)

    def test_empty_level_is_named(self) -> None:
        columns = {"calcium_1": (self.LEVEL > 0).astype(float), "calcium_2": np.zeros(200), "age": AGE}
        found = screen_model(cohort(**columns), categories={"calcium": ("calcium_1", "calcium_2"), "not": ("used",)})
        assert found[0].problem is Problem.CONSTANT
        assert "'calcium_2' holds no patient" in [warning.detail for warning in found]


def test_dependent_term_is_fatal() -> None:
    (warning,) = screen_model(cohort(age=AGE, bmi=BMI, both=AGE + BMI))
    assert (warning.problem, warning.is_fatal) == (Problem.COLLINEAR, True)
    assert len(warning.terms) == 1


def test_more_terms_than_rows_are_collinear() -> None:
    few = {f"x{j}": RANDOM.normal(size=6) for j in range(7)}
    assert Problem.COLLINEAR in problems(cohort(6, **few))


def test_nearly_dependent_terms_are_named() -> None:
    found = screen_model(cohort(age=AGE, months=12 * AGE + RANDOM.normal(0, 5, 200), bmi=BMI))
    assert [warning.problem for warning in found] == [Problem.NEARLY_COLLINEAR] * 2
    assert {term for warning in found for term in warning.terms} == {"age", "months"}


def test_monotone_likelihood_is_found_by_the_fit() -> None:
    # The risk order is the order of the events exactly: each who dies has the highest marker of those at risk.
    (warning,) = screen_model(follow_up(np.arange(1.0, 41), np.ones(40), covariates={"marker": -np.arange(40.0)}))
    assert (warning.problem, warning.terms, warning.is_fatal) == (Problem.SEPARATION, ("marker",), False)


def test_unknown_covariate_is_refused() -> None:
    with pytest.raises(InputError, match="no covariate is called 'sex'"):
        screen_model(cohort(age=AGE), ["sex"])


def test_names_choose_the_model() -> None:
    assert problems(cohort(age=AGE, site=np.ones(200)), names=["age"]) == []
