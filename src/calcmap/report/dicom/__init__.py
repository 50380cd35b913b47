"""Results as the PACS keeps them: segmentation, structured report, encapsulated page, secondary capture.

highdicom, pydicom and matplotlib come with this package: it is imported only where DICOM reports are asked for.
"""

from calcmap.report.dicom.filing import (
    Predecessor,
    ReportSettings,
    SegmentationForm,
    Verification,
    predecessor_of,
)
from calcmap.report.dicom.writing import Reports, make_reports, write_reports

__all__ = [
    "Predecessor",
    "ReportSettings",
    "Reports",
    "SegmentationForm",
    "Verification",
    "make_reports",
    "predecessor_of",
    "write_reports",
]
