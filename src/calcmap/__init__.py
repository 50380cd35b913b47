"""CalcMap: coronary calcium scores from the attenuation CT of nuclear heart scans.

Research use only; not a medical device.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("calcmap")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
