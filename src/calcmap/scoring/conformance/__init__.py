"""A public test of calcium scorers: tiny scans whose scores are worked out by hand.

``load_cases`` gives the cases, ``build_case`` a scan and its mask, ``expected_rows`` the table of right answers for one
profile, ``answers_from_rows`` and ``compare_results`` judge another program's table, ``run_suite`` a scorer in Python.
"""

from calcmap.scoring.conformance.cases import (
    Answer,
    ConformanceBox,
    ConformanceCase,
    build_case,
    load_cases,
    suite_mass_factor,
)
from calcmap.scoring.conformance.comparison import (
    CaseOutcome,
    ConformanceReport,
    Scorer,
    answers_from_rows,
    calcmap_scorer,
    compare_results,
    expected_rows,
    run_suite,
)

__all__ = [
    "Answer",
    "CaseOutcome",
    "ConformanceBox",
    "ConformanceCase",
    "ConformanceReport",
    "Scorer",
    "answers_from_rows",
    "build_case",
    "calcmap_scorer",
    "compare_results",
    "expected_rows",
    "load_cases",
    "run_suite",
    "suite_mass_factor",
]
