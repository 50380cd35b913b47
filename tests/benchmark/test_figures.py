from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.made_report import MISSING, made_report, network
from calcmap.benchmark.figures import Spread, figures_of_networks, ratio, report_to_json, spread
from calcmap.benchmark.orders import NetworkRun

RUN = NetworkRun(
    seconds=(2.5, 2.0, 4.0),
    cpu_seconds=(4.0, 3.5, 3.75),
    slices_each=1,
    study_slices=60,
    startup_mb=300.0,
    engine="torch",
    parameters=12,
)


def test_a_spread_is_the_smallest_and_the_median() -> None:
    assert spread([3.0, 1.0, 2.0, 10.0]) == Spread(best=1.0, median=2.5)


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_the_best_is_never_above_the_median(values: list[float]) -> None:
    found = spread(values)
    assert found.best <= found.median <= max(values)


def test_slices_are_scaled_to_the_whole_study() -> None:
    figures = figures_of_networks(RUN, peak_mb=700.0)
    assert figures.seconds_per_study == 2.5 * 60
    assert figures.best_seconds_per_study == 2.0 * 60
    assert figures.cpu_seconds_per_study == 3.75 * 60
    assert (figures.timings, figures.extrapolated_from_slices) == (3, 3)
    assert (figures.peak_mb, figures.startup_mb, figures.parameters, figures.engine) == (700.0, 300.0, 12, "torch")


def test_whole_studies_are_not_scaled() -> None:
    figures = figures_of_networks(replace(RUN, slices_each=60), peak_mb=700.0)
    assert (figures.seconds_per_study, figures.best_seconds_per_study) == (2.5, 2.0)
    assert (figures.timings, figures.extrapolated_from_slices) == (3, None)


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"), [(60.0, 0.5, 120.0), (None, 0.5, None), (60.0, None, None), (60.0, 0.0, None)]
)
def test_a_ratio_needs_both_figures(theirs: float | None, ours: float | None, expected: float | None) -> None:
    assert ratio(theirs, ours) == expected


def test_baselines_are_compared_in_clock_and_in_processor_time() -> None:
    report = made_report()
    assert report.times_faster == {"clstm": 120.0, "unet": 180.0}
    assert report.times_less_cpu == {"clstm": pytest.approx(153.333, abs=1e-3), "unet": 232.0}


def test_a_quiet_machine_and_a_scored_study_need_no_note() -> None:
    assert made_report().notes == ()


def test_a_system_that_tells_no_load_needs_no_note() -> None:
    assert made_report(machine=replace(made_report().machine, load_before=None)).notes == ()


def test_a_busy_machine_is_noted() -> None:
    (note,) = made_report(machine=replace(made_report().machine, load_before=1.5)).notes
    assert "busy (load 1.5 on 2 cores)" in note


def test_a_refused_study_is_noted_with_its_reason() -> None:
    refused = replace(made_report().study, status="refused", reason="no heart")
    (note,) = made_report(study=refused).notes
    assert note.startswith("the study has no score")
    assert note.endswith("no heart")


def test_a_starved_baseline_is_noted() -> None:
    # 60 s by the clock with 66 s of processor time: 1.1 of two cores.
    networks = made_report().networks | {"clstm": network(60.0, cpu_seconds=66.0, slices=6)}
    (note,) = made_report(networks=networks).notes
    assert note.startswith("clstm got 1.1 of 2 cores: its seconds are too long")


def test_networks_that_were_not_measured_are_null_with_a_reason() -> None:
    report = made_report(networks=made_report().networks | {"clstm": MISSING, "unet": MISSING})
    printed = report_to_json(report)
    assert [note for note in report.notes if "NOT measured: torch is not installed" in note] == list(report.notes)
    assert len(report.notes) == 2
    for name in ("clstm", "unet"):
        figures = printed["networks"][name]  # type: ignore[index, call-overload]
        assert figures["seconds_per_study"] is figures["peak_mb"] is figures["parameters"] is None
        assert figures["reason"] == "torch is not installed"
    assert printed["times_faster"] == {"clstm": None, "unet": None}


def test_json_holds_what_is_promised() -> None:
    printed = json.loads(json.dumps(report_to_json(made_report()), allow_nan=False))
    for name, seconds in (("calcmap", 0.5), ("clstm", 60.0), ("unet", 90.0)):
        figures = printed["networks"][name]
        assert (figures["seconds_per_study"], figures["peak_mb"], figures["parameters"]) == (seconds, 500.0, 12029302)
    assert printed["networks"]["clstm"]["extrapolated_from_slices"] == 6
    assert printed["warm"]["steps"]["heart"] == {"best": 0.25, "median": 0.26}
    assert printed["cold"]["wall_seconds"] == {"best": 2.0, "median": 2.125}
    assert printed["machine"]["packages"] == {"numpy": "2.0", "torch": None}
    assert printed["study"]["shape_zyx"] == [60, 512, 512]
    assert printed["calcmap_version"]
    assert "research use only" in printed["disclaimer"]


def test_json_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="complex"):
        report_to_json(made_report(weights_sha256={"heart": 1j}))
