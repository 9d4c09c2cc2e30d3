"""What unaligned bands do to vegetation and water indices, measured on simulated ground.

An index divides bands, so at an edge it sees two grounds at once. Four images are compared with
the index of the sharp truth, at edges and away from them: bands as recorded, aligned by CSR,
aligned by the true flows (the best any registration can do), and super-resolved by REC.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage

from datacube.simulation import build_landscape
from datacube.simulation.detectors import DetectorPair, OverlapPlan, simulate_overlap
from sr_engine.l1b.align import band_flows
from sr_engine.l1b.rec_network import FACTOR, sharpened
from sr_engine.l1b.register import aligned
from sr_engine.l1b.shipped import load_joint
from sr_engine.l1b.views import BANDS

Image = NDArray[np.float32]
INDICES = {"NDVI": ("B08", "B04"), "NDWI": ("B03", "B08")}  # NDWI after McFeeters (1996)
EDGE_SHARE = 0.1  # of pixels, those where the true index changes most
RIM_PX = 12


@dataclass(frozen=True)
class Row:
    """Mean absolute error of an index, at edges and elsewhere."""

    index: str
    image: str
    at_edges: float
    elsewhere: float


def run(folder: Path, size: int, seed: int, tell: Callable[[str], None]) -> list[Row]:
    """Write `indices.csv` and a picture of NDVI to `folder`; returns the rows of the table."""
    folder.mkdir(parents=True, exist_ok=True)
    landscape = build_landscape(seed, (size, size))
    pair = simulate_overlap(landscape, OverlapPlan(seed, truth=True))
    images = candidates(pair)
    rows = [row for name in INDICES for row in compared(images, name)]
    with (folder / "indices.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "image", "mean error at edges", "mean error elsewhere"])
        for row in rows:
            writer.writerow([row.index, row.image, f"{row.at_edges:.4f}", f"{row.elsewhere:.4f}"])
            tell(f"{row.index}  {row.image:22}  edges {row.at_edges:.4f}  else {row.elsewhere:.4f}")
    shown = [index_of(image, "NDVI") for image in images.values()]
    strip = np.concatenate([_grey(one) for one in shown], axis=1)
    Picture.fromarray(strip).save(folder / "ndvi.png")
    tell(f"simulated landscape, seed {seed}; images of ndvi.png: {', '.join(images)}")
    return rows


def candidates(pair: DetectorPair) -> dict[str, Image]:
    """Images (band, 2 y, 2 x) by name, on the truth's grid; the truth comes first."""
    if pair.truth is None:
        raise ValueError("need a pair with its truth to judge by")
    joint = load_joint()
    recorded = pair.views[0]
    rows, columns = np.mgrid[: recorded.shape[1], : recorded.shape[2]]
    told = recorded.copy()
    for index, band in enumerate(BANDS):
        flow = pair.flow((0, "B03"), (0, band))
        places = [rows + flow[1], columns + flow[0]]
        told[index] = ndimage.map_coordinates(recorded[index], places, order=3, mode="nearest")
    with torch.inference_mode():
        bands = torch.from_numpy(recorded)[None]
        if joint.csr is None:
            fine, registered = joint(bands)[0].numpy(), recorded
        else:
            flows = band_flows(joint.csr, bands, BANDS)
            fine = sharpened(joint.rec, bands, flows)[0].numpy()
            registered, _ = aligned(joint.csr, recorded, BANDS, "B03")
    return {
        "truth": pair.truth,
        "as recorded": _finer(recorded),
        "aligned by CSR": _finer(registered),
        "aligned by true flows": _finer(told),
        "super-resolved by REC": fine,
    }


def compared(images: dict[str, Image], index: str) -> list[Row]:
    """Errors of all images but the first, which is the truth."""
    inner = (slice(FACTOR * RIM_PX, -FACTOR * RIM_PX),) * 2
    truth, *others = ((name, index_of(image, index)[inner]) for name, image in images.items())
    slope = np.hypot(*np.gradient(ndimage.gaussian_filter(truth[1], 1.0)))
    edges = slope >= np.quantile(slope, 1 - EDGE_SHARE)
    rows = []
    for name, values in others:
        error = np.abs(values - truth[1])
        rows.append(Row(index, name, float(error[edges].mean()), float(error[~edges].mean())))
    return rows


def index_of(image: Image, index: str) -> Image:
    """(y, x) normalised difference of an index's two bands."""
    first, second = (np.maximum(image[BANDS.index(band)], 1e-3) for band in INDICES[index])
    return np.asarray((first - second) / (first + second), np.float32)


def _finer(image: Image) -> Image:
    """Each pixel repeated: what an index of 10 m bands says of every 5 m pixel in it."""
    return image.repeat(FACTOR, axis=1).repeat(FACTOR, axis=2)


def _grey(index: Image) -> NDArray[np.uint8]:
    return np.asarray(np.clip((index + 0.2) / 1.1 * 255, 0, 255), np.uint8)
