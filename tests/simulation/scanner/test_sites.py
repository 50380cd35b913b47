from __future__ import annotations

import numpy as np
import pytest

from calcmap.simulation.scanner.sites import SITES, draw_acquisition

MAKERS = {
    "GE MEDICAL SYSTEMS": ("Discovery", "LightSpeed"),
    "SIEMENS": ("Symbia", "Biograph", "Sensation", "Emotion"),
    "Philips Medical Systems": ("Precedence", "Brilliance", "BrightView"),
    "TOSHIBA": ("Aquilion",),
}


@pytest.mark.parametrize("name", sorted(SITES))
def test_a_scanner_has_its_makers_name_and_kernels(name: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        drawn = draw_acquisition(rng, site=SITES[name])
        assert drawn.scanner_model.startswith(MAKERS[drawn.manufacturer])
        # Siemens names its kernels B and a number; GE and Philips do not number theirs so
        is_siemens_kernel = drawn.kernel[0] == "B" and drawn.kernel[1:3].isdigit()
        assert is_siemens_kernel == (drawn.manufacturer == "SIEMENS")
