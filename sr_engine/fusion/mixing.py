"""Bands see the same edges: fuse uncorrelated mixtures of them instead of the bands.

Divided by its noise, every band has the same white noise, and still has after a rotation;
the rotation to the principal axes of the texture gathers what the bands share into one
mixture of high signal, which then lends them its detail. Measured on simulated ground,
8 dates: +0.35 dB at x2, +0.2 dB at x4, at no cost. Bands are mixed only where their blur
differs little; then one width serves all (0.02 dB from doing it exactly).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Image = NDArray[np.float32]
LIKE = 1.15  # ratio of PSF widths up to which bands are mixed


@dataclass(frozen=True)
class Mixing:
    """`split` (mixture, band) leads to the mixtures, `join` (band, mixture) back.

    `sigmas_px` is the PSF width of each mixture.
    """

    split: Float
    join: Float
    sigmas_px: tuple[float, ...]

    def mixed(self, values: Image) -> Image:
        """Mixtures of `values` (..., band, y, x)."""
        parts = np.einsum("kb,...byx->...kyx", self.split.astype(np.float32), values)
        return np.ascontiguousarray(parts)

    def joined(self, parts: Image) -> Image:
        """Bands of `parts` (mixture, y, x)."""
        return np.asarray(np.einsum("bk,kyx->byx", self.join.astype(np.float32), parts))

    def joined_variance(self, variances: Image) -> Image:
        """Variances of bands from those of the uncorrelated mixtures."""
        squares = (self.join**2).astype(np.float32)
        return np.asarray(np.einsum("bk,kyx->byx", squares, variances))


def find_mixing(values: Image, noise: Sequence[float], sigmas_px: Sequence[float]) -> Mixing:
    """Principal axes of the texture of `values` (date, band, y, x), which have no gaps.

    `noise` is the variance of each band's noise. Texture is the gradient of the mean date.
    """
    count = values.shape[1]
    split, join = np.zeros((count, count)), np.zeros((count, count))
    scale = np.sqrt(np.maximum(noise, 1e-16))
    widths = np.array(sigmas_px, dtype=np.float64)
    mean = values.mean(axis=0, dtype=np.float64)
    for bands in alike(sigmas_px):
        texture = mean[bands] / scale[bands, None, None]
        slopes = np.stack(np.gradient(texture, axis=(1, 2)), axis=1).reshape(len(bands), -1)
        axes = np.linalg.eigh(slopes @ slopes.T)[1]
        split[np.ix_(bands, bands)] = axes.T / scale[bands]
        join[np.ix_(bands, bands)] = axes * scale[bands, None]
        widths[bands] = np.sqrt(np.mean(widths[bands] ** 2))
    return Mixing(split, join, tuple(float(width) for width in widths))


def alike(sigmas_px: Sequence[float]) -> list[list[int]]:
    """Indices of bands, in groups whose widths differ by no more than the ratio `LIKE`."""
    groups: list[list[int]] = []
    for i in sorted(range(len(sigmas_px)), key=lambda band: sigmas_px[band]):
        if groups and sigmas_px[i] <= LIKE * sigmas_px[groups[-1][0]]:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups
