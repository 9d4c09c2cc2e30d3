"""Pictures that a training shows: bands before and after alignment, images beside bicubic."""

import numpy as np
import torch
from numpy.typing import NDArray

from datacube.simulation.detectors import DetectorPair
from sr_engine.l1b.flow_network import FlowNetwork, find_flow
from sr_engine.l1b.views import BANDS
from sr_engine.l1b.warp import warp

Picture = NDArray[np.uint8]
SHOWN = ("B08", "B04", "B03")  # false colour: fringes are seen best where NIR is one of three
SIDE_PX = 128


def before_and_after(network: FlowNetwork, pair: DetectorPair) -> Picture:
    """B08 B04 B03 of the first view as recorded, and with all aligned to B03."""
    views = torch.from_numpy(pair.views[0, :, :SIDE_PX, :SIDE_PX])
    reference = views[BANDS.index("B03")][None, None]
    aligned = []
    for name in SHOWN:
        moving = views[BANDS.index(name)][None, None]
        aligned.append(warp(moving, find_flow(network, reference, moving), "bicubic")[0, 0].numpy())
    recorded = views[[BANDS.index(name) for name in SHOWN]].numpy()
    return row_of([recorded, np.stack(aligned)])


def row_of(images: list[NDArray[np.float32]]) -> Picture:
    """Images (3, y, x) of one height side by side, stretched alike by the first one's range."""
    low, high = np.nanpercentile(images[0], [1, 99], axis=(1, 2), keepdims=True)
    scaled = [(image - low) / np.maximum(high - low, 1e-6) for image in images]
    row = np.concatenate(scaled, axis=2).transpose(1, 2, 0)
    return np.asarray(np.clip(row * 255, 0, 255), np.uint8)
