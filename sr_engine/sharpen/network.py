"""From 20 m pixels and 10 m guides to 10 m pixels: regress, refine, project.

With y the 20 m band, g the guides, D a band's blur and sampling and B its least-squares inverse:

    r = a g + b     a, b: ridge regression of y on D g around each pixel, interpolated
    r' = r + f      f: a small network on what the guides, r and B y have of fine detail,
                    one band at a time with weights that all bands share
    x = r' + B (y - D r')

The regression learns from the scene itself how a band goes with the guides (after the guided
filter of He, Sun and Tang, IEEE PAMI 35, 2013), the network what it leaves; the last step makes
D x equal y within noise, as in the default model. All of it is local, so that blocks are exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from datacube.bands import SENTINEL2
from sr_engine.bicubic import bicubic
from sr_engine.default.network import BLUR_RADIUS_PX, blur_kernel, cropped
from sr_engine.wiener import WienerSettings, wiener_kernel

GUIDES = tuple(band.name for band in SENTINEL2.values() if band.gsd_m == 10)
SHARPENED = tuple(band.name for band in SENTINEL2.values() if band.gsd_m == 20)
UNIT = 0.02  # reflectance: about what detail amounts to, so that the network sees numbers near 1
UP_PX = 2  # reach of cubic interpolation


@dataclass(frozen=True)
class SharpenSettings:
    """The regression's window (Gaussian, in 20 m pixels) and ridge, and the network's size."""

    radius_px: int = 3
    sigma_px: float = 1.5
    ridge: float = 1e-6  # reflectance squared: about the sensor's noise
    channels: int = 24
    layers: int = 4
    deconvolution: WienerSettings = field(default_factory=lambda: WienerSettings(halo_px=4))

    @property
    def guess_margin_px(self) -> int:
        """What the regression takes away at every edge, in 20 m pixels."""
        return BLUR_RADIUS_PX + self.radius_px + UP_PX

    @property
    def refine_margin_px(self) -> int:
        """What the network takes away, in 10 m pixels; even."""
        return (self.layers + 2 + 1) // 2 * 2

    @property
    def margin_px(self) -> int:
        """What all of it takes away, in 20 m pixels."""
        projection = BLUR_RADIUS_PX + self.deconvolution.halo_px
        return self.guess_margin_px + self.refine_margin_px // 2 + projection


@dataclass(frozen=True)
class Guess:
    """Without weights: `features` (n, 16, y, x) of fine detail, and `reflectance` (n, 6, y, x)."""

    features: Tensor
    reflectance: Tensor


class Sharpener(nn.Module):
    """Only the layers of `refine` have weights; everything is without padding."""

    def __init__(self, settings: SharpenSettings) -> None:
        super().__init__()
        self.settings = settings
        width = settings.channels
        self.first = nn.Conv2d(len(GUIDES) + 2, width, 3)
        self.body = nn.ModuleList(nn.Conv2d(width, width, 3) for _ in range(settings.layers))
        self.last = nn.Conv2d(width, 1, 3, bias=False)
        nn.init.normal_(self.last.weight, std=1e-3)
        self._keep("blur_guides", [blur_kernel(SENTINEL2[name], 2) for name in GUIDES])
        self._keep("blur", [blur_kernel(SENTINEL2[name], 2) for name in SHARPENED])
        inverse = [wiener_kernel(name, 2, settings.deconvolution) for name in SHARPENED]
        self._keep(
            "inverse", [plane for one in inverse for plane in one.reshape(4, *one.shape[2:])]
        )
        up = bicubic(2).kernel(SHARPENED[0])
        self._keep("up", list(up.reshape(4, *up.shape[2:])))
        at = np.arange(-settings.radius_px, settings.radius_px + 1)
        weights = np.exp(-0.5 * (at / settings.sigma_px) ** 2)
        window = np.outer(weights, weights) / weights.sum() ** 2
        self._keep("window", [window.astype(np.float32)])

    def forward(self, guides: Tensor, coarse: Tensor) -> Tensor:
        """(n, 4, 2 y, 2 x) and (n, 6, y, x) to (n, 6, 2 y - 4 margin, 2 x - 4 margin)."""
        guess = self.guess(guides, coarse)
        settings = self.settings
        inner = cropped(coarse, settings.guess_margin_px + settings.refine_margin_px // 2)
        return self.project(self.refine(guess), inner)

    def guess(self, guides: Tensor, coarse: Tensor) -> Guess:
        """Regression of each band on the guides, and what the network is to see."""
        seen = _by_band(guides, self.get_buffer("blur_guides"), stride=2)
        inner = cropped(coarse, BLUR_RADIUS_PX)
        slopes, level = self._regressed(seen, inner)
        margin = self.settings.guess_margin_px
        fine = cropped(guides, 2 * margin)
        count = len(SHARPENED)
        steep = _unfolded(self._enlarged(slopes.flatten(1, 2)), count)
        first = (steep * fine[:, None]).sum(dim=2) + self._enlarged(level)
        sharp = cropped(self._inverted(coarse), 2 * (margin - self.settings.deconvolution.halo_px))
        smooth = cropped(self._enlarged(coarse), 2 * (margin - UP_PX))
        detail = fine - cropped(self._enlarged(seen), 2 * (margin - BLUR_RADIUS_PX - UP_PX))
        features = torch.cat([detail, first - sharp, sharp - smooth], dim=1)
        return Guess(features, first)

    def refine(self, guess: Guess) -> Tensor:
        """The regression's answer and the network's correction, less `refine_margin_px`."""
        values = self.first(_one_by_one(guess.features) / UNIT).relu()
        for layer in self.body:
            values = layer(values).relu()
        change = self.last(values) * UNIT
        change = change.reshape(-1, len(SHARPENED), *change.shape[2:])
        spare = self.settings.refine_margin_px - (self.settings.layers + 2)
        inner = cropped(guess.reflectance, self.settings.refine_margin_px)
        return inner + cropped(change, spare)

    def project(self, answer: Tensor, coarse: Tensor) -> Tensor:
        """Make an answer agree with the 20 m pixels below it; takes 2 (blur + halo) px away."""
        unexplained = cropped(coarse, BLUR_RADIUS_PX) - _by_band(
            answer, self.get_buffer("blur"), stride=2
        )
        rim = 2 * (BLUR_RADIUS_PX + self.settings.deconvolution.halo_px)
        return cropped(answer, rim) + self._inverted(unexplained)

    def degrade(self, fine: Tensor) -> Tensor:
        """(n, 6, 2 y, 2 x) as the bands would be measured at 20 m, less the blur's reach."""
        return _by_band(fine, self.get_buffer("blur"), stride=2)

    def degrade_guides(self, fine: Tensor) -> Tensor:
        """(n, 4, 2 y, 2 x) guides as a coarser instrument would measure them."""
        return _by_band(fine, self.get_buffer("blur_guides"), stride=2)

    def interpolate(self, coarse: Tensor) -> Tensor:
        """The baseline: cubic interpolation, less two 20 m pixels at every edge."""
        return self._enlarged(coarse)

    def deconvolve(self, coarse: Tensor) -> Tensor:
        """Without guides: the bands' own least-squares inverse, less its halo."""
        return self._inverted(coarse)

    def _regressed(self, seen: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Slopes (n, 6, 4, y, x) and level (n, 6, y, x) of each band on the blurred guides."""
        mean_g, mean_y = self._mean(seen), self._mean(coarse)
        both = self._mean((seen[:, :, None] * seen[:, None]).flatten(1, 2))
        spread = _unfolded(both, len(GUIDES)) - mean_g[:, :, None] * mean_g[:, None]
        shared = self._mean((coarse[:, :, None] * seen[:, None]).flatten(1, 2))
        shared = _unfolded(shared, len(SHARPENED)) - mean_y[:, :, None] * mean_g[:, None]
        ridge = self.settings.ridge * torch.eye(len(GUIDES), device=seen.device)
        matrix = spread.permute(0, 3, 4, 1, 2) + ridge
        slopes = torch.linalg.solve(matrix, shared.permute(0, 3, 4, 2, 1))  # (n, y, x, 4, 6)
        slopes = slopes.permute(0, 4, 3, 1, 2)
        return slopes, mean_y - (slopes * mean_g[:, None]).sum(dim=2)

    def _mean(self, values: Tensor) -> Tensor:
        return _by_band(values, self.get_buffer("window").expand(values.shape[1], -1, -1, -1))

    def _enlarged(self, values: Tensor) -> Tensor:
        weights = self.get_buffer("up").repeat(values.shape[1], 1, 1, 1)
        return functional.pixel_shuffle(_by_band(values, weights), 2)

    def _inverted(self, values: Tensor) -> Tensor:
        return functional.pixel_shuffle(_by_band(values, self.get_buffer("inverse")), 2)

    def _keep(self, name: str, kernels: Sequence[NDArray[np.float32]]) -> None:
        values = torch.from_numpy(np.stack(kernels)[:, None])
        self.register_buffer(name, values, persistent=False)


def _by_band(values: Tensor, weights: Tensor, stride: int = 1) -> Tensor:
    """Convolve each channel with kernels of its own."""
    return functional.conv2d(values, weights, stride=stride, groups=values.shape[1])


def _one_by_one(features: Tensor) -> Tensor:
    """(n, 16, y, x) to (6 n, 6, y, x): the guides' detail and what is of one band."""
    bands = len(SHARPENED)
    detail = features[:, : len(GUIDES), None].expand(-1, -1, bands, -1, -1)
    own = _unfolded(features[:, len(GUIDES) :], 2)
    return torch.cat([detail, own], dim=1).transpose(1, 2).flatten(0, 1)


def _unfolded(values: Tensor, count: int) -> Tensor:
    """(n, count m, y, x) to (n, count, m, y, x)."""
    n, channels, height, width = values.shape
    return values.reshape(n, count, channels // count, height, width)
