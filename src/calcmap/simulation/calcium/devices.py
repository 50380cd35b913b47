"""What surgeons, cardiologists and nurses leave in and on a chest: metal and contrast that are no calcium.

Each piece is a `Deposit` of tissue `Tissue.DEVICE`, made of the true amount of true material: a scan's blur turns that
into the HU that CT shows. Sizes are those of common products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

import numpy as np

from calcmap.core.errors import ConfigError
from calcmap.core.volume import Float64Array
from calcmap.simulation.anatomy.cage import RibCage
from calcmap.simulation.anatomy.coronaries import CoronaryBranch
from calcmap.simulation.anatomy.heart import AORTA, RIGHT_APPENDAGE, RIGHT_ATRIUM, RIGHT_VENTRICLE
from calcmap.simulation.anatomy.mediastinum import great_vessel_curve, venous_line_curve
from calcmap.simulation.anatomy.shapes import Canvas, frame_along, smooth_curve
from calcmap.simulation.anatomy.spine import FIRST_THORACIC_MM, PITCH_MM
from calcmap.simulation.anatomy.thorax import Anatomy
from calcmap.simulation.calcium.burden import VESSEL_SPEED
from calcmap.simulation.calcium.deposits import Deposit, Material, Origin, Tissue
from calcmap.simulation.calcium.noncoronary import MITRAL_CENTER_MM, MITRAL_NORMAL, MITRAL_RADIUS_MM

Branches = tuple[CoronaryBranch, ...]

STEEL_HU, NITINOL_HU, TITANIUM_HU = 36_000.0, 23_000.0, 12_800.0
"""Iron, a half-and-half mixture with titanium, and titanium at 120 kVp behind 20 cm of water (NIST coefficients)."""
CATHETER_HU = (250.0, 900.0)
"""Radio-opaque plastic (our choice; one real catheter in the seven scans lies in it)."""
STEP_MM = 0.4
"""Distance of parts along a wire."""
BLOCK_STEP_MM = 1.5

STENT_RADIUS_MM, STENT_LENGTH_MM = (1.25, 2.0), (8.0, 33.0)
STENT_WALL_MM = 0.09 * 0.17
"""Strut thickness times the share of the wall that struts cover."""
STERNAL_WIRE_MM2, N_STERNAL_WIRES = 0.55, (6, 7)
STERNAL_HALF_MM = (20.0, 8.5)
"""Half width and half thickness of the loops."""
STERNUM_OUTSIDE_MM = 7.0
"""Depth of the breast bone's middle before the lungs."""
CLIP_LENGTH_MM, CLIP_MM2 = (3.0, 6.0), 1.4
LEAD_MM2, COIL_MM2, TIP_MM2 = 0.30, 1.6, 1.8
"""Metal across a pacing lead, a defibrillator's shock coil and a lead's tip (our choice)."""
GENERATOR_HALF_MM, GENERATOR_HU = (22.0, 3.5, 24.0), 7_000.0
"""A pulse generator: half sizes across, deep and high; mean of can, circuits and battery (our choice)."""
VALVE_RADIUS_MM, VALVE_RING_MM2 = (10.5, 13.5), 2.4
FRAME_RADIUS_MM, FRAME_LENGTH_MM, FRAME_WALL_MM = (11.5, 14.5), (16.0, 50.0), 0.4 * 0.18
ANNULOPLASTY_MM2 = 1.5
CATHETER_MM2 = 2.6
ELECTRODE_RADIUS_MM, ELECTRODE_DEEP_MM = 2.2, 0.5
LEAD_WIRE_MM2, ECG_LEADS_SHARE, N_LEAD_POINTS = 0.12, 0.6, 13
N_ELECTRODES = ((3, 4, 5, 10), (0.25, 0.3, 0.15, 0.3))
"""Numbers of electrodes and their shares: monitoring, or the ten of a stress test (our choice)."""
TEN_ELECTRODES_DEG_MM = (
    (-38.0, 95.0), (38.0, 95.0), (-62.0, -60.0), (62.0, -60.0),
    (-12.0, 25.0), (12.0, 25.0), (24.0, 12.0), (36.0, 0.0), (58.0, 0.0), (78.0, 0.0),
)  # fmt: skip
"""Angle from the front and height: limbs (on the trunk, as for exercise), then V1 to V6."""
SHOULDER_DEG_MM = (48.0, 130.0)
"""Where lead wires gather."""
N_GRAFT_CLIPS = (6, 26)
_IN_FRONT_OF_AORTA_MM = np.array([0.0, -16.0, 0.0])
_THROUGH_ATRIUM_MM = np.array([[2.0, -2.0, 16.0], [4.0, 0.0, -4.0], [14.0, -12.0, -10.0]])
_IN_INFLOW_MM = np.array([-6.0, 6.0, -2.0])
_UP_IN_ATRIUM_MM = np.array([[1.0, -1.0, 16.0], [2.0, -3.0, 2.0], [6.0, -10.0, 4.0]])
_BESIDE_NECK_MM = np.array([28.0, -20.0, -45.0])
AIR_BELOW_HU = -990.0
"""Around the body the canvas holds -1000; the lungs, which are no outside, hold more."""
MARCH_MM, MARCH_STEP_MM = 45.0, 1.0
ON_SKIN = {"ecg_electrode": 1.0, "ecg_lead": 3.0}
"""Places of what lies on the skin, with the height of its middle above it (mm)."""


@dataclass(frozen=True)
class DeviceRecipe:
    """Probability of each kind of device in one patient; by default about nature's in patients without known disease.

    Raises
    ------
    ConfigError
        A probability is not between 0 and 1.
    """

    ecg_electrodes: float = 0.45
    venous_line: float = 0.03
    pacemaker: float = 0.02
    defibrillator: float = 0.005
    stents: float = 0.0
    bypass: float = 0.0
    """Sternal wires, clips along the grafts."""
    sternal_wires: float = 0.002
    """Without a bypass."""
    aortic_prosthesis: float = 0.001
    aortic_frame: float = 0.001
    """A valve implanted by catheter."""
    mitral_prosthesis: float = 0.001
    annuloplasty: float = 0.0005
    surgical_clips: float = 0.02
    """Of the chest wall or the armpit, e.g. after breast surgery."""
    nerve_stimulator: float = 0.0005

    def __post_init__(self) -> None:
        wrong = [f.name for f in fields(self) if not 0 <= getattr(self, f.name) <= 1]
        if wrong:
            raise ConfigError(", ".join(f"{name} is {getattr(self, name)}" for name in wrong) + ", expected 0 to 1")


NO_DEVICES = DeviceRecipe(**{field.name: 0.0 for field in fields(DeviceRecipe)})
KNOWN_DISEASE = DeviceRecipe(stents=0.35, bypass=0.15, pacemaker=0.05, defibrillator=0.03, aortic_prosthesis=0.01,
                             aortic_frame=0.01, mitral_prosthesis=0.005, annuloplasty=0.005)  # fmt: skip
"""Patients with treated coronary disease (our choice)."""


def draw_devices(
    rng: np.random.Generator, *, anatomy: Anatomy, branches: Branches, recipe: DeviceRecipe
) -> tuple[Deposit, ...]:
    """Return one patient's devices in patient coordinates.

    What lies on the skin is only near it until `settled_on_skin` has seen the painted body.

    Parameters
    ----------
    rng : Generator
        This patient's random numbers.
    anatomy : Anatomy
        Whose chest.
    branches : tuple of CoronaryBranch
        The coronary tree in patient coordinates: stents and grafts need it.
    recipe : DeviceRecipe
        Probability of each kind.

    Returns
    -------
    tuple of Deposit
        Of tissue `Tissue.DEVICE`; empty for most patients.
    """
    wanted = {field.name: bool(rng.random() < getattr(recipe, field.name)) for field in fields(recipe)}
    wanted["sternal_wires"] |= wanted["bypass"] or wanted["aortic_prosthesis"] or wanted["mitral_prosthesis"]
    deposits: list[Deposit] = []
    for name, is_wanted in wanted.items():
        if is_wanted:
            deposits += _DRAW[name](rng, anatomy, branches)
    return tuple(deposits)


def settled_on_skin(deposits: Iterable[Deposit], canvas: Canvas) -> tuple[Deposit, ...]:
    """Return the deposits with those of `ON_SKIN` moved onto the skin of a painted body; the others as they are.

    Each part is moved along the line from the body's middle through it, to its height above the outermost tissue.
    Parts outside the canvas stay.
    """
    return tuple(
        _settled(deposit, canvas, above_mm=ON_SKIN[deposit.place]) if deposit.place in ON_SKIN else deposit
        for deposit in deposits
    )


def _settled(deposit: Deposit, canvas: Canvas, *, above_mm: float) -> Deposit:
    z, y, x = canvas.axes_mm_zyx
    parts = deposit.parts_mm
    middle = np.array([0.5 * (x[0] + x[-1]), 0.5 * (y[0] + y[-1])])
    outward = parts[:, :2] - middle
    away = np.linalg.norm(outward, axis=1)
    outward /= np.maximum(away[:, None], 1e-6)
    reach = away[:, None] + np.arange(-MARCH_MM, MARCH_MM, MARCH_STEP_MM)[None, :]
    at = middle + reach[..., None] * outward[:, None, :]
    k = np.rint((parts[:, 2] - z[0]) / (z[1] - z[0])).astype(int)
    j = np.rint((at[..., 1] - y[0]) / (y[1] - y[0])).astype(int)
    i = np.rint((at[..., 0] - x[0]) / (x[1] - x[0])).astype(int)
    inside = (j >= 0) & (j < len(y)) & (i >= 0) & (i < len(x)) & ((k >= 0) & (k < len(z)))[:, None]
    hu = canvas.hu[np.clip(k, 0, len(z) - 1)[:, None], np.clip(j, 0, len(y) - 1), np.clip(i, 0, len(x) - 1)]
    body = inside & (hu > AIR_BELOW_HU)
    # the last tissue before the first air outwards: an arm beyond does not count
    is_air = ~body & (np.cumsum(body, axis=1) > 0)
    first_air = np.where(is_air.any(axis=1), np.argmax(is_air, axis=1), reach.shape[1] - 1)
    skin = reach[np.arange(len(parts)), first_air] - 0.5 * MARCH_STEP_MM
    radius = np.where(body.any(axis=1), skin + above_mm, away)
    moved = np.column_stack([middle + radius[:, None] * outward, parts[:, 2]])
    return _like(deposit, moved)


def _like(deposit: Deposit, parts_mm: Float64Array) -> Deposit:
    return Deposit(deposit.tissue, deposit.place, parts_mm, deposit.added_hu, deposit.part_mm3,
                   deposit.motion_share, deposit.material, deposit.vessel)  # fmt: skip


@dataclass(frozen=True)
class _Stuff:
    """A material with its HU."""

    material: Material
    hu: float


_STEEL = _Stuff(Material.METAL, STEEL_HU)
_NITINOL = _Stuff(Material.METAL, NITINOL_HU)
_TITANIUM = _Stuff(Material.METAL, TITANIUM_HU)


def _piece(origin: Origin, stuff: _Stuff, parts_mm: Float64Array, part_mm3: float) -> Deposit:
    return Deposit(origin.tissue, origin.place, parts_mm, np.full(len(parts_mm), stuff.hu), part_mm3,
                   origin.motion_share, stuff.material, origin.vessel)  # fmt: skip


def _device(place: str, *, motion_share: float = 0.0) -> Origin:
    return Origin(Tissue.DEVICE, place, motion_share=motion_share)


def _wire(origin: Origin, stuff: _Stuff, curve_mm: Float64Array, *, area_mm2: float) -> Deposit:
    """Return a wire of a given cross-section along a curve."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve_mm, axis=0), axis=1))])
    n = max(2, round(float(along[-1]) / STEP_MM))
    at = (np.arange(n) + 0.5) * along[-1] / n
    parts = np.stack([np.interp(at, along, axis) for axis in curve_mm.T], axis=1)
    return _piece(origin, stuff, parts, area_mm2 * float(along[-1]) / n)


def _mesh(
    origin: Origin, stuff: _Stuff, curve_mm: Float64Array, *, radius_mm: float, wall_mm: float, turn: float
) -> Deposit:
    """Return a mesh tube about a curve: struts that wind around it, together as much metal as a wall that thick."""
    axes = [frame_along(curve_mm[min(k + 1, len(curve_mm) - 1)] - curve_mm[max(k - 1, 0)])
            for k in range(len(curve_mm))]  # fmt: skip
    length = float(np.linalg.norm(np.diff(curve_mm, axis=0), axis=1).sum())
    n_around, n_along = max(8, int(2 * np.pi * radius_mm / 0.5)), max(4, int(length / 0.5))
    angle = np.arange(n_around) * 2 * np.pi / n_around
    rows = []
    for k in range(n_along):
        at = (k + 0.5) / n_along * (len(curve_mm) - 1)
        before = min(int(at), len(curve_mm) - 2)
        center = curve_mm[before] + (at - before) * (curve_mm[before + 1] - curve_mm[before])
        _, first, second = axes[before]
        phi = angle + turn + 0.35 * k
        rows.append(center + radius_mm * (np.cos(phi)[:, None] * first + np.sin(phi)[:, None] * second))
    parts = np.vstack(rows)
    return _piece(origin, stuff, parts, 2 * np.pi * radius_mm * length * wall_mm / len(parts))


def _ring(center_mm: Float64Array, axis: Float64Array, radius_mm: float, *, share: float = 1.0) -> Float64Array:
    """Return a closed circle, or the given share of one, about an axis."""
    _, first, second = frame_along(axis)
    phi = np.linspace(0, 2 * np.pi * share, max(12, int(40 * share)))
    circle: Float64Array = center_mm + radius_mm * (np.cos(phi)[:, None] * first + np.sin(phi)[:, None] * second)
    return circle


def _cage(anatomy: Anatomy) -> RibCage:
    """Return the mean rib cage of a person's size: near enough for what lies on it."""
    heights = np.arange(-400.0, 401.0, 10.0)
    person = anatomy.person
    return RibCage(person.chest_half_width_mm, person.chest_half_depth_mm, 184.0 * person.height_cm / 170, 1.05,
                   heights, anatomy.spine_y_mm(heights))  # fmt: skip


def _thoracic_mm(anatomy: Anatomy, level: float) -> float:
    """Return the mean height (model mm) of a thoracic vertebra's middle; halves are discs."""
    heights = FIRST_THORACIC_MM - np.concatenate([[0.0], np.cumsum(PITCH_MM)])
    return float(np.interp(level - 1, np.arange(len(heights)), heights)) * anatomy.person.height_cm / 170


def _stents(rng: np.random.Generator, anatomy: Anatomy, branches: Branches) -> list[Deposit]:
    """Return one to four stents in the proximal and middle thirds of the large branches."""
    large = [branch for branch in branches if branch.name in {"LAD", "LCx", "RCA", "OM1", "D1"}]
    weight = np.array([{"LAD": 0.42, "RCA": 0.3, "LCx": 0.18}.get(branch.name, 0.05) for branch in large])
    stents = []
    for _ in range(1 + int(rng.poisson(0.7))):
        branch = large[int(rng.choice(len(large), p=weight / weight.sum()))]
        length = float(np.clip(rng.normal(19, 6), *STENT_LENGTH_MM))
        start = int(rng.uniform(2, max(3.0, 0.55 * len(branch.points_mm) - length)))
        part = branch.points_mm[start : start + round(length) + 1]
        radius = float(np.clip(branch.radius_mm[start] * rng.uniform(0.95, 1.1), *STENT_RADIUS_MM))
        origin = Origin(Tissue.DEVICE, "stent", branch.vessel, VESSEL_SPEED[branch.vessel])
        stents.append(_mesh(origin, _STEEL, part, radius_mm=radius, wall_mm=STENT_WALL_MM * rng.uniform(0.7, 1.3),
                            turn=rng.uniform(0, 6)))  # fmt: skip
    return stents


def _sternal_wires(rng: np.random.Generator, anatomy: Anatomy, branches: Branches) -> list[Deposit]:
    """Return loops around the breast bone, each with its twisted end in front."""
    cage = _cage(anatomy)
    top, bottom = _thoracic_mm(anatomy, 3.1), _thoracic_mm(anatomy, 9.2)
    wires = []
    for z in np.linspace(top, bottom, int(rng.integers(N_STERNAL_WIRES[0], N_STERNAL_WIRES[1] + 1))):
        wide, thick = STERNAL_HALF_MM * np.array(rng.uniform(0.9, 1.1, 2))
        phi = np.linspace(0, 2 * np.pi, 48)
        tilt, level = rng.normal(0, 0.12), z + rng.normal(0, 2)
        x = rng.normal(0, 2) + wide * np.sign(np.sin(phi)) * np.abs(np.sin(phi)) ** 0.7
        y = cage.front_mm(level) - STERNUM_OUTSIDE_MM + thick * np.cos(phi)
        loop = np.stack([x, y, level + tilt * x], axis=1)
        twist = loop[np.argmin(y)] + np.array([[0, 0, 0], [1.0, -1.5, 2], [2.0, -1.0, 6]])
        curves = (loop, twist)
        wires += [
            _wire(_device("sternal_wire"), _STEEL, anatomy.patient_points(curve), area_mm2=area)
            for curve, area in zip(curves, (STERNAL_WIRE_MM2, 2 * STERNAL_WIRE_MM2), strict=True)
        ]
    return wires


def _bypass(rng: np.random.Generator, anatomy: Anatomy, branches: Branches) -> list[Deposit]:
    """Return clips along the left internal mammary artery to the LAD, and along a vein graft from the aorta."""
    tree = {branch.name: branch for branch in branches}
    cage = _cage(anatomy)
    lad = tree["LAD"].points_mm[int(0.5 * len(tree["LAD"].points_mm))]
    beside = [(24.0, cage.front_mm(z) + 4.0, z) for z in (150.0, 110.0, 70.0)]
    mammary = np.vstack([anatomy.patient_points(np.array(beside)), lad])
    ascending = anatomy.patient_points(anatomy.frame.from_reference(AORTA.points_mm[3:4] + _IN_FRONT_OF_AORTA_MM))
    grafted = tree[str(rng.choice(["OM1", "RCA"]))].points_mm
    vein = np.vstack([ascending, 0.5 * (ascending + grafted[len(grafted) // 2]) + [0, -14.0, 8.0],
                      grafted[len(grafted) // 2]])  # fmt: skip
    clips: list[Deposit] = []
    for path, share in ((mammary, 0.65), (vein, 0.35)):
        curve = smooth_curve(path, step_mm=2.0)
        for _ in range(max(1, round(share * int(rng.integers(*N_GRAFT_CLIPS))))):
            at = curve[int(rng.integers(len(curve)))] + rng.normal(0, 2, 3)
            clips.append(_clip(rng, "graft_clip", at, motion_share=0.3))
    return clips


def _clip(rng: np.random.Generator, place: str, at_mm: Float64Array, *, motion_share: float) -> Deposit:
    direction = rng.normal(0, 1, 3)
    half = 0.5 * rng.uniform(*CLIP_LENGTH_MM) * direction / np.linalg.norm(direction)
    return _wire(_device(place, motion_share=motion_share), _TITANIUM, np.stack([at_mm - half, at_mm + half]),
                 area_mm2=CLIP_MM2)  # fmt: skip


def _surgical_clips(rng: np.random.Generator, anatomy: Anatomy, branches: Branches) -> list[Deposit]:
    """Return a few clips in one breast or armpit."""
    cage, side = _cage(anatomy), float(rng.choice([-1.0, 1.0]))
    angle, z = side * np.deg2rad(rng.uniform(35, 85)), rng.uniform(-20, 90)
    outside = anatomy.person.muscle_mm + rng.uniform(0.2, 0.8) * anatomy.person.fat_mm + 10
    at = anatomy.patient_points(cage.points(np.array([angle]), np.array([z]), outside_mm=outside))[0]
    return [
        _clip(rng, "surgical_clip", at + rng.normal(0, 8, 3), motion_share=0.0) for _ in range(int(rng.integers(2, 8)))
    ]


def _venous_line(rng: np.random.Generator, anatomy: Anatomy, branches: Branches) -> list[Deposit]:
    """Return a radio-opaque catheter that ends in the superior vena cava."""
    curve, _ = venous_line_curve(anatomy)
    end = int(len(curve) * rng.uniform(0.75, 1.0))
    stuff = _Stuff(Material.IODINE, float(rng.uniform(*CATHETER_HU)))
    return [_wire(_device("venous_line", motion_share=0.15), stuff, anatomy.patient_points(curve[:end]),
                  area_mm2=CATHETER_MM2)]  # fmt: skip


def _pacemaker(rng: np.random.Generator, anatomy: Anatomy, branches: Branches) -> list[Deposit]:
    """Return a generator with one lead to the right ventricle and mostly one to the right atrium."""
    leads = [_lead(anatomy, _to_ventricle(rng), name="pacemaker_lead")]
    if rng.random() < 0.75:
        leads.append(_lead(anatomy, _to_appendage(rng), name="pacemaker_lead"))
    return [*(piece for lead in leads for piece in lead), _generator(anatomy)]


def _defibrillator(rng: np.random.Generator, anatomy: Anatomy, branches: Branches) -> list[Deposit]:
    """Return a defibrillator: a pacemaker whose ventricular lead carries a shock coil."""
    inside = _to_ventricle(rng)
    lead = _lead(anatomy, inside, name="defibrillator_lead")
    coil = anatomy.patient_points(anatomy.frame.from_reference(inside))
    coil = coil[int(0.45 * len(coil)) : int(0.92 * len(coil))]
    return [*lead, _wire(_device("shock_coil", motion_share=1.0), _STEEL, coil, area_mm2=COIL_MM2), _generator(anatomy)]


def _to_ventricle(rng: np.random.Generator) -> Float64Array:
    """Return a lead's way from the right atrium to the right ventricle's apex (reference mm)."""
    axis = RIGHT_VENTRICLE.rotation[0] * np.sign(RIGHT_VENTRICLE.rotation[0][0])
    apex = RIGHT_VENTRICLE.center_mm + 0.72 * RIGHT_VENTRICLE.radii_mm[0] * axis
    atrium = RIGHT_ATRIUM.center_mm
    way = np.vstack([atrium + _THROUGH_ATRIUM_MM, RIGHT_VENTRICLE.center_mm + _IN_INFLOW_MM, apex])
    return smooth_curve(way + rng.normal(0, 2, way.shape), step_mm=2.0)


def _to_appendage(rng: np.random.Generator) -> Float64Array:
    """Return a lead's way through the right atrium up into its appendage, in a J (reference mm)."""
    atrium = RIGHT_ATRIUM.center_mm
    way = np.vstack([atrium + _UP_IN_ATRIUM_MM, RIGHT_APPENDAGE.center_mm])
    return smooth_curve(way + rng.normal(0, 1.5, way.shape), step_mm=2.0)


def _lead(anatomy: Anatomy, inside_mm: Float64Array, *, name: str) -> list[Deposit]:
    """Return a lead from the left shoulder through the great veins, then inside the heart, then its tip."""
    shoulder = great_vessel_curve(anatomy, "left_brachiocephalic_vein")[0][::-1]
    cava = great_vessel_curve(anatomy, "cava_superior")[0][::-1]
    inside = anatomy.patient_points(anatomy.frame.from_reference(inside_mm))
    veins = np.vstack([anatomy.patient_points(np.vstack([shoulder, cava[1:]])), inside[:1]])
    still, beating = _device(name, motion_share=0.15), _device(name, motion_share=0.9)
    return [
        _wire(still, _STEEL, veins, area_mm2=LEAD_MM2),
        _wire(beating, _STEEL, inside, area_mm2=LEAD_MM2),
        _wire(beating, _STEEL, inside[-2:], area_mm2=TIP_MM2),
    ]


def _generator(anatomy: Anatomy) -> Deposit:
    """Return the generator under the left collar bone."""
    cage, z = _cage(anatomy), _thoracic_mm(anatomy, 3.4)
    outside = anatomy.person.muscle_mm + 14.0
    at = cage.points(np.array([np.deg2rad(48)]), np.array([z]), outside_mm=outside)
    x, y, height = (np.arange(-half + BLOCK_STEP_MM / 2, half, BLOCK_STEP_MM) for half in GENERATOR_HALF_MM)
    grid = np.stack([axis.ravel() for axis in np.meshgrid(x, y, height, indexing="ij")], axis=1)
    grid = grid[np.hypot(grid[:, 0] / GENERATOR_HALF_MM[0], grid[:, 2] / GENERATOR_HALF_MM[2]) < 1]
    turn = np.deg2rad(35)
    turned = grid @ np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    stuff = _Stuff(Material.METAL, GENERATOR_HU)
    return _piece(_device("generator"), stuff, turned + anatomy.patient_points(at), BLOCK_STEP_MM**3)


def _aortic_prosthesis(rng: np.random.Generator, anatomy: Anatomy, branches: Branches) -> list[Deposit]:
    """Return a valve's ring with two leaflets (mechanical) or three posts (biological)."""
    axis = AORTA.points_mm[2] - AORTA.points_mm[0]
    return _valve(rng, anatomy, "aortic_prosthesis", AORTA.points_mm[1], axis, radius_mm=rng.uniform(*VALVE_RADIUS_MM))


def _mitral_prosthesis(rng: np.random.Generator, anatomy: Anatomy, branches: Branches) -> list[Deposit]:
    center, axis = np.asarray(MITRAL_CENTER_MM), np.asarray(MITRAL_NORMAL)
    return _valve(rng, anatomy, "mitral_prosthesis", center, axis, radius_mm=rng.uniform(13.0, 15.5))


def _valve(
    rng: np.random.Generator,
    anatomy: Anatomy,
    place: str,
    center: Float64Array,
    axis: Float64Array,
    *,
    radius_mm: float,
) -> list[Deposit]:
    along, first, second = frame_along(axis)
    curves = [(_ring(center, axis, radius_mm), VALVE_RING_MM2)]
    if rng.random() < 0.5:
        curves += [(np.stack([center + 3 * s * first - 0.8 * radius_mm * second + 0.5 * radius_mm * along,
                              center + 3 * s * first + 0.8 * radius_mm * second - 0.2 * radius_mm * along]), 4.0)
                   for s in (-1.0, 1.0)]  # fmt: skip
    else:
        for k in range(3):
            phi = 2 * np.pi * k / 3
            foot = center + radius_mm * (np.cos(phi) * first + np.sin(phi) * second)
            curves.append((np.stack([foot, foot + 9 * along]), 1.0))
    origin = _device(place, motion_share=0.8)
    return [
        _wire(origin, _TITANIUM, anatomy.patient_points(anatomy.frame.from_reference(curve)), area_mm2=area)
        for curve, area in curves
    ]


def _aortic_frame(rng: np.random.Generator, anatomy: Anatomy, branches: Branches) -> list[Deposit]:
    """Return the frame of a valve implanted by catheter: short and of cobalt-chrome, or long and of nitinol."""
    is_short = bool(rng.random() < 0.5)
    length = FRAME_LENGTH_MM[0] + 4 if is_short else FRAME_LENGTH_MM[1]
    line = smooth_curve(anatomy.patient_points(anatomy.frame.from_reference(AORTA.points_mm)), step_mm=1.0)
    start = 4
    part = line[start : start + int(length) + 1]
    return [
        _mesh(_device("aortic_frame", motion_share=0.7), _STEEL if is_short else _NITINOL, part,
              radius_mm=rng.uniform(*FRAME_RADIUS_MM), wall_mm=FRAME_WALL_MM, turn=0.0)
    ]  # fmt: skip


def _annuloplasty(rng: np.random.Generator, anatomy: Anatomy, branches: Branches) -> list[Deposit]:
    """Return a ring, open or closed, around the mitral valve."""
    share = 1.0 if rng.random() < 0.6 else 0.7
    ring = _ring(np.asarray(MITRAL_CENTER_MM), np.asarray(MITRAL_NORMAL), 0.85 * MITRAL_RADIUS_MM, share=share)
    curve = anatomy.patient_points(anatomy.frame.from_reference(ring))
    return [_wire(_device("annuloplasty_ring", motion_share=0.8), _TITANIUM, curve, area_mm2=ANNULOPLASTY_MM2)]


def _nerve_stimulator(rng: np.random.Generator, anatomy: Anatomy, branches: Branches) -> list[Deposit]:
    """Return a vagus stimulator: its generator, and a lead from it up to the neck."""
    generator = _generator(anatomy)
    neck = anatomy.patient_points(np.array([[30.0, 0.15 * anatomy.spine_mm, _thoracic_mm(anatomy, 1.0) + 60]]))
    curve = smooth_curve(np.vstack([generator.parts_mm.mean(axis=0), neck + _BESIDE_NECK_MM, neck]), step_mm=3.0)
    return [generator, _wire(_device("nerve_stimulator_lead"), _STEEL, curve, area_mm2=LEAD_MM2)]


def _ecg(rng: np.random.Generator, anatomy: Anatomy, branches: Branches) -> list[Deposit]:
    """Return electrodes on the front of the chest; mostly their wires, which gather at one shoulder, are seen too."""
    numbers, shares = N_ELECTRODES
    n = int(rng.choice(numbers, p=shares))
    degrees, heights = (np.array(TEN_ELECTRODES_DEG_MM[:n]) + rng.normal(0, [6.0, 12.0], (n, 2))).T
    angles = np.deg2rad(degrees)
    grid = np.arange(-ELECTRODE_RADIUS_MM, ELECTRODE_RADIUS_MM + STEP_MM / 2, STEP_MM)
    disc = np.stack([axis.ravel() for axis in np.meshgrid(grid, grid, indexing="ij")], axis=1)
    disc = disc[np.hypot(disc[:, 0], disc[:, 1]) <= ELECTRODE_RADIUS_MM]
    pieces = []
    for angle, center in zip(angles, _near_skin(anatomy, angles, heights), strict=True):
        across = np.array([np.cos(angle), np.sin(angle), 0.0])
        parts = center + disc[:, :1] * across + disc[:, 1:] * np.array([0.0, 0.0, 1.0])
        pieces.append(_piece(_device("ecg_electrode"), _STEEL, parts, STEP_MM**2 * ELECTRODE_DEEP_MM))
    return pieces + (_ecg_leads(rng, anatomy, angles, heights) if rng.random() < ECG_LEADS_SHARE else [])


def _ecg_leads(
    rng: np.random.Generator, anatomy: Anatomy, angles: Float64Array, heights_mm: Float64Array
) -> list[Deposit]:
    """Return a wire from each electrode, sagging, to one shoulder."""
    end, top = float(rng.choice([-1.0, 1.0])) * np.deg2rad(SHOULDER_DEG_MM[0]), SHOULDER_DEG_MM[1]
    share = np.linspace(0, 1, N_LEAD_POINTS)
    sag = np.sin(np.pi * share) * rng.normal(0, [[[0.12]], [[14.0]]], (2, len(angles), 1))
    around = angles[:, None] + (end - angles[:, None]) * share + sag[0]
    height = heights_mm[:, None] + (top - heights_mm[:, None]) * share + sag[1]
    points = _near_skin(anatomy, around.ravel(), height.ravel()).reshape(len(angles), N_LEAD_POINTS, 3)
    return [_wire(_device("ecg_lead"), _STEEL, curve, area_mm2=LEAD_WIRE_MM2) for curve in points]


def _near_skin(anatomy: Anatomy, angles: Float64Array, heights_mm: Float64Array) -> Float64Array:
    """Return points about where the skin is, in patient coordinates, by angle from the front and height."""
    person = anatomy.person
    outside = 10 + person.muscle_mm + 0.8 * person.fat_mm
    return anatomy.patient_points(_cage(anatomy).points(angles, heights_mm, outside_mm=outside))


_DRAW: dict[str, Callable[[np.random.Generator, Anatomy, Branches], list[Deposit]]] = {
    "ecg_electrodes": _ecg,
    "venous_line": _venous_line,
    "pacemaker": _pacemaker,
    "defibrillator": _defibrillator,
    "stents": _stents,
    "bypass": _bypass,
    "sternal_wires": _sternal_wires,
    "aortic_prosthesis": _aortic_prosthesis,
    "aortic_frame": _aortic_frame,
    "mitral_prosthesis": _mitral_prosthesis,
    "annuloplasty": _annuloplasty,
    "surgical_clips": _surgical_clips,
    "nerve_stimulator": _nerve_stimulator,
}
