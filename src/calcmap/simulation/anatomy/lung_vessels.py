"""Arteries and veins of the lungs: trees that fill the lobes, and the bronchi beside the arteries.

A tree's leaves are drawn evenly over a lobe; halving them again and again across their longest extent gives the
branchings, Murray's law the calibres. Thick branches are painted as tubes, the thousands of thin ones spread over the
voxels they cross with their share of each.

References: C. D. Murray, Proc Natl Acad Sci 1926;12:207 (radii at branchings; in lungs with an exponent below his 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calcmap.core.volume import BoolArray, Float64Array
from calcmap.simulation.anatomy.cage import N_ANGLES, RibCage
from calcmap.simulation.anatomy.lungs import AIRWAY_AIR_HU, AIRWAY_WALL_HU, UPPER_BRANCH_SHARE, Fissures
from calcmap.simulation.anatomy.mediastinum import great_vessel_curve
from calcmap.simulation.anatomy.thorax import Thorax, heart_floor_mm

N_GENERATIONS = 9
"""Of each of the eight trees: 512 leaves, one every 13 mm of a lobe (our choice: costs about a quarter second)."""
LEAF_MM = 0.45
"""Radius of the thinnest branches of a tree."""
MURRAY_EXPONENT = 2.65
N_TWIGS = 3500
"""Twigs of each lung beyond the trees' leaves: pieces of vessel that no tree is grown for (our choice, by eye)."""
TWIG_MM = (0.32, 0.6)
"""Range of their radii."""
TWIG_LENGTH_MM = 9.0
NEAREST_SHARE = 0.12
"""A branch divides where this share of its leaves lies behind it (our choice)."""
STEP_LIMITS = (0.22, 0.8)
"""Least and most that a branch goes of the way to its leaves' middle."""
TUBE_FROM_MM = 1.25
"""Branches of at least this radius are painted as tubes."""
SPREAD_STEP_MM = 1.1
LAST_BRONCHI = 4
"""Generation of the last bronchi that are drawn: segmental."""


@dataclass(frozen=True)
class Branches:
    """The branches of one generation of a tree; model or patient mm."""

    starts_mm: Float64Array
    ends_mm: Float64Array
    first_radius_mm: float
    last_radius_mm: float


def paint_lung_vessels(thorax: Thorax, cage: RibCage, fissures: Fissures) -> None:
    """Paint arteries, veins and the bronchi along the arteries."""
    rng = thorax.stream("lung_vessels")
    trees = []
    leaves = _draw_leaves(rng, thorax, cage, fissures)
    n = 2**N_GENERATIONS
    for (side, is_upper), points in leaves.items():
        trees.append((grow_tree(rng, _artery(thorax, side, is_upper), points[:n]), True))
        trees.append((grow_tree(rng, _vein(thorax, side, is_upper), points[n : 2 * n]), False))
    thin = []
    for tree, is_artery in trees:
        bent = [_in_patient(thorax, generation) for generation in tree]
        thin += [b for b in bent if b.first_radius_mm < TUBE_FROM_MM]
        for branches in bent:
            if branches.first_radius_mm >= TUBE_FROM_MM:
                _paint_tubes(thorax, branches)
        if is_artery:
            for branches in bent[1 : LAST_BRONCHI + 1]:
                _paint_bronchi(thorax, branches)
    spread(thorax, [*thin, *_twigs(rng, thorax, leaves)])


def _twigs(rng: np.random.Generator, thorax: Thorax, leaves: dict[tuple[int, bool], Float64Array]) -> list[Branches]:
    """Return twigs that point away from the hilum, by calibre, in patient mm."""  # fmt: skip
    middles, ways = [], []
    for (side, is_upper), points in leaves.items():
        rest = points[2 * 2**N_GENERATIONS :]
        away = rest - _artery(thorax, side, is_upper)
        away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1.0)
        middles.append(rest)
        ways.append(away + 0.45 * rng.standard_normal(away.shape))
    middle, way = np.vstack(middles), np.vstack(ways)
    way *= rng.gamma(3.0, TWIG_LENGTH_MM / 6, (len(way), 1))
    radii = np.linspace(*TWIG_MM, 4)
    return [
        _in_patient(thorax, Branches(middle[k::4] - way[k::4], middle[k::4] + way[k::4], 1.1 * radius, 0.8 * radius))
        for k, radius in enumerate(radii)
    ]


def _artery(thorax: Thorax, side: int, is_upper: bool) -> Float64Array:
    curve, _ = great_vessel_curve(thorax, "left_pulmonary_artery" if side > 0 else "right_pulmonary_artery")
    root: Float64Array = curve[int(UPPER_BRANCH_SHARE * (len(curve) - 1))] if is_upper else curve[-1]
    return root


def _vein(thorax: Thorax, side: int, is_upper: bool) -> Float64Array:
    number = (2 if side > 0 else 0) + (0 if is_upper else 1)
    root: Float64Array = great_vessel_curve(thorax, f"pulmonary_vein_{number}")[0][-1]
    return root


def grow_tree(rng: np.random.Generator, root_mm: Float64Array, leaves_mm: Float64Array) -> tuple[Branches, ...]:
    """Return a tree from a root to its leaves, generation by generation.

    Parameters
    ----------
    rng : Generator
        Bends the branches a little.
    root_mm : ndarray, shape (3,)
        Where the first branch begins.
    leaves_mm : ndarray, shape (2 ** generations, 3)
        Where the last branches end.

    Returns
    -------
    tuple of Branches
        One entry a generation, the root's first.
    """
    n_generations = len(leaves_mm).bit_length() - 1
    groups, nodes = leaves_mm[None], root_mm[None]
    tree = []
    for k in range(n_generations + 1):
        middles = groups.mean(axis=1)
        steps = middles - nodes
        if k < n_generations:
            steps *= _step_share(groups - nodes[:, None], steps)
        bend = 0.05 * np.linalg.norm(steps, axis=1, keepdims=True) * rng.standard_normal(steps.shape)
        ends = nodes + steps + (bend if k < n_generations else 0.0)
        radius = LEAF_MM * groups.shape[1] ** (1 / MURRAY_EXPONENT)
        tree.append(Branches(nodes, ends, 1.08 * radius, 0.95 * radius))
        if k < n_generations:
            groups, nodes = _halved(groups), np.repeat(ends, 2, axis=0)
    return tuple(tree)


def _step_share(leaves_mm: Float64Array, middles_mm: Float64Array) -> Float64Array:
    """Return how far each branch runs towards its leaves' middle: until the first of them lie beside it.

    Both are given from the branch's start; shapes (groups, leaves, 3) and (groups, 3).
    """
    length2 = np.maximum((middles_mm**2).sum(axis=1, keepdims=True), 1e-6)
    along = np.einsum("gpi,gi->gp", leaves_mm, middles_mm) / length2
    first = int(NEAREST_SHARE * along.shape[1])
    near = np.partition(along, first, axis=1)[:, first, None] - 0.12
    share: Float64Array = np.clip(near, *STEP_LIMITS)
    return share


def _halved(groups_mm: Float64Array) -> Float64Array:
    """Return each group of points (groups, points, 3) as two groups, cut across its longest extent."""
    n, size, _ = groups_mm.shape
    centered = groups_mm - groups_mm.mean(axis=1, keepdims=True)
    _, axes = np.linalg.eigh(np.einsum("gpi,gpj->gij", centered, centered))
    along = np.einsum("gpi,gi->gp", centered, axes[:, :, -1])
    order = np.argsort(along, axis=1, kind="stable")
    ordered = np.take_along_axis(groups_mm, order[:, :, None], axis=1)
    return ordered.reshape(2 * n, size // 2, 3)


@dataclass(frozen=True)
class _Inside:
    """Where lung is: the rib cage's sections every `_LEVEL_MM`."""

    lowest_mm: float
    center_y_mm: Float64Array
    radius_mm: Float64Array
    """By height and angle bin."""
    edge_mm: Float64Array
    """Rear edge by height and distance from the middle in mm."""


_LEVEL_MM = 8.0


def _inside(thorax: Thorax, cage: RibCage) -> _Inside:
    lowest = heart_floor_mm(thorax.person) - 78
    heights = np.arange(lowest, cage.cupola_mm + 2 * _LEVEL_MM, _LEVEL_MM)
    sections = [cage.section(float(z)) for z in heights]
    return _Inside(
        lowest_mm=lowest,
        center_y_mm=np.array([section.center_y_mm for section in sections]),
        radius_mm=np.array([section.radius_mm for section in sections], dtype=np.float64),
        edge_mm=np.array([cage.edge_mm(np.arange(200.0), float(z)) for z in heights]),
    )


def _draw_leaves(
    rng: np.random.Generator, thorax: Thorax, cage: RibCage, fissures: Fissures
) -> dict[tuple[int, bool], Float64Array]:
    """Return evenly drawn points for artery, vein and twigs, by side and lobe: upper (with the middle one) or lower."""
    inside, needed = _inside(thorax, cage), 2 * 2**N_GENERATIONS + N_TWIGS // 2
    person = thorax.person
    low = np.array([15.0, cage.front_mm(0.0) - 20, inside.lowest_mm + 8])
    high = np.array([1.1 * person.chest_half_width_mm, cage.back_mm(0.0) + 5, cage.cupola_mm - 5])
    leaves: dict[tuple[int, bool], Float64Array] = {}
    for side in (-1, 1):
        found: dict[bool, Float64Array] = {True: np.empty((0, 3)), False: np.empty((0, 3))}
        while min(len(points) for points in found.values()) < needed:
            points = rng.uniform(low, high, (4 * needed, 3)) * [side, 1, 1]
            points = points[_is_lung(points, thorax, inside)]
            above = points[:, 2] - fissures.oblique_mm(points[:, 0].astype(np.float32), points[:, 1].astype(np.float32))
            found = {True: np.vstack([found[True], points[above > 4]]),
                     False: np.vstack([found[False], points[above < -4]])}  # fmt: skip
        leaves |= {(side, is_upper): points[:needed] for is_upper, points in found.items()}
    return leaves


def _is_lung(points: Float64Array, thorax: Thorax, inside: _Inside) -> BoolArray:
    """Return which points lie in a lung, some way from pleura, heart and diaphragm."""
    x, y, z = points.T
    person = thorax.person
    row = np.rint((z - inside.lowest_mm) / _LEVEL_MM).astype(np.intp)
    y_out = y - inside.center_y_mm[row]
    bins = ((np.arctan2(x, -y_out) + np.pi) / (2 * np.pi) * N_ANGLES).astype(np.intp) % N_ANGLES
    found: BoolArray = np.hypot(x, y_out) < inside.radius_mm[row, bins] - 4
    found &= y < inside.edge_mm[row, np.abs(x).astype(np.intp)] - 3
    from_heart = (points - person.heart_center_mm) / (np.array([60, 57, 54]) * person.heart_scale_xyz)
    found &= (from_heart**2).sum(axis=1) > 1
    dome = np.where(x < 0, person.right_dome_mm, person.left_dome_mm) + heart_floor_mm(person)
    off = np.hypot((x - np.sign(x) * 0.48 * person.chest_half_width_mm) / (0.55 * person.chest_half_width_mm),
                   y / (0.9 * person.chest_half_depth_mm))  # fmt: skip
    found &= z > dome - 66 * (1 - np.sqrt(np.maximum(1 - off * off, 0))) + 2
    return found


def _in_patient(thorax: Thorax, branches: Branches) -> Branches:
    both = thorax.canvas.unbent(np.vstack([branches.starts_mm, branches.ends_mm]))
    n = len(branches.starts_mm)
    return Branches(both[:n], both[n:], branches.first_radius_mm, branches.last_radius_mm)


def _paint_tubes(thorax: Thorax, branches: Branches) -> None:
    radii = np.array([branches.first_radius_mm, branches.last_radius_mm])
    for start, end in zip(branches.starts_mm, branches.ends_mm, strict=True):
        thorax.canvas.paint_curve(np.stack([start, end]), radii, thorax.person.blood_hu)


def _paint_bronchi(thorax: Thorax, branches: Branches) -> None:
    """Paint a bronchus beside each artery of a generation."""
    lumen = 0.8 * np.array([branches.first_radius_mm, branches.last_radius_mm])
    wall = 0.5 + 0.16 * lumen
    away = np.cross(branches.ends_mm - branches.starts_mm, [0.25, -0.35, 1.0])
    away *= (branches.first_radius_mm + lumen[0] + wall[0]) / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1)
    for start, end in zip(branches.starts_mm + away, branches.ends_mm + away, strict=True):
        line = np.stack([start, end])
        thorax.canvas.paint_curve(line, lumen + wall, AIRWAY_WALL_HU)
        thorax.canvas.paint_curve(line, lumen, AIRWAY_AIR_HU)


def spread(thorax: Thorax, generations: list[Branches]) -> None:
    """Lay thin branches over the voxels they cross, by the share of each voxel that they fill."""
    canvas = thorax.canvas
    shape = canvas.hu.shape
    origin = np.array([axis[0] for axis in canvas.axes_mm_zyx[::-1]])
    steps = np.array(canvas.step_mm_zyx[::-1])
    places, volumes = [], []
    for branches in generations:
        points, volume = _beads(branches)
        places.append((points - origin) / steps)
        volumes.append(volume)
    place, share = np.vstack(places), np.concatenate(volumes) / float(np.prod(steps))
    kept = ((place >= 0) & (place < np.array(shape[::-1]) - 1.001)).all(axis=1)
    place, share = place[kept], share[kept]
    # neighbours in memory one after the other: several times faster to add up
    order = np.argsort(np.rint(place[:, 2]) * shape[1] + np.floor(place[:, 1]), kind="stable")
    place, share = place[order], share[order]
    corner = place.astype(np.int64)
    part = place - corner
    filled = np.zeros(canvas.hu.size, dtype=np.float32)
    row = np.rint(place[:, 2]).astype(np.int64) * shape[1]
    for corner_x, corner_y in ((0, 0), (0, 1), (1, 0), (1, 1)):
        across = np.abs(1 - corner_x - part[:, 0]) * np.abs(1 - corner_y - part[:, 1])
        flat = (row + corner[:, 1] + corner_y) * shape[2] + corner[:, 0] + corner_x
        np.add.at(filled, flat, (across * share).astype(np.float32))
    touched = np.flatnonzero(filled)
    hu = canvas.hu.reshape(-1)
    hu[touched] += np.minimum(filled[touched], 1) * (np.float32(thorax.person.blood_hu) - hu[touched])


def _beads(branches: Branches) -> tuple[Float64Array, Float64Array]:
    """Return points along the branches (n, 3), close enough to leave no gaps, and the volume of each, mm3."""
    along = branches.ends_mm - branches.starts_mm
    length = np.linalg.norm(along, axis=1)
    count = np.maximum(np.ceil(length / SPREAD_STEP_MM), 1).astype(np.intp)
    of_branch = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(of_branch)) - np.repeat(np.cumsum(count) - count, count)
    where = (number + 0.5) / count[of_branch]
    points = branches.starts_mm[of_branch] + where[:, None] * along[of_branch]
    radius = branches.first_radius_mm + where * (branches.last_radius_mm - branches.first_radius_mm)
    volume = np.pi * radius**2 * length[of_branch] / count[of_branch]
    return points, volume
