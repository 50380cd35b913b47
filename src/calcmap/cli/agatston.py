"""``calcmap agatston``: score a given mask."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calcmap.cli.console import open_console, print_json

if TYPE_CHECKING:
    from calcmap.scoring.agatston import Scoring


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("agatston", no_args_is_help=True)(agatston)


def agatston(
    ct: Annotated[Path, typer.Argument(help="The CT: DICOM folder or file, zip, NIfTI, NRRD or MHA.")],
    mask: Annotated[Path, typer.Option(help="Mask on the CT's grid; any non-zero voxel may be calcium.")],
    profile: Annotated[
        str, typer.Option(help="Scoring rule: clinical, ge, siemens, philips, canon, orcascore.")
    ] = "clinical",
    mass_factor: Annotated[
        float | None, typer.Option(help="Calibration in mg per cm3 and HU; adds the mass score.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Score the calcium inside a mask that you give; no network takes part.

    Example: calcmap agatston ct.nii.gz --mask mask.nii.gz --profile siemens
    """
    from calcmap.io.masks import read_mask
    from calcmap.io.reading import read_single_ct
    from calcmap.io.stacking import Content
    from calcmap.scoring.agatston import score_mask
    from calcmap.scoring.categories import paper_category
    from calcmap.scoring.rules import get_profile

    scan = read_single_ct(ct, content=Content.ANYTHING)
    scoring = score_mask(
        scan.volume,
        read_mask(mask, volume=scan.volume).labels_zyx,
        rule=get_profile(profile),
        mass_factor=mass_factor if mass_factor is not None else scan.acquisition.mass_factor_mg_per_cm3_hu,
        kvp=scan.acquisition.kvp,
    )
    if as_json:
        total = asdict(scoring.coronary) | {"category": paper_category(scoring.coronary.agatston).index}
        lesions = [asdict(lesion) for lesion in scoring.lesions]
        print_json(total | {"lesions": lesions, "method": asdict(scoring.method)})
    else:
        _show(scoring)


def _show(scoring: Scoring) -> None:
    from rich.table import Table

    from calcmap.core.result import DISCLAIMER
    from calcmap.scoring.categories import paper_category

    console, total, method = open_console(), scoring.coronary, scoring.method
    table = Table("lesion", "slices", "centre mm (L, P, S)", "max HU", "volume mm3", "mass mg", "Agatston")
    for lesion in scoring.lesions:
        centre = ", ".join(f"{mm:.1f}" for mm in lesion.center_mm)
        table.add_row(
            str(lesion.id),
            f"{lesion.slice_first}-{lesion.slice_last}",
            centre,
            str(lesion.max_hu),
            f"{lesion.volume_mm3:.5f}",
            "" if lesion.mass_mg is None else f"{lesion.mass_mg:.5f}",
            f"{lesion.agatston:.5f}",
        )
    console.print(table)
    mass = "" if total.mass_mg is None else f", mass {total.mass_mg:.5f} mg"
    name = paper_category(total.agatston).name
    console.print(f"Agatston {total.agatston:.5f} ({name}), volume {total.volume_mm3:.5f} mm3{mass}")
    console.print(
        f"Rule: {method.profile}, {method.threshold_hu} HU, at least {method.min_area_px} px, "
        f"{method.connectivity}-connected, increment {method.increment_mm:.4g} mm. {DISCLAIMER}"
    )
