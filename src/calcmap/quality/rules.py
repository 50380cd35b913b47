"""The rules: what is flagged, how severely, at which limit, and why.

A rule decides the severity; the checks only measure and name the rule that was broken. One code may have two rules, a
warning and a refusal, with different limits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from calcmap.core.scan import QualityFlag, Severity

OUR_CHOICE = "our choice"

KVP_REFERENCE = 120.0
"""Tube voltage for which 130 HU and its weights are defined."""
KVP_NEAR_SHIFT = 0.10
"""A shift of calcium's HU by at most this share is worth knowing, a larger one is worth a warning (our choice)."""

INCREMENT_WARNING_MM = 6.0
INCREMENT_REFUSE_MM = 8.0
"""See the reason of the rules; the validated protocols end at 5 mm."""

NOISE_WARNING_HU = 35.0
"""Upper end of what attenuation CTs usually show."""
NOISE_REFUSE_HU = 60.0
"""(130 - 45) / 60 = 1.4: one soft-tissue pixel in 13 passes 130 HU by chance."""

MIN_TISSUE_ML = 2000.0
MIN_LUNG_ML = 300.0
RIM_BODY_SHARE = 0.05

MEDIASTINUM_WARNING_HU = 75.0
MEDIASTINUM_REFUSE_HU = 100.0

METAL_HU = 2500
"""Above any bone or plaque (cortical bone reaches 1500), below the 3071 at which 12-bit CT ends."""
METAL_MIN_MM3 = 100.0
HEART_METAL_HU = 2000
"""Plaque reaches 1500 HU, metal 2000 (textbook); under sharp kernels the densest plaques reach it too."""
HEART_METAL_MIN_MM3 = 10.0

HEART_MIN_ML = 20.0
HEART_REFUSE_ML = (150.0, 2500.0)
HEART_WARNING_ML = (300.0, 1500.0)
HEART_CUT_SLIVER = 0.20
"""A sphere of 110 mm loses a cap of 6 mm, about one slice, where its cut is a fifth of its largest section."""
FOV_CONTACT_REFUSE_MM2 = 100.0
HEART_CENTER_LEFT_RIGHT = (0.20, 0.80)
HEART_CENTER_FRONT_BACK = (0.10, 0.80)
HEART_EXTENT_MM = (50.0, 220.0)
HEART_FILL = (0.25, 0.75)
"""An ellipsoid fills 0.52 of its box; the seven real hearts we have fill 0.43 to 0.49."""
HEART_STRAY_SHARE = 0.10
HEART_LUNG_SHARE = 0.08
"""The seven real hearts we have: 0.26 to 0.70."""

BLOOD_LOW_HU = 20.0
BLOOD_WARNING_HU = 65.0
BLOOD_REFUSE_HU = 90.0
CHANCE_Z_WARNING = 3.0
CHANCE_Z_REFUSE = 1.5
MOTION_EDGE_MM = 4.0
MOTION_EDGE_RATIO = 2.0


@dataclass(frozen=True)
class QualityRule:
    """One rule of fitness.

    Parameters
    ----------
    code : str
        The flag's code; a warning and a refusal may share it.
    severity : Severity
        What the rule does to the score.
    limit : str
        When it holds, with the unit.
    reason : str
        Why this severity, in one or two sentences.
    source : str
        Where the limit comes from; ``OUR_CHOICE`` where it is ours.
    """

    code: str
    severity: Severity
    limit: str
    reason: str
    source: str

    def flag(self, detail: str) -> QualityFlag:
        """Return this rule's flag with what was found."""
        return QualityFlag(code=self.code, severity=self.severity, detail=detail)


EMPTY_SCAN = QualityRule(
    "empty_scan",
    Severity.REFUSE,
    f"less than {MIN_TISSUE_ML / 1000:g} L of tissue",
    "Nobody, or only the table, was scanned: a score of 0 would be an invention.",
    OUR_CHOICE,
)
NO_LUNGS = QualityRule(
    "no_lungs",
    Severity.REFUSE,
    f"less than {MIN_LUNG_ML:g} mL of lung inside the body",
    "Without lungs the scan does not show a chest, so the heart cannot be in it.",
    f"{OUR_CHOICE}; an attenuation CT of the heart holds litres of lung",
)
THICK_SLICES_WARNING = QualityRule(
    "thick_slices",
    Severity.WARNING,
    f"slice increment above {INCREMENT_WARNING_MM:g} mm",
    "A 3 mm plaque of 300 HU that two slices share equally stays below 130 HU from 4.5 mm on; at 6 mm one position in "
    "six hides it. Small scores are too low.",
    "partial-volume arithmetic; validated protocols use up to 5 mm (Dorbala 2013)",
)
THICK_SLICES_REFUSE = QualityRule(
    "thick_slices",
    Severity.REFUSE,
    f"slice increment above {INCREMENT_REFUSE_MM:g} mm",
    "From 9 mm on a 3 mm plaque of 300 HU stays below 130 HU wherever it lies, so a 0 would say nothing; 8 mm keeps a "
    "margin. Slow 10 mm attenuation CTs are not scoreable in practice.",
    f"partial-volume arithmetic; the limit is {OUR_CHOICE}",
)
NOISE_WARNING = QualityRule(
    "noise_high",
    Severity.WARNING,
    f"noise in soft tissue above {NOISE_WARNING_HU:g} HU (SD)",
    "Noisier than attenuation CTs usually are (15 to 35 HU): from here on nearly one soft-tissue pixel in a hundred "
    "passes 130 HU by chance.",
    f"usual range of attenuation CTs; the limit is {OUR_CHOICE}",
)
NOISE_REFUSE = QualityRule(
    "noise_high",
    Severity.REFUSE,
    f"noise in soft tissue above {NOISE_REFUSE_HU:g} HU (SD)",
    "One soft-tissue pixel in thirteen passes 130 HU by chance; chance pixels join into lesions and real ones change "
    "their area.",
    f"normal-distribution arithmetic; the limit is {OUR_CHOICE}",
)
CONTRAST_WARNING = QualityRule(
    "contrast_suspected",
    Severity.WARNING,
    f"60th percentile of the mediastinum's tissue {MEDIASTINUM_WARNING_HU:g} to {MEDIASTINUM_REFUSE_HU:g} HU",
    "Brighter than unenhanced blood and muscle (35 to 60 HU); the heart itself is judged once it is found.",
    f"textbook HU; the limit is {OUR_CHOICE}",
)
CONTRAST_REFUSE = QualityRule(
    "contrast_suspected",
    Severity.REFUSE,
    f"60th percentile of the mediastinum's tissue above {MEDIASTINUM_REFUSE_HU:g} HU",
    "Intravenous contrast brings blood near or above 130 HU, where it is counted as calcium.",
    f"textbook HU, seven real scans: 38 to 55 HU; the limit is {OUR_CHOICE}",
)
CONTRAST_DECLARED = QualityRule(
    "contrast_declared",
    Severity.WARNING,
    "the header names a contrast agent",
    "The agent may be oral, or a protocol's leftover: the pixels decide, not the header.",
    OUR_CHOICE,
)
KVP_NEAR = QualityRule(
    "kvp_not_120",
    Severity.INFO,
    f"tube voltage not 120 kVp, calcium's HU shifted by up to {KVP_NEAR_SHIFT:.0%}",
    "Calcium attenuates more at lower, less at higher voltage. The score keeps 130 HU, as the reference method does.",
    "Gräni 2018 for 70 to 135 kVp; 140 kVp extrapolated",
)
KVP_FAR = QualityRule(
    "kvp_not_120",
    Severity.WARNING,
    f"tube voltage not 120 kVp, calcium's HU shifted by more than {KVP_NEAR_SHIFT:.0%}",
    "As above; the shift can move a study near a category's edge. The score is not changed: adapted thresholds are "
    "given only on request.",
    "Gräni 2018 for 70 to 135 kVp; 140 kVp extrapolated; the limit is our choice",
)
KVP_UNKNOWN = QualityRule(
    "kvp_unknown",
    Severity.INFO,
    "the files do not say the tube voltage",
    "Nothing can be said of its effect on calcium's HU; usual for NIfTI, NRRD and MHA.",
    OUR_CHOICE,
)
BODY_TRUNCATED = QualityRule(
    "body_truncated",
    Severity.INFO,
    f"tissue on more than {RIM_BODY_SHARE:.0%} of the field of view's rim",
    "A body wider than the field is usual and leaves the heart's HU nearly untouched; whether the heart itself is cut "
    "is judged by `heart_truncated_fov`.",
    OUR_CHOICE,
)
METAL = QualityRule(
    "metal",
    Severity.INFO,
    f"more than {METAL_MIN_MM3:g} mm³ at {METAL_HU} HU or above",
    "Catheters, ports and implants throw streaks; away from the heart the score stands.",
    f"metal 2000 to 3071 HU, cortical bone up to 1500 HU (textbook); the limit is {OUR_CHOICE}",
)
HEART_NOT_FOUND = QualityRule(
    "heart_not_found",
    Severity.REFUSE,
    f"heart mask below {HEART_MIN_ML:g} mL",
    "No heart, no score: calcium cannot be told coronary without it.",
    OUR_CHOICE,
)
HEART_VOLUME_WARNING = QualityRule(
    "heart_volume",
    Severity.WARNING,
    f"heart below {HEART_WARNING_ML[0]:g} or above {HEART_WARNING_ML[1]:g} mL",
    "Unusual for an adult (466 to 917 mL in the eleven hearts known to us, epicardial fat included): the outline may "
    "be wrong, or the heart small or greatly enlarged.",
    f"four public masks and seven own outlines; the limits are {OUR_CHOICE}",
)
HEART_VOLUME_REFUSE = QualityRule(
    "heart_volume",
    Severity.REFUSE,
    f"heart below {HEART_REFUSE_ML[0]:g} or above {HEART_REFUSE_ML[1]:g} mL",
    "No adult heart has this size: the outline is wrong, and with it what is counted.",
    OUR_CHOICE,
)
HEART_CUT_WARNING = QualityRule(
    "heart_cut",
    Severity.WARNING,
    f"heart in the first or last slice, with up to {HEART_CUT_SLIVER:.0%} of its largest cross-section",
    "At most about one slice of the heart is missing.",
    f"geometry of a sphere of 110 mm; the limit is {OUR_CHOICE}",
)
HEART_CUT_REFUSE = QualityRule(
    "heart_cut",
    Severity.REFUSE,
    f"heart in the first or last slice, with more than {HEART_CUT_SLIVER:.0%} of its largest cross-section",
    "Part of the heart was not scanned. A score of the rest would be partial, and the left main lies at the top.",
    f"geometry of a sphere of 110 mm; the limit is {OUR_CHOICE}",
)
HEART_FOV_WARNING = QualityRule(
    "heart_truncated_fov",
    Severity.WARNING,
    f"heart touches the image's side or padding over up to {FOV_CONTACT_REFUSE_MM2:g} mm²",
    "The contact is as small as an outline's error.",
    OUR_CHOICE,
)
HEART_FOV_REFUSE = QualityRule(
    "heart_truncated_fov",
    Severity.REFUSE,
    f"heart touches the image's side or padding over more than {FOV_CONTACT_REFUSE_MM2:g} mm²",
    "Part of the heart lies outside the reconstructed field: a score would be partial.",
    OUR_CHOICE,
)
HEART_POSITION = QualityRule(
    "heart_position",
    Severity.REFUSE,
    f"heart's centre outside {HEART_CENTER_LEFT_RIGHT[0]:g} to {HEART_CENTER_LEFT_RIGHT[1]:g} of the body's width or "
    f"{HEART_CENTER_FRONT_BACK[0]:g} to {HEART_CENTER_FRONT_BACK[1]:g} of its depth",
    "No heart lies there, not even mirrored or displaced: something else was outlined.",
    f"seven own outlines: 0.53 to 0.61 and 0.31 to 0.43; the limits are {OUR_CHOICE}",
)
HEART_SHAPE = QualityRule(
    "heart_shape",
    Severity.WARNING,
    f"an extent outside {HEART_EXTENT_MM[0]:g} to {HEART_EXTENT_MM[1]:g} mm, or a box filled less than "
    f"{HEART_FILL[0]:g} or more than {HEART_FILL[1]:g}",
    "Hearts measure 86 to 162 mm each way and are about ellipsoids: the outline may have leaked or missed a part.",
    f"four public masks and seven own outlines; the limits are {OUR_CHOICE}",
)
HEART_FRAGMENTED = QualityRule(
    "heart_fragmented",
    Severity.WARNING,
    f"more than {HEART_STRAY_SHARE:.0%} of the mask apart from its largest piece",
    "A heart is one piece: the network was in doubt.",
    OUR_CHOICE,
)
HEART_WITHOUT_LUNG = QualityRule(
    "heart_without_lung",
    Severity.WARNING,
    f"less than {HEART_LUNG_SHARE:.0%} lung in the ring around the heart",
    "The lungs embrace the heart (26 to 70 % in the seven hearts known to us): liver or stomach may have been "
    "outlined, or large effusions hide the lungs.",
    f"seven own outlines; the limit is {OUR_CHOICE}",
)
BLOOD_CONTRAST_WARNING = QualityRule(
    "blood_contrast",
    Severity.WARNING,
    f"median inside the heart {BLOOD_WARNING_HU:g} to {BLOOD_REFUSE_HU:g} HU",
    "Unenhanced blood and muscle lie at 35 to 60 HU: a residue of contrast, or HU that are off.",
    f"textbook HU; the limit is {OUR_CHOICE}",
)
BLOOD_CONTRAST_REFUSE = QualityRule(
    "blood_contrast",
    Severity.REFUSE,
    f"median inside the heart above {BLOOD_REFUSE_HU:g} HU",
    "Contrast in the chambers: bright blood is counted as calcium, and plaque cannot be told from lumen.",
    f"textbook HU; the limit is {OUR_CHOICE}",
)
BLOOD_LOW = QualityRule(
    "blood_hu_low",
    Severity.WARNING,
    f"median inside the heart below {BLOOD_LOW_HU:g} HU",
    "Marked anaemia, or HU that are off; blood is the usual surrogate of a calibration. Calcium may be missed.",
    f"textbook HU; the limit is {OUR_CHOICE}",
)
HEART_NOISE_WARNING = QualityRule(
    "heart_noise",
    Severity.WARNING,
    f"the threshold lies less than {CHANCE_Z_WARNING:g} SD above the heart's tissue",
    "More than one pixel in 740 passes the threshold by chance: hundreds in a heart.",
    f"normal-distribution arithmetic; the limit is {OUR_CHOICE}",
)
HEART_NOISE_REFUSE = QualityRule(
    "heart_noise",
    Severity.REFUSE,
    f"the threshold lies less than {CHANCE_Z_REFUSE:g} SD above the heart's tissue",
    "More than one pixel in 15 passes the threshold by chance: calcium and noise cannot be told apart.",
    f"normal-distribution arithmetic; the limit is {OUR_CHOICE}",
)
METAL_IN_HEART = QualityRule(
    "metal_in_heart",
    Severity.WARNING,
    f"more than {HEART_METAL_MIN_MM3:g} mm³ at {HEART_METAL_HU} HU or above inside the heart",
    "A lead is left out of the score with what touches it; a stent, clip or valve may be counted as calcium, and its "
    "streaks with it: a reader has to look.",
    f"plaque reaches 1500 HU, metal 2000 HU (textbook); the limit is {OUR_CHOICE}",
)
MOTION_BLUR = QualityRule(
    "motion_blur",
    Severity.WARNING,
    f"the heart's edge to the lung wider than {MOTION_EDGE_MM:g} mm and {MOTION_EDGE_RATIO:g} times the chest wall's",
    "Beating and breathing smear plaque below or across 130 HU. Doubled edges are not seen by this measure: its "
    "silence is no proof of stillness.",
    f"seven real scans: 1.5 to 2.4 mm; the limit is {OUR_CHOICE}",
)

RULES: tuple[QualityRule, ...] = (
    EMPTY_SCAN,
    NO_LUNGS,
    THICK_SLICES_WARNING,
    THICK_SLICES_REFUSE,
    NOISE_WARNING,
    NOISE_REFUSE,
    CONTRAST_WARNING,
    CONTRAST_REFUSE,
    CONTRAST_DECLARED,
    KVP_NEAR,
    KVP_FAR,
    KVP_UNKNOWN,
    BODY_TRUNCATED,
    METAL,
    HEART_NOT_FOUND,
    HEART_VOLUME_WARNING,
    HEART_VOLUME_REFUSE,
    HEART_CUT_WARNING,
    HEART_CUT_REFUSE,
    HEART_FOV_WARNING,
    HEART_FOV_REFUSE,
    HEART_POSITION,
    HEART_SHAPE,
    HEART_FRAGMENTED,
    HEART_WITHOUT_LUNG,
    BLOOD_CONTRAST_WARNING,
    BLOOD_CONTRAST_REFUSE,
    BLOOD_LOW,
    HEART_NOISE_WARNING,
    HEART_NOISE_REFUSE,
    METAL_IN_HEART,
    MOTION_BLUR,
)
"""Every rule of this room, in the order in which the checks ask."""


def refusals(flags: Iterable[QualityFlag]) -> tuple[QualityFlag, ...]:
    """Return the flags that forbid a score, in their order; empty when the score may be given."""
    return tuple(flag for flag in flags if flag.severity is Severity.REFUSE)


def rules_table() -> str:
    """Return `RULES` as the Markdown table of ``docs/reference/quality.md``."""
    head = ["| flag | severity | when | why | source |", "|---|---|---|---|---|"]
    rows = [
        f"| `{rule.code}` | {rule.severity.value} | {rule.limit} | {rule.reason} | {rule.source} |" for rule in RULES
    ]
    return "\n".join(head + rows) + "\n"
