"""What a reader can do to a machine's result: one small value an edit, to JSON and back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from calcmap.core.errors import EditRefusedError
from calcmap.core.result import JsonValue, Vessel
from calcmap.core.volume import Label
from calcmap.scoring.agatston import VESSEL_OF_CODE

MAX_BRUSH_PIXELS = 20_000
"""Most pixels of one brush stroke: a disc of 80 pixels' radius, far beyond any lesion of one slice (our choice)."""
MAX_COMMENT_CHARACTERS = 4_000
"""Longest comment (our choice: about a page)."""
VOXEL_AXES = 3

VoxelIndex: TypeAlias = tuple[int, int, int]
"""Slice, row, column, from 0."""
PixelIndex: TypeAlias = tuple[int, int]
"""Row, column, from 0."""


class Site(StrEnum):
    """Where a reader says that calcium lies."""

    LM = "LM"
    LAD = "LAD"
    LCX = "LCx"
    RCA = "RCA"
    AORTA = "aorta"
    VALVE = "valve"
    ANNULUS = "annulus"
    OTHER = "other"


SITE_CODES: dict[Site, int] = {site: code for code, site in enumerate(Site, start=1)}
"""Voxel values of a site map; 0 is a site that nobody named. The first four are those of `scoring.VesselCode`."""
SITE_OF_CODE: dict[int, Site] = {code: site for site, code in SITE_CODES.items()}
HIGHEST_VESSEL_CODE = int(max(VESSEL_OF_CODE))
SITE_OF_VESSEL: dict[Vessel, Site] = {vessel: Site(vessel.value) for vessel in Vessel}


def label_of_site(site: Site) -> Label:
    """Return the class of calcium at a site: coronary in the four vessels, else noncoronary."""
    return Label.CORONARY if SITE_CODES[site] <= HIGHEST_VESSEL_CODE else Label.NONCORONARY


@dataclass(frozen=True)
class Accept:
    """The lesion at a voxel is right as it stands; one that was rejected comes back."""

    voxel_zyx: VoxelIndex


@dataclass(frozen=True)
class Reject:
    """The lesion at a voxel is no calcium."""

    voxel_zyx: VoxelIndex


@dataclass(frozen=True)
class Relabel:
    """The lesion at a voxel lies at another site."""

    voxel_zyx: VoxelIndex
    site: Site


@dataclass(frozen=True)
class Add:
    """The machine missed the calcium that is connected to a voxel."""

    voxel_zyx: VoxelIndex
    site: Site


@dataclass(frozen=True)
class Split:
    """The part of a slice's lesions that a brush covers lies at a site of its own."""

    slice_index: int
    pixels_yx: tuple[PixelIndex, ...]
    site: Site


@dataclass(frozen=True)
class Erase:
    """The part of a slice's lesions that a brush covers is no calcium."""

    slice_index: int
    pixels_yx: tuple[PixelIndex, ...]


@dataclass(frozen=True)
class Comment:
    """Words for the next reader; they change no voxel and are never undone."""

    text: str


@dataclass(frozen=True)
class Undo:
    """Take back the last edit that still stands."""


@dataclass(frozen=True)
class Redo:
    """Do again what the last undo took back."""


VoxelEdit: TypeAlias = Accept | Reject | Relabel | Add | Split | Erase
Edit: TypeAlias = VoxelEdit | Comment | Undo | Redo

KINDS: dict[str, type[Edit]] = {
    kind.__name__.lower(): kind for kind in (Accept, Reject, Relabel, Add, Split, Erase, Comment, Undo, Redo)
}
_JSON_NAMES = {"voxel_zyx": "voxel", "site": "site", "slice_index": "slice", "pixels_yx": "pixels", "text": "text"}


def edit_to_json(edit: Edit) -> dict[str, JsonValue]:
    """Return an edit as a JSON object: ``kind``, then ``voxel``, ``site``, ``slice``, ``pixels``, ``text`` it has."""
    written: dict[str, JsonValue] = {"kind": type(edit).__name__.lower()}
    for name, value in vars(edit).items():
        if name == "pixels_yx":
            written["pixels"] = [[y, x] for y, x in value]
        else:
            written[_JSON_NAMES[name]] = list(value) if isinstance(value, tuple) else value
    return written


def edit_from_json(content: object) -> Edit:
    """Return the edit of a JSON object as `edit_to_json` writes it.

    Raises
    ------
    EditRefusedError
        It is no object, of no known kind, or its fields are missing, too many or of another type.
    """
    if not isinstance(content, dict) or content.get("kind") not in KINDS:
        raise EditRefusedError(f"an edit has a kind, one of {', '.join(KINDS)}")
    kind = KINDS[content["kind"]]
    wanted = {_JSON_NAMES[name]: name for name in kind.__dataclass_fields__}
    if content.keys() - {"kind"} != wanted.keys():
        raise EditRefusedError(f"an edit of kind {content['kind']!r} has {', '.join(wanted) or 'nothing else'}")
    return kind(**{name: _READERS[name](content[key]) for key, name in wanted.items()})


def _voxel(value: object) -> VoxelIndex:
    z, y, x = _whole_numbers(value, VOXEL_AXES, "a voxel is [slice, row, column]")
    return z, y, x


def _pixels(value: object) -> tuple[PixelIndex, ...]:
    what = f"a brush stroke is a list of 1 to {MAX_BRUSH_PIXELS} [row, column]"
    if not isinstance(value, list) or not 0 < len(value) <= MAX_BRUSH_PIXELS:
        raise EditRefusedError(what)
    pixels = [_whole_numbers(each, 2, what) for each in value]
    return tuple(sorted({(y, x) for y, x in pixels}))


def _whole_numbers(value: object, n: int, what: str) -> list[int]:
    if not isinstance(value, list) or len(value) != n or any(type(each) is not int for each in value):
        raise EditRefusedError(f"{what}, in whole numbers")
    return value


def _slice(value: object) -> int:
    return _whole_numbers([value], 1, "a slice is its index")[0]


def _site(value: object) -> Site:
    try:
        return Site(str(value))
    except ValueError:
        raise EditRefusedError(f"no site {str(value)[:40]!r}; there are {', '.join(Site)}") from None


def _text(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not 0 < len(text) <= MAX_COMMENT_CHARACTERS or "\0" in text:
        raise EditRefusedError(f"a comment has 1 to {MAX_COMMENT_CHARACTERS} characters")
    return text


# Any: each reader takes what JSON held and returns the type of its field.
_READERS: dict[str, Any] = {
    "voxel_zyx": _voxel,
    "site": _site,
    "slice_index": _slice,
    "pixels_yx": _pixels,
    "text": _text,
}
