"""A whole chest, painted from the outside to the inside."""

from __future__ import annotations

import numpy as np

from calcmap.core.volume import Float32Array
from calcmap.simulation.anatomy.abdomen import paint_abdomen
from calcmap.simulation.anatomy.bones import paint_arms, paint_collar_bones, paint_ribs, paint_sternum
from calcmap.simulation.anatomy.cardiac import confined, heart_field, heart_share, paint_heart
from calcmap.simulation.anatomy.lung_vessels import paint_lung_vessels
from calcmap.simulation.anatomy.lungs import draw_lungs, paint_airways, paint_lungs, paint_scars
from calcmap.simulation.anatomy.mediastinum import paint_great_vessels, paint_mediastinum
from calcmap.simulation.anatomy.spine import draw_column, paint_spine
from calcmap.simulation.anatomy.thorax import Thorax
from calcmap.simulation.anatomy.wall import draw_wall, outer_wall, paint_wall, restore


def paint_thorax(thorax: Thorax) -> Float32Array:
    """Paint everything but coronaries and calcium, from the outside to the inside.

    Returns
    -------
    ndarray of float32
        Share of each canvas voxel inside the labelled heart, 0 to 1.
    """
    heart = heart_field(thorax)
    wall, column, lungs = draw_wall(thorax), draw_column(thorax), draw_lungs(thorax)
    paint_arms(thorax)
    cavity = np.empty_like(thorax.canvas.hu)
    for plane in thorax.canvas.planes(thorax.canvas.whole):
        cavity[plane] = paint_wall(thorax, wall, plane)
        paint_lungs(thorax, lungs, wall.cage, plane, cavity[plane])
    outside = outer_wall(thorax, wall, cavity)
    heart = confined(heart, cavity)
    paint_lung_vessels(thorax, wall.cage, lungs.fissures)
    paint_scars(thorax, wall.cage)
    paint_mediastinum(thorax, cavity, heart)
    paint_abdomen(thorax, cavity, thorax.stream("abdomen"))
    paint_heart(thorax, heart)
    paint_great_vessels(thorax, thorax.stream("great_vessels"))
    restore(thorax, outside)
    paint_airways(thorax)
    paint_spine(thorax, column)
    paint_ribs(thorax, wall.cage, column)
    paint_sternum(thorax, wall.cage, column)
    paint_collar_bones(thorax, wall.cage, column)
    return heart_share(thorax, heart)
