"""Devices hold the metal they should, lie where they are implanted, and are no calcium."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from calcmap.core.errors import ConfigError
from calcmap.simulation.anatomy.coronaries import CoronaryBranch, draw_coronaries
from calcmap.simulation.anatomy.shapes import Canvas
from calcmap.simulation.anatomy.thorax import Anatomy
from calcmap.simulation.calcium.deposits import Deposit, Material, Tissue
from calcmap.simulation.calcium.devices import (
    NO_DEVICES,
    ON_SKIN,
    DeviceRecipe,
    draw_devices,
    settled_on_skin,
)
from calcmap.simulation.calcium.rendering import Blur, seen_by_scanner
from calcmap.simulation.patient import Recipe, plan_patient
from calcmap.simulation.scanner.axes import CtAxes
from calcmap.simulation.scanner.sites import SITES

KINDS = [field.name for field in fields(DeviceRecipe)]


@pytest.fixture(scope="module")
def patient() -> tuple[Anatomy, tuple[CoronaryBranch, ...]]:
    recipe = Recipe(category=0, noncoronary_factor=0.0)
    anatomy = plan_patient(8, site=SITES["ge_nmct"], recipe=recipe).anatomy
    return anatomy, draw_coronaries(np.random.default_rng(0), anatomy=anatomy)


@pytest.fixture(scope="module")
def devices(patient: tuple[Anatomy, tuple[CoronaryBranch, ...]]) -> dict[str, tuple[Deposit, ...]]:
    anatomy, branches = patient
    return {
        kind: draw_devices(
            np.random.default_rng(5), anatomy=anatomy, branches=branches, recipe=replace(NO_DEVICES, **{kind: 1.0})
        )
        for kind in KINDS
    }


def _peak_hu(deposit: Deposit, *, sigma_mm: float, thickness_mm: float, pixel_mm: float) -> float:
    low, high = deposit.parts_mm.min(axis=0) - 8, deposit.parts_mm.max(axis=0) + 8
    axes = CtAxes(np.arange(low[2], high[2], thickness_mm), np.arange(low[1], high[1], pixel_mm),
                  np.arange(low[0], high[0], pixel_mm))  # fmt: skip
    found = seen_by_scanner(deposit, axes=axes, blur=Blur(sigma_mm, thickness_mm))
    assert found is not None
    return float(found[1].max())


@pytest.mark.parametrize("kind", KINDS)
def test_a_wanted_device_is_there_and_is_no_calcium(kind: str, devices: dict[str, tuple[Deposit, ...]]) -> None:
    assert devices[kind]
    for deposit in devices[kind]:
        assert deposit.tissue is Tissue.DEVICE
        assert deposit.material is not Material.CALCIUM
        assert deposit.mass_mg == 0
        assert np.isfinite(deposit.parts_mm).all()
        assert len(deposit.parts_mm) == len(deposit.added_hu) > 0


def test_nobody_has_a_device_without_a_recipe(patient: tuple[Anatomy, tuple[CoronaryBranch, ...]]) -> None:
    anatomy, branches = patient
    for seed in range(5):
        assert draw_devices(np.random.default_rng(seed), anatomy=anatomy, branches=branches, recipe=NO_DEVICES) == ()


def test_patients_without_known_disease_have_no_stents_or_grafts(
    patient: tuple[Anatomy, tuple[CoronaryBranch, ...]],
) -> None:
    anatomy, branches = patient
    drawn = [
        draw_devices(np.random.default_rng(k), anatomy=anatomy, branches=branches, recipe=DeviceRecipe())
        for k in range(60)
    ]
    places = [{deposit.place for deposit in deposits} for deposits in drawn]

    assert not any(place & {"stent", "graft_clip"} for place in places)
    assert 0.25 < np.mean(["ecg_electrode" in place for place in places]) < 0.65


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_an_impossible_probability_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="stents"):
        DeviceRecipe(stents=share)


def test_a_stent_lies_on_the_wall_of_its_vessel_and_is_sized_as_stents_are(
    patient: tuple[Anatomy, tuple[CoronaryBranch, ...]], devices: dict[str, tuple[Deposit, ...]]
) -> None:
    tree = {branch.vessel: [] for branch in patient[1]}
    for branch in patient[1]:
        tree[branch.vessel].append(branch.points_mm)
    for stent in devices["stents"]:
        assert stent.vessel is not None
        line = np.vstack(tree[stent.vessel])
        away = np.linalg.norm(stent.parts_mm[:, None] - line[None], axis=2).min(axis=1)
        assert 1.0 < np.median(away) < 2.2
        assert away.max() < 3.0
        # 8-33 mm of a mesh with about 0.14 mm2 of metal across
        assert 0.8 < stent.volume_mm3 < 7.0


@pytest.mark.parametrize(("sigma_mm", "thickness_mm", "low", "high"), [(0.6, 2.5, 250, 900), (0.9, 5.0, 120, 600)])
def test_a_stent_shows_as_some_hundred_hu(
    sigma_mm: float, thickness_mm: float, low: float, high: float, devices: dict[str, tuple[Deposit, ...]]
) -> None:
    peak = _peak_hu(devices["stents"][0], sigma_mm=sigma_mm, thickness_mm=thickness_mm, pixel_mm=0.8)

    assert low < peak < high


def test_sternal_wires_outshine_bone_at_six_or_seven_levels(devices: dict[str, tuple[Deposit, ...]]) -> None:
    loops = [wire for wire in devices["sternal_wires"] if len(wire.parts_mm) > 100]

    assert len(loops) in {6, 7}
    assert _peak_hu(loops[0], sigma_mm=0.8, thickness_mm=5.0, pixel_mm=0.98) > 1000
    heights = sorted(loop.parts_mm[:, 2].mean() for loop in loops)
    assert min(np.diff(heights)) > 8


def test_a_bypass_comes_with_sternal_wires(devices: dict[str, tuple[Deposit, ...]]) -> None:
    assert {deposit.place for deposit in devices["bypass"]} == {"graft_clip", "sternal_wire"}


def test_a_pacing_lead_ends_in_the_right_ventricle(
    patient: tuple[Anatomy, tuple[CoronaryBranch, ...]], devices: dict[str, tuple[Deposit, ...]]
) -> None:
    anatomy, _ = patient
    lead = next(d for d in devices["pacemaker"] if d.place == "pacemaker_lead" and d.motion_share > 0.5)
    x, y, z = anatomy.frame.to_reference(tuple(anatomy.deformation.to_model(lead.parts_mm).astype(np.float32).T))

    assert x[0] < -20
    assert x[-1] > 15
    assert z[-1] < -25
    assert y[-1] < -10


def test_a_wire_has_the_metal_of_its_cross_section(devices: dict[str, tuple[Deposit, ...]]) -> None:
    # an annuloplasty ring of 0.85 x 18.5 mm radius, closed or 70 % open, with 1.5 mm2 of metal: 148 or 104 mm3
    ring = devices["annuloplasty"][0]

    assert 0.6 * 104 < ring.volume_mm3 < 1.4 * 148


def _disc_canvas() -> Canvas:
    axes = (np.arange(-120.0, 200.0, 10.0), np.arange(-170.0, 170.0, 2.0), np.arange(-200.0, 200.0, 2.0))
    shape = tuple(len(axis) for axis in axes)
    none = np.zeros(shape, dtype=np.float32)
    canvas = Canvas(axes, (none, none, none), slack_mm=0.0)
    canvas.hu[:, np.hypot(axes[1][:, None], axes[2][None, :]) < 140] = 40.0
    return canvas


@pytest.mark.parametrize("has_lungs", [False, True])
def test_electrodes_settle_on_the_skin(devices: dict[str, tuple[Deposit, ...]], has_lungs: bool) -> None:
    canvas = _disc_canvas()
    if has_lungs:  # around a heart so large that the way outwards begins in it: lungs are not yet outside
        _, y, x = canvas.axes_mm_zyx
        away = np.hypot(y[:, None], x[None, :])
        canvas.hu[:, (away > 100) & (away < 120)] = -870.0
    settled = settled_on_skin(devices["ecg_electrodes"], canvas)

    assert {deposit.place for deposit in settled} <= set(ON_SKIN)
    for deposit in settled:
        away = np.hypot(deposit.parts_mm[:, 0], deposit.parts_mm[:, 1])
        assert np.abs(away - 140 - ON_SKIN[deposit.place]).max() < 4.0


def test_what_lies_inside_does_not_settle(devices: dict[str, tuple[Deposit, ...]]) -> None:
    settled = settled_on_skin(devices["stents"], _disc_canvas())

    assert all(one is other for one, other in zip(settled, devices["stents"], strict=True))
