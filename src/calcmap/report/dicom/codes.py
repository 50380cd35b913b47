"""Coded concepts of the reports. Where no standard code was found, one of our own scheme stands, and reports say so.

Sources: PS3.16 as shipped with pydicom (scheme DCM and its SNOMED subset), UCUM for units, IHE AI Results for the
purpose of an algorithm. LOINC has no code for the number itself; the SNOMED concept of CID 6142 is used.
"""

from __future__ import annotations

from pydicom.sr.coding import Code

from calcmap.core.result import Vessel

OWN_SCHEME = "99CALCMAP"

AGATSTON_SCORE = Code("450360000", "SCT", "Coronary artery calcium score")
AGATSTON_METHOD = Code("112055", "DCM", "Agatston scoring method")
VOLUME_METHOD = Code("112056", "DCM", "Volume scoring method")
MASS_METHOD = Code("112057", "DCM", "Mass scoring method")
CALCIUM_VOLUME = Code("122660", "DCM", "Calcium Volume")
CALCIUM_MASS = Code("122661", "DCM", "Calcium Mass")
SCORE_THRESHOLD = Code("122657", "DCM", "Agatston Score Threshold")
N_LESIONS = Code("246206008", "SCT", "Number of lesions")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
MAXIMUM = Code("56851009", "SCT", "Maximum")
VOLUME = Code("118565006", "SCT", "Volume")
COMMENT = Code("121106", "DCM", "Comment")

NO_UNIT = Code("1", "UCUM", "no units")
CUBIC_MM = Code("mm3", "UCUM", "cubic millimeter")
MILLILITER = Code("ml", "UCUM", "milliliter")
MILLIGRAM = Code("mg", "UCUM", "milligram")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")

ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
ABNORMALITY = Code("49755003", "SCT", "Morphologically Abnormal Structure")
HEART = Code("80891009", "SCT", "Heart")
CORONARY_ARTERY = Code("41801008", "SCT", "Coronary artery")
CALCIFICATION = Code("18115005", "SCT", "Pathologic calcification")
CORONARY_CALCIFICATION = Code("445512009", "SCT", "Calcification of coronary artery")
VESSELS: dict[Vessel, Code] = {
    Vessel.LM: Code("3227004", "SCT", "Left main coronary artery"),
    Vessel.LAD: Code("59438005", "SCT", "Left anterior descending coronary artery"),
    Vessel.LCX: Code("57396003", "SCT", "Circumflex coronary artery"),
    Vessel.RCA: Code("13647002", "SCT", "Right coronary artery"),
}

CT_PROCEDURE = Code("25045-6", "LN", "CT unspecified body region")
"""Procedure reported, CID 100: that an attenuation CT shows the chest is so, that one was ordered is not."""
PERSON = Code("121006", "DCM", "Person")
DEVICE = Code("121007", "DCM", "Device")
REPORT_TITLE = Code("126000", "DCM", "Imaging Measurement Report")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
ACQUISITION_EQUIPMENT = Code("109101", "DCM", "Acquisition Equipment")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
ALGORITHM_PURPOSE = Code("Newcode1", "99IHE", "Processing Algorithm")
"""As IHE AI Results has it until DICOM gives it a number."""
DERIVED_FROM = Code("121322", "DCM", "Source image for image processing operation")
EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
"""TID 1500's container of findings in words."""

CATEGORY = Code("CATEGORY", OWN_SCHEME, "Coronary calcium category (0, 1-100, 101-400, >400)")
CAC_DRS = Code("CAC_DRS", OWN_SCHEME, "CAC-DRS category")
CONFIDENCE = Code("CONFIDENCE", OWN_SCHEME, "Confidence of the category")
PERCENTILE = Code("PERCENTILE", OWN_SCHEME, "Percentile among people of the same sex and age")
ARTERIAL_AGE = Code("ARTERIAL_AGE", OWN_SCHEME, "Arterial age")
QUALITY_FLAG = Code("QUALITY", OWN_SCHEME, "Quality flag")
