"""The 20 m pixels that a band on a 10 m grid was made from.

A band of 20 m comes on the 10 m grid by repeating its pixels, or as a cube takes it in: by cubic
convolution. Which, and where the first 20 m pixel begins, shows in the numbers themselves:
repeated pixels are equal in pairs, and cubic ones are what their own means interpolate to.

Linear interpolation cannot be told from cubic: at twice the pixels, Keys' cubic weights are the
linear ones after a three-tap sharpening, so that either image is the other of some 20 m pixels.
What was interpolated is therefore taken for cubic.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from datacube.errors import InvalidInput
from sr_engine.bicubic import bicubic
from sr_engine.model import Reflectance

REACH_PX = 5  # of the filter that undoes the interpolation, in 20 m pixels: beyond it 1e-5
LEAST_SHARE = 0.25  # of pixels that have to agree; gaps are filled by other rules
LEAST_TELLING = 50  # pixels
TOLERANCE = 2.5e-4  # reflectance: rounding to 1e-4 of the bands, and of the 20 m pixels from them

# Mean of the two 10 m pixels of a 20 m one, by Keys' weights at -1/4 and +1/4 (a = -1/2).
PAIR_MEAN = (-0.01171875, 0.078125, 0.8671875, 0.078125, -0.01171875)


@dataclass(frozen=True)
class Lattice:
    """Where 20 m pixels begin, as the row and column (0 or 1) of the first whole one.

    `cubic` says that they were interpolated, else they were repeated.
    """

    row: int
    col: int
    cubic: bool = False


def find_lattice(bands: Reflectance) -> Lattice:
    """The lattice of bands (band, y, x) of 20 m on a 10 m grid, from their numbers.

    Raises InvalidInput where they were brought there in another way.
    """
    row, row_margin = _repeated(bands)
    col, col_margin = _repeated(bands.swapaxes(1, 2))
    if min(row_margin, col_margin) >= LEAST_SHARE:
        return Lattice(row, col)
    shares = {
        Lattice(row, col, cubic=True): _agreement(bands, Lattice(row, col, cubic=True))
        for row, col in itertools.product((0, 1), repeat=2)
    }
    best = max(shares, key=lambda lattice: shares[lattice])
    if shares[best] < LEAST_SHARE:
        raise InvalidInput(
            "need 20 m bands that were brought to 10 m by nearest or cubic resampling; these "
            "were resampled otherwise, take them from the product itself"
        )
    return best


def coarse_pixels(bands: Reflectance, lattice: Lattice) -> Reflectance:
    """The 20 m pixels (band, rows, columns) of the lattice, without `REACH_PX` at every edge."""
    height, width = lattice_shape(bands.shape[1:], lattice)
    inside = bands[:, lattice.row :, lattice.col :][:, : 2 * height, : 2 * width]
    means = inside.reshape(len(bands), height, 2, width, 2).mean(axis=(2, 4), dtype=np.float64)
    if not lattice.cubic:
        return np.asarray(means[:, REACH_PX:-REACH_PX, REACH_PX:-REACH_PX], np.float32)
    kernel = np.outer(_inverse(), _inverse())
    weights = torch.from_numpy(kernel)[None, None].repeat(len(bands), 1, 1, 1)
    found = functional.conv2d(torch.from_numpy(means)[None], weights, groups=len(bands))[0]
    return np.asarray(found.numpy(), np.float32)


def lattice_shape(shape: tuple[int, ...], lattice: Lattice) -> tuple[int, int]:
    """How many whole 20 m pixels a raster of 10 m pixels holds."""
    return (shape[0] - lattice.row) // 2, (shape[1] - lattice.col) // 2


def _repeated(bands: Reflectance) -> tuple[int, float]:
    """Row where pairs of equal pixels begin, and by how much that fits better than the other.

    1 where all pairs that could tell agree, or where there is nothing to tell.
    """
    shares = []
    for first in (0, 1):
        count = (bands.shape[1] - first) // 2
        pairs = bands[:, first : first + 2 * count].reshape(len(bands), count, 2, -1)
        shares.append(float((pairs[:, :, 0] == pairs[:, :, 1]).mean()))
    best = int(shares[1] > shares[0])
    telling = 1 - shares[1 - best]
    return best, 1.0 if telling < 1e-3 else (shares[best] - shares[1 - best]) / telling


def _agreement(bands: Reflectance, lattice: Lattice) -> float:
    """Share of the telling pixels that are what the lattice's pixels interpolate to.

    A pixel tells where cubic and linear interpolation differ; 1 where hardly any does.
    """
    coarse = torch.from_numpy(coarse_pixels(bands, lattice))[None]
    kernel = bicubic(2).kernel("B05")
    weights = torch.from_numpy(kernel.reshape(4, 1, *kernel.shape[2:])).repeat(len(bands), 1, 1, 1)
    phases = functional.conv2d(coarse, weights, groups=len(bands))
    cubic = functional.pixel_shuffle(phases, 2)[0].numpy()
    reach = kernel.shape[2] // 2
    linear = functional.interpolate(coarse, scale_factor=2, mode="bilinear")[0].numpy()
    linear = linear[:, 2 * reach : -2 * reach, 2 * reach : -2 * reach]
    rim = 2 * (REACH_PX + reach)
    top, left = lattice.row + rim, lattice.col + rim
    seen = bands[:, top : top + cubic.shape[1], left : left + cubic.shape[2]]
    telling = np.abs(cubic - linear) > 2 * TOLERANCE
    if telling.sum() < LEAST_TELLING:
        return 1.0
    return float((np.abs(cubic - seen)[telling] <= TOLERANCE).mean())


def _inverse() -> NDArray[np.float64]:
    """The filter that undoes `PAIR_MEAN`, cut at its reach; its sum is one."""
    size = 256
    frequency = np.fft.fftfreq(size)
    half = len(PAIR_MEAN) // 2
    response = sum(
        weight * np.cos(2 * np.pi * frequency * (place - half))
        for place, weight in enumerate(PAIR_MEAN)
    )
    impulse = np.roll(np.fft.ifft(1 / response).real, REACH_PX)[: 2 * REACH_PX + 1]
    kernel: NDArray[np.float64] = impulse / impulse.sum()
    return kernel
