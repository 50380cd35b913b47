"""The wall of the chest: skin, fat with its septa, layered muscles, shoulder blades and breasts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcmap.core.volume import Float32Array, Float64Array
from calcmap.simulation.anatomy.cage import ANGLES, N_ANGLES, RibCage, Section, angle_bins, draw_rib_cage
from calcmap.simulation.anatomy.lungs import tile_places
from calcmap.simulation.anatomy.muscles import BLADE, Musculature, draw_musculature
from calcmap.simulation.anatomy.shapes import Box
from calcmap.simulation.anatomy.thorax import CORTEX_HU, FAT_HU, MUSCLE_HU, SKIN_HU, TILE, Thorax

SKIN_MM = 2.0
THINNEST_SHEET_MM = 0.4
GUARDED_FROM_MM, INLET_MM, THROUGH_WALL_MM = 70.0, 25.0, 3.0
"""Height from which vessels inside might come through the wall, the inlet's height under the lungs' tops, and how far
outside the lungs' surface they would be (our choice)."""
DEPTH_STEP_MM, N_DEPTHS = 0.7, 180
"""Of the table in which a slice's muscles are laid out: half a voxel, and far enough for any shoulder."""
_DEPTHS_MM = ((np.arange(N_DEPTHS) + 0.5) * DEPTH_STEP_MM).astype(np.float32)[None, :]
SEPTUM_HU = 42.0
"""What a septum adds to the fat around it, after it has been blurred to a voxel (our choice, by eye)."""
STREAK_HU = 45.0
"""How much a fatty streak takes from a muscle, at its most (our choice, by eye)."""
GLAND_HU = 30.0
IMPLANT_HU = 85.0
"""Silicone gel."""
_FAT_ANGLES = (0, 20, 40, 60, 80, 90, 110, 130, 150, 165, 180)
_FAT_HEIGHTS_MM = (-70.0, 0.0, 60.0, 110.0, 150.0)
_FAT_SHARE = (
    (1.10, 1.25, 1.15, 0.80, 0.60, 0.58, 0.70, 0.85, 0.95, 1.00, 1.05),
    (0.95, 1.15, 1.25, 1.20, 0.85, 0.70, 0.75, 0.95, 1.15, 0.95, 0.90),
    (0.90, 1.05, 1.20, 1.45, 1.70, 1.45, 1.00, 1.05, 0.90, 0.75, 0.70),
    (0.80, 1.05, 1.25, 1.50, 2.10, 1.60, 1.05, 1.00, 0.85, 0.75, 0.80),
    (0.80, 1.00, 1.20, 1.40, 2.20, 1.60, 1.10, 0.95, 0.85, 0.85, 0.90),
)
"""Fat under the skin by height and angle from the front, over that in `Person` (medians of seven public CTs)."""


_INTERCOSTAL_MM = np.interp(np.abs(np.rad2deg(ANGLES)), (0, 25, 45, 150), (1.2, 1.2, 3.3, 3.8)).astype(np.float32)
"""Half the thickness of the muscles between the ribs, by angle bin: thin between the cartilages."""


@dataclass(frozen=True)
class Breast:
    """One breast, by where it lies on the wall."""

    angle: float
    height_mm: float
    half_angle: float
    half_height_mm: float
    thickness_mm: float
    gland_share: float
    """0 all fat, 1 dense."""
    has_implant: bool


@dataclass(frozen=True)
class Wall:
    """One patient's chest wall by slice and angle bin."""

    cage: RibCage
    heights_mm: Float64Array
    """Of the canvas's slices."""
    sections: tuple[Section, ...]
    muscles: Musculature
    skin_mm: Float32Array
    """Skin's depth outside the lungs' surface."""
    breasts: tuple[Breast, ...]
    fattiness: float
    """Share of fat in muscle, 0 to 1."""
    strands_zyx: Float32Array
    """Periodic noise of SD 1, coarser than the thorax's."""
    tile_places: NDArray[np.intp]
    """Of each voxel of a slice in a slice of that noise."""


def draw_wall(thorax: Thorax) -> Wall:
    """Return the chest wall of a thorax, laid out but not painted."""
    rng, person = thorax.stream("wall"), thorax.person
    cage = draw_rib_cage(thorax)
    heights = thorax.canvas.axes_mm_zyx[0]
    sections = tuple(cage.section(float(height)) for height in heights)
    levels = np.array([cage.level(float(height)) for height in heights])
    muscles = draw_musculature(thorax, levels)
    breasts = _draw_breasts(thorax, rng)
    filled = ndimage.gaussian_filter(muscles.outer_mm, (3.0, 18.0), mode=("nearest", "wrap"))
    skin = filled + person.fat_mm * _fat_shares(levels) + _unevenness(rng, heights, person.fat_mm)
    for breast in breasts:
        skin = skin + breast.thickness_mm * _mound(breast, heights) + _nipple(breast, heights)
    skin = np.maximum(ndimage.gaussian_filter(skin, (0.6, 2.0), mode=("nearest", "wrap")), muscles.outer_mm + 3.0)
    skin = ndimage.gaussian_filter(np.minimum(skin, _room_mm(thorax, sections)), (0, 3.0), mode="wrap")
    fattiness = float(np.clip((person.age_years - 35) / 90 + (person.bmi - 25) / 60 + rng.normal(0.1, 0.1), 0.05, 0.9))
    strands = ndimage.gaussian_filter(thorax.tile_zyx, 1.3, mode="wrap")
    strands /= strands.std()
    return Wall(
        cage, heights, sections, muscles, skin.astype(np.float32), breasts, fattiness, strands, tile_places(thorax)
    )


def _room_mm(thorax: Thorax, sections: tuple[Section, ...]) -> Float64Array:
    """Return how far outside the lungs' surface the canvas reaches, by slice and angle bin."""
    _, y, x = thorax.canvas.axes_mm_zyx
    margin = SKIN_MM + thorax.canvas.slack_mm
    rows = []
    for section in sections:
        ahead = np.where(np.cos(ANGLES) > 0, section.center_y_mm - y[0], y[-1] - section.center_y_mm) - margin
        sides = np.where(np.sin(ANGLES) > 0, x[-1], -x[0]) - margin
        reach = np.minimum(ahead / np.abs(np.cos(ANGLES)), sides / np.abs(np.sin(ANGLES)))
        rows.append((reach - section.radius_mm) * section.slant)
    return np.array(rows)


def paint_wall(thorax: Thorax, wall: Wall, plane: Box) -> Float32Array:
    """Paint one slice of the wall, and muscle within it; return the distance to the rib cage's inner surface."""
    canvas = thorax.canvas
    k = range(len(wall.heights_mm))[plane[0]][0]
    section = wall.sections[k]
    x, y, _ = (axis[0] for axis in canvas.model_coordinates(plane))
    y = y - np.float32(section.center_y_mm)
    bins = angle_bins(x, y)
    cavity = (np.sqrt(x * x + y * y) - section.radius_mm[bins]) * section.slant[bins]
    view = canvas.hu[plane][0]
    view[cavity <= 0] = MUSCLE_HU
    where = np.flatnonzero((cavity > -canvas.step_mm) & (cavity < wall.skin_mm[k].max() + 2 * canvas.step_mm))
    ring = _ring(thorax, wall, k, section, cavity.ravel()[where], bins.ravel()[where], where)
    hu = view.ravel()[where]
    _paint_ring(thorax, wall, k, ring, hu)
    view.ravel()[where] = hu
    whole: Float32Array = cavity[None]
    return whole


@dataclass(frozen=True)
class OuterWall:
    """Voxels that nothing inside the chest may paint over, with what they hold."""

    places: NDArray[np.intp]
    """Flat indices of the canvas."""
    hu: Float32Array


def outer_wall(thorax: Thorax, wall: Wall, cavity: Float32Array) -> OuterWall:
    """Return the upper chest's wall, where tilted vessels of a small chest might come through.

    Over the lungs' tops vessels pass between chest and neck: there only what is air stays air.
    """
    hu, heights = thorax.canvas.hu, wall.heights_mm
    first, last = np.searchsorted(heights, [GUARDED_FROM_MM, wall.cage.cupola_mm - INLET_MM])
    outside = cavity[first:] > THROUGH_WALL_MM
    outside[last - first :] &= hu[last:] < -500
    places = np.flatnonzero(outside) + first * hu[0].size
    return OuterWall(places, hu.reshape(-1)[places])


def restore(thorax: Thorax, outside: OuterWall) -> None:
    """Put the wall back over what was painted since."""
    thorax.canvas.hu.reshape(-1)[outside.places] = outside.hu


@dataclass(frozen=True)
class _Ring:
    """The voxels of a slice outside the rib cage."""

    depth: Float32Array
    """Outside the lungs' surface, mm."""
    bins: NDArray[np.intp]
    """Angle bins."""
    body: Float32Array
    """Signed distance to the skin's surface, mm."""
    bundles: Float32Array
    """Noise of SD 1 drawn out along the wall, as muscle bundles and fat lobules are."""
    strands: Float32Array
    """Noise of SD 1 without direction, coarser."""


def _ring(
    thorax: Thorax,
    wall: Wall,
    k: int,
    section: Section,
    depth: Float32Array,
    bins: NDArray[np.intp],
    where: NDArray[np.intp],
) -> _Ring:
    """Return the voxels ``where`` of slice k with what is known about them."""  # fmt: skip
    bin_width = 2 * np.pi / N_ANGLES
    skin = wall.skin_mm[k]
    slant = 1 / np.hypot(1, np.gradient(skin, bin_width) / (section.radius_mm + skin)).astype(np.float32)
    # the tile's side is a power of two: a bit mask is much quicker than a remainder
    across = (depth * np.float32(1 / 1.1)).astype(np.intp) & (TILE - 1)
    along_of_bin = (np.arange(N_ANGLES) * (section.radius_mm.mean() * bin_width / 4.0)).astype(np.intp) % TILE
    along = along_of_bin[bins]
    return _Ring(
        depth=depth,
        bins=bins,
        body=(depth - skin[bins]) * slant[bins],
        bundles=thorax.tile_zyx[(k // 2) % TILE].ravel()[across * TILE + along],
        strands=wall.strands_zyx[k % TILE].ravel()[wall.tile_places[where]],
    )


def _paint_ring(thorax: Thorax, wall: Wall, k: int, ring: _Ring, hu: Float32Array) -> None:
    """Paint the wall of slice k over what is there (air, or an arm), in place."""
    cover = thorax.canvas.coverage
    fat = FAT_HU + 5 * ring.bundles + SEPTUM_HU * np.clip(1 - np.abs(ring.bundles - 0.9) * 5, 0, 1)
    for breast in wall.breasts:
        _add_glands(fat, wall, k, ring, breast)
    muscle = MUSCLE_HU - STREAK_HU * wall.fattiness * np.clip(ring.bundles - 0.6, 0, 1.6)
    _lay(hu, cover(ring.body), SKIN_HU)
    around = hu.copy()
    _lay(hu, cover(ring.body + np.float32(SKIN_MM)), fat)
    place = ring.bins * N_DEPTHS + np.clip(ring.depth / DEPTH_STEP_MM, 0, N_DEPTHS - 1).astype(np.intp)
    shares = _sheet_shares(thorax, wall, k)
    _lay(hu, shares.muscle.ravel()[place], muscle)
    if shares.blade is not None and shares.marrow is not None:
        _lay(hu, shares.blade.ravel()[place], CORTEX_HU)
        _lay(hu, shares.marrow.ravel()[place], 0.8 * thorax.person.bone_hu)
    # where a shoulder would leave the grid its skin ends earlier, and so does what lies under it
    hu += cover(-ring.body - np.float32(SKIN_MM)) * (around - hu)


def _lay(hu: Float32Array, share: Float32Array, tissue: float | Float32Array) -> None:
    hu += share * (tissue - hu)


@dataclass(frozen=True)
class _SheetShares:
    """Share of muscle and bone in the wall of a slice, by angle bin and depth."""

    muscle: Float32Array
    blade: Float32Array | None
    marrow: Float32Array | None


def _sheet_shares(thorax: Thorax, wall: Wall, k: int) -> _SheetShares:
    cover = thorax.canvas.coverage
    muscle = cover(np.abs(_DEPTHS_MM - _INTERCOSTAL_MM[:, None]) - _INTERCOSTAL_MM[:, None])
    blade: Float32Array | None = None
    marrow: Float32Array | None = None
    for sheet in wall.muscles.sheets:
        half = 0.5 * sheet.thickness_mm[k]
        present = np.flatnonzero(half > 0.5 * THINNEST_SHEET_MM)
        if len(present) == 0:
            continue
        middle = (sheet.inner_mm[k] + half)[present, None]
        if sheet.sheet.name != BLADE:
            inside = np.abs(_DEPTHS_MM - middle) - half[present, None]
            muscle[present] = np.maximum(muscle[present], cover(inside))
            continue
        inside = np.abs(_DEPTHS_MM - middle) - (half + _blade_rims(half, thorax.person.sex))[present, None]
        blade, marrow = np.zeros_like(muscle), np.zeros_like(muscle)
        blade[present], marrow[present] = cover(inside), cover(inside + np.float32(1.5))
    return _SheetShares(muscle, blade, marrow)


def _blade_rims(half_mm: Float32Array, sex: str) -> Float32Array:
    """Return how much thicker the borders of the shoulder blades are, by angle bin."""
    present = half_mm > 0.8
    first = np.abs(np.abs(np.rad2deg(ANGLES)) - 99.0)
    rims: Float32Array = np.where(present, (3.6 if sex == "M" else 2.8) * np.clip(1 - first / 4.0, 0, 1), 0)
    return rims.astype(np.float32)


def _fat_shares(heights_mm: Float64Array) -> Float64Array:
    """Return the fat under the skin over the person's, by height and angle bin."""
    rows = np.array([np.interp(np.abs(np.rad2deg(ANGLES)), _FAT_ANGLES, row) for row in _FAT_SHARE])
    place = np.interp(heights_mm, _FAT_HEIGHTS_MM, np.arange(len(rows)))
    below = np.minimum(place.astype(int), len(rows) - 2)
    part = (place - below)[:, None]
    shares: Float64Array = rows[below] * (1 - part) + rows[below + 1] * part
    return shares


def _unevenness(rng: np.random.Generator, heights_mm: Float64Array, fat_mm: float) -> Float64Array:
    """Return smooth bumps and folds of the skin, mm: waves around the body that lean with height."""
    total = np.zeros((len(heights_mm), N_ANGLES))
    for wave in range(1, 9):
        size = rng.normal(0, (0.6 + 0.05 * fat_mm) / np.sqrt(wave))
        lean = rng.uniform(-1, 1) / 40
        total += size * np.cos(wave * ANGLES[None, :] + rng.uniform(0, 2 * np.pi) + lean * heights_mm[:, None])
    return total


def _draw_breasts(thorax: Thorax, rng: np.random.Generator) -> tuple[Breast, ...]:
    """Return both breasts; a man's are a nipple on a little fat."""
    person = thorax.person
    height, angle = float(rng.normal(38, 10)), float(np.deg2rad(rng.normal(43, 4)))
    share = float(np.clip(1.25 - person.age_years / 70 - (person.bmi - 25) / 40 + rng.normal(0, 0.2), 0.05, 1.0))
    breasts = []
    for side in (-1, 1):
        size = person.breast_mm * rng.uniform(0.88, 1.12)
        breasts.append(Breast(
            angle=side * (angle + float(np.deg2rad(rng.normal(0, 2)))), height_mm=height + float(rng.normal(0, 4)),
            half_angle=float(np.deg2rad(27 + 0.12 * size)), half_height_mm=46 + 0.3 * float(size),
            thickness_mm=float(size), gland_share=share, has_implant=person.has_implants,
        ))  # fmt: skip
    return tuple(breasts)


def _from_middle(breast: Breast, heights_mm: float | Float64Array) -> Float64Array:
    """Return the distance from a breast's middle over its half size, by height and angle bin."""
    up = (np.atleast_1d(heights_mm) - breast.height_mm) / breast.half_height_mm
    distance: Float64Array = np.hypot((ANGLES[None, :] - breast.angle) / breast.half_angle, up[:, None])
    return distance


def _mound(breast: Breast, heights_mm: Float64Array) -> Float64Array:
    """Return a breast's thickness over its largest, by height and angle bin: full in the middle, steep at the rim."""
    mound: Float64Array = np.exp(-((_from_middle(breast, heights_mm) / 0.85) ** 2.6))
    return mound


def _nipple(breast: Breast, heights_mm: Float64Array) -> Float64Array:
    up = (heights_mm - breast.height_mm) / 5.0
    bump: Float64Array = 4.0 * np.exp(-(up[:, None] ** 2) - ((ANGLES - breast.angle) / np.deg2rad(2.2))[None, :] ** 2)
    return bump


def _add_glands(fat: Float32Array, wall: Wall, k: int, ring: _Ring, breast: Breast) -> None:
    """Add one breast's glandular strands, or its implant, to the fat of slice k, in place."""
    far = _from_middle(breast, float(wall.heights_mm[k]))[0].astype(np.float32)
    if breast.thickness_mm <= 0 or far.min() > 1:
        return
    near = np.flatnonzero((far[ring.bins] < 1) & (ring.body < -SKIN_MM))
    at = ring.bins[near]
    base = wall.muscles.outer_mm[k][at]
    height = (ring.depth[near] - base) / np.maximum(wall.skin_mm[k][at] - base, 1)
    if breast.has_implant:
        bag = np.hypot(far[at] / np.float32(0.75), (height - np.float32(0.42)) / np.float32(0.42))
        fat[near] += np.clip((1 - bag) * 10, 0, 1) * (IMPLANT_HU - fat[near])
        return
    # the gland narrows towards the nipple; ligaments run through all of the fat
    cone = 1 - np.hypot(far[at] / np.float32(0.85), (height - np.float32(0.55)) / np.float32(0.45))
    strands = np.clip(1.6 * ring.strands[near] + np.float32(4.0 * breast.gland_share - 2.4), 0, 1)
    ligaments = np.clip(0.35 - np.abs(ring.strands[near]), 0, 0.3)
    tissue = np.maximum(np.clip(3 * cone, 0, 1) * strands, ligaments)
    fat[near] += tissue * (GLAND_HU - FAT_HU)
