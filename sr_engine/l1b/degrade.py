"""What the instrument would record of a super-resolved image: blur, pixel, sampling.

A fine pixel is the mean reflectance of its own square, so a measured one is the mean of the
fine ones it covers, after the Gaussian of the band.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from datacube.bands import find_bands

REACH_SIGMAS = 4.0


def degraded(fine: Tensor, bands: tuple[str, ...], factor: int = 2) -> Tensor:
    """`fine` (n, band, factor y, factor x) as seen at (n, band, y, x); edges continue."""
    seen = []
    for index, band in enumerate(find_bands(bands)):
        taps = torch.from_numpy(line_weights(band.psf_sigma_px, factor)).to(fine)
        rim = (len(taps) - factor) // 2
        image = functional.pad(fine[:, index : index + 1], (rim, rim, rim, rim), mode="replicate")
        image = functional.conv2d(image, taps[None, None, :, None], stride=(factor, 1))
        seen.append(functional.conv2d(image, taps[None, None, None, :], stride=(1, factor)))
    return torch.cat(seen, dim=1)


def line_weights(sigma_px: float, factor: int) -> NDArray[np.float32]:
    """Weights along one axis, sum 1: a sampled Gaussian of `sigma_px` measured pixels, then
    the mean over `factor` fine ones.
    """
    sigma = sigma_px * factor
    reach = int(np.ceil(REACH_SIGMAS * sigma))
    gauss = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps = np.convolve(gauss / gauss.sum(), np.full(factor, 1 / factor))
    return taps.astype(np.float32)
