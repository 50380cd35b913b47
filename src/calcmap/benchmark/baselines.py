"""Time of the layouts that CalcMap is compared with, in torch, with random weights: times do not depend on weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from calcmap.benchmark.orders import Measurement, NetworkRun, WorkOrder
from calcmap.benchmark.passes import read_volume
from calcmap.benchmark.timing import Cost, cost_of
from calcmap.core.memory import peak_rss_mb
from calcmap.core.volume import Int16Array
from calcmap.networks.calcmap_net import count_parameters
from calcmap.networks.clstm import PublishedConvLstm
from calcmap.networks.unet import UNet2d

HEART_CLASSES, CALCIUM_CLASSES = 2, 3
"""Background and heart; background, coronary and noncoronary calcium."""
WINDOW_HU = 1000.0
"""HU from minus to plus this become -1 to 1 (our choice; the arithmetic is the same for any)."""
SEED = 0


def measure_baseline(order: WorkOrder) -> NetworkRun:
    """Return the seconds that both networks of a baseline take for a slice, for slices spread evenly over the study.

    Only the networks themselves are timed, one slice at a time, which is faster on a CPU than batches of several:
    neither preparing the slices nor making a label map of the output counts against a baseline.

    Raises
    ------
    InputError
        The study cannot be read.
    """
    ct_hu_zyx = read_volume(order.study).ct_hu_zyx
    n_slices = len(ct_hu_zyx)
    startup_mb = peak_rss_mb()
    networks = build_networks(order.measurement)
    wanted = np.linspace(0, n_slices - 1, min(order.slices, n_slices)).round().astype(int)
    cost_of_slice(networks, window_of(ct_hu_zyx, int(wanted[0])))  # not counted: memory is taken here
    timings = [cost_of_slice(networks, window_of(ct_hu_zyx, int(z))) for z in wanted]
    return NetworkRun(
        seconds=tuple(timing.seconds for timing in timings),
        cpu_seconds=tuple(timing.cpu_seconds for timing in timings),
        slices_each=1,
        study_slices=n_slices,
        startup_mb=startup_mb,
        parameters=sum(count_parameters(network) for network in networks),
        engine=f"torch {torch.__version__}, eager, channels last",
    )


def build_networks(baseline: Measurement) -> tuple[nn.Module, nn.Module]:
    """Return heart and calcium network of a baseline, ready to run; torch's random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        if baseline is Measurement.CLSTM:
            networks: list[nn.Module] = [PublishedConvLstm(HEART_CLASSES), PublishedConvLstm(CALCIUM_CLASSES)]
        else:
            networks = [UNet2d(3, HEART_CLASSES), UNet2d(3, CALCIUM_CLASSES)]
    heart, calcium = (network.eval().to(memory_format=torch.channels_last) for network in networks)  # type: ignore[call-overload]
    return heart, calcium


def window_of(ct_hu_zyx: Int16Array, z: int) -> Tensor:
    """Return what a baseline sees of a slice: (1, 3, rows, columns), its upper neighbour, itself, its lower neighbour.

    At the ends of the scan the slice stands in for the neighbour that is missing.
    """
    neighbours = [min(z + 1, len(ct_hu_zyx) - 1), z, max(z - 1, 0)]
    scaled = np.clip(ct_hu_zyx[neighbours].astype(np.float32) / WINDOW_HU, -1.0, 1.0)
    return torch.from_numpy(scaled[None]).contiguous(memory_format=torch.channels_last)


def cost_of_slice(networks: tuple[nn.Module, nn.Module], slices_nchw: Tensor) -> Cost:
    """Return what it costs that both networks answer for one slice."""
    with torch.inference_mode():
        return cost_of(lambda: [network(slices_nchw) for network in networks])
