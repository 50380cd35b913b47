"""A review as a page shows it: numbers and lesions, nothing left to compute."""

from __future__ import annotations

from dataclasses import asdict

from calcmap.core.result import JsonValue
from calcmap.service.review import Review
from calcmap.service.review_scoring import ReviewLesion, ReviewScore


def review_to_json(review: Review) -> dict[str, JsonValue]:
    """Return the state of a review as a JSON object.

    Parameters
    ----------
    review : Review
        As it stands.

    Returns
    -------
    dict
        ``revision``, ``can_undo``, ``can_redo``, ``comments``, and under ``reader`` and ``machine`` the same fields for
        the score as it stands and for the machine's.
    """
    return {
        "revision": review.revision,
        "can_undo": len(review.steps) > 1,
        "can_redo": bool(review.undone),
        "comments": list(review.comments),
        "reader": score_to_json(review.score),
        "machine": score_to_json(review.machine),
    }


def score_to_json(score: ReviewScore) -> dict[str, JsonValue]:
    """Return score, category, vessels and lesions as a JSON object; field names are those of ``result.json``.

    Parameters
    ----------
    score : ReviewScore
        Of one step.

    Returns
    -------
    dict
        Scores are not rounded. ``rejected`` holds lesions that count no more, with what they would score.
    """
    coronary = score.scoring.coronary
    return {
        "agatston": coronary.agatston,
        "volume_mm3": coronary.volume_mm3,
        "mass_mg": coronary.mass_mg,
        "density": coronary.density,
        "category": score.category.index,
        "category_name": score.category.name,
        "cac_drs": score.category.cac_drs,
        "vessels": {vessel.value: asdict(sums) for vessel, sums in score.scoring.vessels.items()},
        "noncoronary": asdict(score.scoring.noncoronary),
        "n_pending": score.n_pending,
        "lesions": [_lesion(lesion) for lesion in score.lesions],
        "rejected": [_lesion(lesion) for lesion in score.rejected],
    }


def _lesion(lesion: ReviewLesion) -> dict[str, JsonValue]:
    result = lesion.result
    return {
        "id": result.id,
        "class": result.lesion_class.value,
        "vessel": result.vessel.value if result.vessel else None,
        "site": lesion.site.value if lesion.site else None,
        "mark": lesion.mark.name.lower(),
        "voxel": list(lesion.anchor_zyx),
        "slices": [result.slice_first, result.slice_last],
        "center_mm": list(result.center_mm),
        "volume_mm3": result.volume_mm3,
        "max_hu": result.max_hu,
        "agatston": result.agatston,
        "mass_mg": result.mass_mg,
    }
