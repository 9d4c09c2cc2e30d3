"""Ways from an image that shows nothing to the image itself.

A path integral of gradients credits each pixel with what its return brought about. Where the
path begins and how it leads decides what is asked; a blurred beginning asks for detail.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from sr_engine.model import Reflectance

Float = NDArray[np.float64]
Images = NDArray[np.float32]


class Path(Protocol):
    """A differentiable way of images, from `alpha` 0 to 1."""

    def at(self, alphas: Float) -> tuple[Images, Images]:
        """Images (n, band, y, x), and their derivatives by alpha."""


@dataclass(frozen=True, eq=False)
class StraightPath:
    """From `baseline` to `image` in a straight line (integrated gradients)."""

    image: Reflectance
    baseline: Reflectance

    def at(self, alphas: Float) -> tuple[Images, Images]:
        """See `Path`."""
        step = self.image - self.baseline
        share = alphas.astype(np.float32)[:, None, None, None]
        return self.baseline + share * step, np.broadcast_to(step, (len(alphas), *step.shape))


class BlurPath:
    """From the image under a Gaussian of `sigma_px` to the image, getting sharper at every step.

    The width falls linearly to zero, as in progressive blurring (Gu and Dong 2021). Images
    continue mirrored beyond their edge, so a cosine transform makes blur and derivative exact.
    """

    def __init__(self, image: Reflectance, sigma_px: float) -> None:
        self._spectrum = fft.dctn(image.astype(np.float64), axes=(1, 2), norm="ortho")
        down, across = (np.pi * np.arange(side) / side for side in image.shape[1:])
        self._square = down[:, None] ** 2 + across[None, :] ** 2
        self._sigma_px = sigma_px

    def at(self, alphas: Float) -> tuple[Images, Images]:
        """See `Path`."""
        sigma = self._sigma_px * (1 - alphas)[:, None, None, None]
        kept = self._spectrum * np.exp(-0.5 * sigma**2 * self._square)
        return _images(kept), _images(kept * sigma * self._sigma_px * self._square)

    @property
    def baseline(self) -> Reflectance:
        """Where it begins."""
        first: Reflectance = self.at(np.zeros(1))[0][0]
        return first


def _images(spectra: Float) -> Images:
    images: Images = np.asarray(fft.idctn(spectra, axes=(2, 3), norm="ortho"), np.float32)
    return images
