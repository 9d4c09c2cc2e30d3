"""How an observation sees the scene, per spatial frequency.

Frequencies are in cycles per pixel of the observations (LR). A sampled image cannot tell
f from f + 1: every LR frequency gathers factor x factor frequencies of the refined grid,
its aliases, and that is the whole coupling of the problem: with shifts that are the same
everywhere, nothing else mixes.
"""

import numpy as np
import torch
from numpy.typing import NDArray

Float = NDArray[np.float64]


def transfer(frequency: Float, sigma_px: float) -> Float:
    """Fourier transform of a Gaussian of `sigma_px` followed by the box of one pixel."""
    gauss = np.exp(-2 * (np.pi * sigma_px * frequency) ** 2)
    return np.asarray(gauss * np.sinc(frequency))


def aliases(frequency: Float, factor: int) -> Float:
    """The `factor` frequencies (..., factor) in [-factor/2, factor/2) that look like each one."""
    offsets = frequency[..., None] + np.arange(factor)
    return np.asarray((offsets + factor / 2) % factor - factor / 2)


def phase_offsets(factor: int) -> Float:
    """Centres of the `factor` HR pixels of one LR pixel, from its own centre, in LR pixels."""
    return (np.arange(factor) + 0.5) / factor - 0.5


class Aliasing:
    """The aliases of some LR frequencies: how each date records them, how a pixel reads them.

    Made for n frequency pairs (`fy`, `fx` of shape (n,)), M = factor ** 2 aliases each. The
    scene's prior power is |f|^-exponent, held finite below `lowest`. An HR pixel is a mean
    over its own box, so it reads an alias through sinc(f / factor).
    """

    def __init__(
        self, fy: Float, fx: Float, factor: int, *, exponent: float, lowest: float
    ) -> None:
        self.fy, self.fx = aliases(fy, factor), aliases(fx, factor)
        self.factor = factor
        radius = np.maximum(np.hypot(self.fy[:, :, None], self.fx[:, None, :]), lowest)
        self.amplitude: Float = radius ** (-exponent / 2)

    def recorded(self, shifts_px: Float, sigma_px: float) -> NDArray[np.complex128]:
        """(n, date, M): what each date records of an alias of prior amplitude."""
        strength = (
            transfer(self.fy, sigma_px)[:, :, None]
            * transfer(self.fx, sigma_px)[:, None, :]
            * self.amplitude
        )
        down = _turn(self.fy, -shifts_px[:, 0])
        across = _turn(self.fx, -shifts_px[:, 1])
        seen = down[:, :, :, None] * across[:, :, None, :] * strength[:, None]
        return np.asarray(seen.reshape(len(self.fy), len(shifts_px), -1))

    def read(self, values: torch.Tensor) -> torch.Tensor:
        """What HR pixels read: `values` (n, M, date) become (n, factor ** 2, date).

        Along y first, then along x: the phases separate, so no (factor ** 2, M) matrix is made.
        """
        n, factor, dates = len(self.fy), self.factor, values.shape[-1]
        offsets = phase_offsets(factor)
        down = torch.from_numpy(_turn(self.fy, offsets))
        across = torch.from_numpy(_turn(self.fx, offsets))
        weighted = values * torch.from_numpy(self._seen_by_pixel()).reshape(n, -1, 1)
        rows = down @ weighted.reshape(n, factor, factor * dates)
        turned = rows.reshape(n, factor, factor, dates).transpose(1, 2)
        both = across @ turned.reshape(n, factor, factor * dates)
        pixels = both.reshape(n, factor, factor, dates).transpose(1, 2)
        return pixels.reshape(n, factor**2, dates)

    def pixel_power(self) -> Float:
        """(n,) prior power of an HR pixel, the same for each."""
        return np.asarray((self._seen_by_pixel() ** 2).sum(axis=(1, 2)))

    def _seen_by_pixel(self) -> Float:
        """(n, factor, factor) amplitude of each alias, averaged over an HR pixel."""
        box = np.sinc(self.fy / self.factor)[:, :, None] * np.sinc(self.fx / self.factor)[:, None]
        return np.asarray(box * self.amplitude)


def _turn(frequency: Float, positions: Float) -> NDArray[np.complex128]:
    """(n, position, alias) phase of each frequency at each position."""
    turns: NDArray[np.complex128] = np.exp(2j * np.pi * frequency[:, None, :] * positions[:, None])
    return turns
