"""A whole chest, painted from the outside to the inside."""

from __future__ import annotations

import numpy as np

from calcmap.core.volume import Float32Array
from calcmap.simulation.anatomy.abdomen import paint_abdomen
from calcmap.simulation.anatomy.bones import paint_ribs, paint_shoulders, paint_spine, paint_sternum
from calcmap.simulation.anatomy.cardiac import heart_field, heart_share, paint_heart
from calcmap.simulation.anatomy.lungs import paint_airways, paint_lung_vessels, paint_lungs
from calcmap.simulation.anatomy.mediastinum import paint_great_vessels, paint_mediastinum
from calcmap.simulation.anatomy.thorax import Thorax
from calcmap.simulation.anatomy.wall import paint_wall


def paint_thorax(thorax: Thorax) -> Float32Array:
    """Paint everything but coronaries and calcium, from the outside to the inside.

    Returns
    -------
    ndarray of float32
        Share of each canvas voxel inside the labelled heart, 0 to 1.
    """
    heart = heart_field(thorax)
    cavity = np.empty_like(thorax.canvas.hu)
    for plane in thorax.canvas.planes(thorax.canvas.whole):
        cavity[plane] = paint_wall(thorax, plane)
        paint_lungs(thorax, plane, cavity[plane])
    paint_lung_vessels(thorax, thorax.stream("lung_vessels"))
    paint_abdomen(thorax, cavity, thorax.stream("abdomen"))
    paint_mediastinum(thorax, cavity, heart)
    paint_great_vessels(thorax, thorax.stream("great_vessels"))
    paint_heart(thorax, heart)
    paint_airways(thorax)
    paint_spine(thorax, thorax.stream("spine"))
    paint_ribs(thorax, thorax.stream("ribs"))
    paint_sternum(thorax)
    paint_shoulders(thorax)
    return heart_share(thorax, heart)
