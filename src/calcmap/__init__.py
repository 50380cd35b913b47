"""CalcMap: coronary calcium scores from the attenuation CT of nuclear heart scans.

Research use only; not a medical device.
"""

__version__ = "0.1.0"
"""Stated here and read from here by the build: asking the installed metadata takes longer than reading a study."""

__all__ = ["__version__"]
