"""Time of CalcMap's own two networks, as they are served."""

from __future__ import annotations

import onnxruntime

from calcmap.benchmark.orders import NetworkRun, WorkOrder
from calcmap.benchmark.passes import read_volume
from calcmap.benchmark.timing import cost_of
from calcmap.core.memory import peak_rss_mb
from calcmap.segmentation.cascade import Cascade
from calcmap.segmentation.engine import Engine, load_engine


def measure_own_networks(order: WorkOrder) -> NetworkRun:
    """Return the seconds from a CT in memory to its label map: both networks and everything around them.

    Resampling for the heart network, the mask's way back and the choice of slices for the calcium network are counted,
    since no label map comes without them.

    Raises
    ------
    InputError
        The study cannot be read.
    ModelError
        A network cannot be loaded.
    """
    volume = read_volume(order.study)
    startup_mb = peak_rss_mb()
    heart = load_engine(order.heart, task="heart")
    calcium = load_engine(order.calcium, task="calcium")
    cascade = Cascade(heart, calcium)
    cascade.segment(volume)  # not counted: memory is taken and threads are started here
    timings = [cost_of(lambda: cascade.segment(volume)) for _ in range(order.repeats)]
    n_slices = volume.grid.shape_zyx[0]
    return NetworkRun(
        seconds=tuple(timing.seconds for timing in timings),
        cpu_seconds=tuple(timing.cpu_seconds for timing in timings),
        slices_each=n_slices,
        study_slices=n_slices,
        startup_mb=startup_mb,
        parameters=stated_parameters(heart, calcium),
        engine=f"onnxruntime {onnxruntime.__version__}",
    )


def stated_parameters(*engines: Engine) -> int | None:
    """Return the sum of what the network files say of their size; ``None`` when one of them does not."""
    stated = [engine.metadata.get("parameters", "") for engine in engines]
    return sum(int(count) for count in stated) if all(count.isdecimal() for count in stated) else None
