"""Files and folders to studies.

Every file ends up in one of four places: an image of a series, a voxel file, a problem with its reason, or the list of
files that were passed over. Nothing vanishes.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from calcmap.core.errors import InputError, UnreadableFileError
from calcmap.io.dicom_elements import is_dicom
from calcmap.io.dicomdir import referenced_files
from calcmap.io.headers import Instance, read_instance
from calcmap.io.sources import FileSource, Source, zip_members
from calcmap.io.study import FileProblem, Series, Study
from calcmap.io.voxel_files import is_voxel_file, voxel_format, voxel_stem

SNIFFED_BYTES = 132
"""Preamble and magic word of a DICOM file."""

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
"""Endings that promise DICOM: a file that breaks the promise is a problem, not ignored."""

MASK_WORDS = frozenset({"label", "labels", "mask", "masks", "seg", "segmentation", "annotation", "annotations"})
"""Words in a voxel file's name which say that it is no CT: passed over when a folder is searched."""

CASE_FILE, CASE_CT_STEM = "case.json", "ct"
"""In the folder of a case (see ``cases``), ``ct`` is the only voxel file that is a study."""

GENERIC_NAMES = frozenset({"dicom", "dcm", "ct", "image", "images", "volume", "scan", "series"})
"""Names that say nothing; the folder above names the study instead."""

DICOMDIR_NAME = "DICOMDIR"

Location = tuple[str, ...]


@dataclass
class _Found:
    """What turned up under the paths given; locations are folders, outermost first."""

    instances: list[Instance] = field(default_factory=list)
    images: list[Source] = field(default_factory=list)
    problems: list[tuple[Location, FileProblem]] = field(default_factory=list)
    ignored: list[tuple[Location, str]] = field(default_factory=list)


@dataclass
class _Draft:
    """A study that still waits for its name, problems and ignored files."""

    location: Location
    series: tuple[Series, ...] = ()
    stem: str = ""
    problems: list[FileProblem] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def find_studies(paths: Sequence[Path]) -> list[Study]:
    """Return every study under the paths, with headers read and no pixels.

    DICOM files are grouped by StudyInstanceUID over all paths together. Each voxel file is a study of its own; when a
    folder is searched, label maps are passed over (by ``MASK_WORDS``, or, beside a ``case.json``, everything but
    ``ct``). A path under which nothing can be read still gives a study, with its problems, so that it can be refused
    with a reason.

    Parameters
    ----------
    paths : sequence of Path
        Folders (searched in depth), DICOM files, DICOMDIR, zip archives, NIfTI, NRRD or MetaImage files.

    Returns
    -------
    list of Study
        Sorted by name; names are unique and made from folder or file names.

    Raises
    ------
    InputError
        A path does not exist.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise InputError(f"no such file or folder: {', '.join(missing)}")
    found = _Found()
    visited = [_visit(path, found) for path in dict.fromkeys(path.absolute() for path in paths)]
    roots = list(dict.fromkeys(visited))
    drafts = [*_dicom_drafts(found.instances), *_image_drafts(found.images)]
    locations = _all_locations(drafts)
    drafts += [_Draft(root) for root in roots if not _under(root, locations)]
    _hand_out(found, drafts)
    return _named(drafts, roots)


def _visit(path: Path, found: _Found) -> Location:
    """Look into one path; return the location that stands for it."""
    if path.is_dir():
        for file in _files_below(path):
            _visit_file(FileSource(file), found, in_folder=True)
        return path.parts
    if path.name.upper() == DICOMDIR_NAME:
        _visit_directory(path, found)
        return path.parent.parts
    if path.suffix.lower() == ".zip":
        _visit_archive(path, found)
        return path.parts
    _visit_file(FileSource(path), found, in_folder=False)
    return path.parent.parts


def _files_below(folder: Path) -> Iterable[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(parent, name)


def _visit_archive(path: Path, found: _Found) -> None:
    try:
        members = zip_members(path)
    except UnreadableFileError as error:
        found.problems.append((path.parts, FileProblem(path.name, error)))
        return
    names = {(member.location, member.name.lower()) for member in members}
    for member in members:
        _visit_file(member, found, in_folder=True, beside_case=(member.location, CASE_FILE) in names)


def _visit_directory(path: Path, found: _Found) -> None:
    """Look at the files that a DICOMDIR lists; one that is absent is a problem."""
    try:
        files = referenced_files(path)
    except UnreadableFileError as error:
        found.problems.append((path.parent.parts, FileProblem(path.name, error)))
        return
    for file in files:
        _visit_file(FileSource(file), found, in_folder=False)


def _visit_file(source: Source, found: _Found, *, in_folder: bool, beside_case: bool | None = None) -> None:
    """Put one file where it belongs."""
    name = source.name
    if in_folder and (name.startswith((".", "__MACOSX")) or name.upper() == DICOMDIR_NAME):
        found.ignored.append((source.location, name))
    elif in_folder and name.lower().endswith(".zip") and isinstance(source, FileSource):
        _visit_archive(source.path, found)
    elif is_voxel_file(name):
        is_case = _has_case_file(source) if beside_case is None else beside_case
        if in_folder and not _may_be_ct(name, beside_case=is_case):
            found.ignored.append((source.location, name))
        else:
            found.images.append(source)
    else:
        _visit_dicom(source, found, in_folder=in_folder)


def _visit_dicom(source: Source, found: _Found, *, in_folder: bool) -> None:
    try:
        with source.open() as stream:
            head = stream.read(SNIFFED_BYTES)
        if is_dicom(head):
            found.instances.append(read_instance(source))
        elif in_folder and not source.name.lower().endswith(DICOM_SUFFIXES):
            found.ignored.append((source.location, source.name))
        else:
            raise UnreadableFileError(f"{source.name} is of no known format, expected DICOM, NIfTI, NRRD, MHA or zip")
    except OSError as error:
        problem = UnreadableFileError(f"cannot read {source.name}: {error.strerror or error}")
        found.problems.append((source.location, FileProblem(source.name, problem)))
    except InputError as error:
        found.problems.append((source.location, FileProblem(source.name, error)))


def _has_case_file(source: Source) -> bool:
    return Path(*source.location, CASE_FILE).is_file()


def _may_be_ct(name: str, *, beside_case: bool) -> bool:
    stem = voxel_stem(name).lower()
    if beside_case:
        return stem == CASE_CT_STEM
    return MASK_WORDS.isdisjoint(re.split(r"[^a-z]+", stem))


def _dicom_drafts(instances: Sequence[Instance]) -> list[_Draft]:
    by_study: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        by_study[instance.text("StudyInstanceUID")].append(instance)
    return [
        _Draft(
            _common([instance.source.location for instance in members]),
            _series_of(members),
            stem=Path(members[0].source.name).stem if len(members) == 1 else "",
        )
        for _, members in sorted(by_study.items())
    ]


def _series_of(instances: Sequence[Instance]) -> tuple[Series, ...]:
    by_series: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        by_series[instance.text("SeriesInstanceUID")].append(instance)
    return tuple(_series(uid, members) for uid, members in sorted(by_series.items()))


def _series(uid: str, instances: Sequence[Instance]) -> Series:
    ordered = tuple(sorted(instances, key=lambda instance: instance.sop_instance_uid))
    modalities = sorted({instance.text("Modality") for instance in ordered})
    description = next((text for instance in ordered if (text := instance.text("SeriesDescription"))), "")
    return Series(uid, "/".join(modalities), description, ordered)


def _image_drafts(images: Sequence[Source]) -> list[_Draft]:
    return [
        _Draft(
            image.location,
            (Series(image.name, voxel_format(image.name), image.name, image=image),),
            stem=voxel_stem(image.name),
        )
        for image in images
    ]


def _all_locations(drafts: Sequence[_Draft]) -> set[Location]:
    series = [one for draft in drafts for one in draft.series]
    dicom = {instance.source.location for one in series for instance in one.instances}
    return dicom | {one.image.location for one in series if one.image is not None}


def _under(root: Location, locations: Iterable[Location]) -> bool:
    return any(location[: len(root)] == root for location in locations)


def _common(locations: Sequence[Location]) -> Location:
    return tuple(Path(os.path.commonpath([Path(*location) for location in set(locations)])).parts)


def _hand_out(found: _Found, drafts: Sequence[_Draft]) -> None:
    """Give each problem and each ignored file to the study that lies nearest in the folders."""
    places = {location for location, _ in (*found.problems, *found.ignored)}
    nearest = {location: _nearest(location, drafts) for location in places}
    for location, problem in found.problems:
        nearest[location].problems.append(problem)
    for location, name in found.ignored:
        nearest[location].ignored.append(name)


def _nearest(location: Location, drafts: Sequence[_Draft]) -> _Draft:
    """Return the draft that shares the longest way with ``location``; the shallower, then the first, wins ties."""
    return max(drafts, key=lambda draft: (_n_shared(location, draft.location), -len(draft.location)))


def _n_shared(a: Location, b: Location) -> int:
    """Return how many folders two ways have in common before they part."""
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))))


def _named(drafts: Sequence[_Draft], roots: Sequence[Location]) -> list[Study]:
    """Return the drafts as studies, each under a name of its own."""
    wanted = [_wanted_name(draft, drafts, roots) for draft in drafts]
    used: set[str] = set()
    studies = []
    for draft, name in zip(drafts, wanted, strict=True):
        unique = _unused(name, used)
        used.add(unique)
        studies.append(Study(unique, draft.series, tuple(draft.problems), tuple(draft.ignored)))
    return sorted(studies, key=lambda study: study.name)


def _wanted_name(draft: _Draft, drafts: Sequence[_Draft], roots: Sequence[Location]) -> str:
    """Return the file's name, the root's when the study is alone under it, or the way from the root down."""
    if not draft.series and len(draft.problems) == 1 and not draft.ignored:
        return _clean(Path(draft.problems[0].name).stem)
    if draft.stem and draft.stem.lower() not in GENERIC_NAMES:
        return _clean(draft.stem)
    root = max((root for root in roots if _under(root, [draft.location])), key=len, default=draft.location)
    is_alone = sum(_under(root, [other.location]) for other in drafts) == 1
    way = draft.location[len(root) :]
    if not is_alone and way:
        specific = [part for part in way if part.lower() not in GENERIC_NAMES] or list(way)
        return _clean("_".join(specific))
    return _clean(_telling(root))


def _telling(location: Location) -> str:
    """Return the innermost folder's name that says something, an archive's without its ending."""
    for part in reversed(location):
        stem = part[:-4] if part.lower().endswith(".zip") else part
        if stem.lower() not in GENERIC_NAMES and stem.strip("/\\."):
            return stem
    return location[-1]


def _clean(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "study"


def _unused(name: str, used: set[str]) -> str:
    number, candidate = 2, name
    while candidate in used:
        candidate, number = f"{name}-{number}", number + 1
    return candidate
