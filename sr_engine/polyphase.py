"""Linear models: one fixed convolution per phase of the fine grid.

Output pixel (factor i + p) is a weighted sum of the input around pixel i, with weights that
depend on the phase p alone. Bicubic interpolation and Wiener deconvolution are both of this
kind, and their influence function is exact: it is the weights.
"""

from collections.abc import Callable, Collection

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from datacube.errors import InvalidInput
from datacube.store.layout import PlaneSpec
from sr_engine.card import ModelCard
from sr_engine.model import Prediction, Reflectance
from sr_engine.planes import INFLUENCE, REACH

Kernel = NDArray[np.float32]  # (phase_y, phase_x, 2 halo + 1, 2 halo + 1)


class PolyphaseModel:
    """A linear model; `kernel_of` gives the weights for a band by its name."""

    def __init__(self, card: ModelCard, kernel_of: Callable[[str], Kernel]) -> None:
        self._card = card
        self._kernel_of = kernel_of
        self._kernels: dict[str, Kernel] = {}

    @property
    def card(self) -> ModelCard:
        """What the model is."""
        return self._card

    @property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """Influence and reach, which are exact for a linear model."""
        return INFLUENCE, REACH

    def kernel(self, band: str) -> Kernel:
        """The weights for one band; those of each phase sum to one."""
        if band not in self._kernels:
            self._kernels[band] = self._kernel_of(band)
        return self._kernels[band]

    def predict(
        self, patch: Reflectance, bands: tuple[str, ...], *, planes: Collection[str] = ()
    ) -> Prediction:
        """Convolve each band with its own kernel; see `PatchModel.predict`."""
        _check(patch, bands, self._card.halo_px)
        with torch.inference_mode():
            fine = self.module(bands)(torch.from_numpy(np.ascontiguousarray(patch))[None])
        asked = {plane.name for plane in self.planes} & set(planes)
        told = self._influence(patch, bands) if asked else {}
        return Prediction(fine[0].numpy(), {name: told[name] for name in asked})

    def module(self, bands: tuple[str, ...]) -> nn.Module:
        """The convolution; see `DifferentiableModel.module`."""
        weights = np.stack([self.kernel(band) for band in bands])
        taps = 2 * self._card.halo_px + 1
        return _Convolution(weights.reshape(-1, 1, taps, taps), self._card.factor, len(bands))

    def _influence(self, patch: Reflectance, bands: tuple[str, ...]) -> dict[str, Reflectance]:
        """Exact: sum of |weight| |neighbour - own pixel|, and its mean distance in pixels."""
        halo, factor = self._card.halo_px, self._card.factor
        taps = 2 * halo + 1
        strength, moment = np.zeros(1, np.float32), np.zeros(1, np.float32)
        for band, plane in zip(bands, patch, strict=True):
            weights = np.abs(self.kernel(band)).reshape(factor**2, taps**2)
            distance = _distances(factor, halo).reshape(factor**2, taps**2)
            windows = np.lib.stride_tricks.sliding_window_view(plane, (taps, taps))
            height, width = windows.shape[:2]
            own = plane[halo : halo + height, halo : halo + width]
            contrast = np.abs(windows - own[..., None, None]).reshape(height * width, taps**2)
            strength = strength + contrast @ weights.T
            moment = moment + contrast @ (weights * distance).T
        total = np.maximum(strength, 1e-9)
        shape = (height, width, factor, factor)
        return {
            INFLUENCE.name: _woven(strength / len(bands), shape),
            REACH.name: _woven(moment / total, shape),
        }


class _Convolution(nn.Module):
    """Weights (band factor factor, 1, tap, tap) as a layer; phases go to their places."""

    def __init__(self, weights: Kernel, factor: int, bands: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.from_numpy(np.ascontiguousarray(weights)))
        self._factor, self._bands = factor, bands

    def forward(self, patch: Tensor) -> Tensor:
        """(n, band, y, x) to (n, band, factor (y - 2 halo), factor (x - 2 halo))."""
        phases = functional.conv2d(patch, self.get_buffer("weights"), groups=self._bands)
        return functional.pixel_shuffle(phases, self._factor)


def _check(patch: Reflectance, bands: tuple[str, ...], halo: int) -> None:
    if patch.ndim != 3 or patch.shape[0] != len(bands):
        raise InvalidInput(f"need a patch (band, y, x) of {len(bands)} bands, got {patch.shape}")
    if min(patch.shape[1:]) <= 2 * halo:
        raise InvalidInput(f"need a patch larger than twice the halo of {halo} px")


def _distances(factor: int, halo: int) -> NDArray[np.float32]:
    """Distance in input pixels from each phase's centre to each input pixel's."""
    phase = (np.arange(factor) + 0.5) / factor - 0.5
    offset = np.arange(-halo, halo + 1)[None, :] - phase[:, None]
    squared = offset[:, None, :, None] ** 2 + offset[None, :, None, :] ** 2
    return np.sqrt(squared).astype(np.float32)


def _woven(values: NDArray[np.floating], shape: tuple[int, int, int, int]) -> Reflectance:
    """Phases back to their places on the fine grid."""
    height, width, factor, _ = shape
    fine = values.reshape(shape).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(fine.reshape(height * factor, width * factor), np.float32)
