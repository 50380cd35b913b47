"""A measuring process: takes one order as JSON, measures, writes its answer as JSON.

The rooms that a measurement needs are imported once the order is known, so that nothing else is in memory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from calcmap.benchmark.orders import Measurement, NetworkRun, WarmRun, WorkOrder
from calcmap.core.config import config_from_dict
from calcmap.core.errors import CalcMapError

EXIT_REFUSED = 2
"""The measurement could not be made; the reason is on the error stream."""


def measure(order: WorkOrder) -> WarmRun | NetworkRun:
    """Return the answer to an order, measured in this process."""
    if order.measurement is Measurement.WARM:
        from calcmap.benchmark.passes import measure_warm

        return measure_warm(order)
    if order.measurement is Measurement.CALCMAP:
        from calcmap.benchmark.own_networks import measure_own_networks

        return measure_own_networks(order)
    from calcmap.benchmark.baselines import measure_baseline

    return measure_baseline(order)


def main(arguments: Sequence[str]) -> int:
    """Carry out the order in the first argument, write its answer to the path in the second; return the exit code."""
    order = config_from_dict(json.loads(arguments[0]), WorkOrder, where="order")
    if order.measurement not in (Measurement.WARM, Measurement.CALCMAP):
        _use_all_cores()
    try:
        answer = measure(order)
    except CalcMapError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_REFUSED
    known = {name: value for name, value in asdict(answer).items() if value is not None}
    Path(arguments[1]).write_text(json.dumps(known), encoding="utf-8")
    return 0


def _use_all_cores() -> None:
    """Give torch the cores that ONNX Runtime gets, whatever the environment says; this process does nothing else."""
    import torch

    from calcmap.core.machine import usable_cores

    torch.set_num_threads(usable_cores())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
