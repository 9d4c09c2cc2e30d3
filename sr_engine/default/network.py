"""The default model's network: what a band's optics allow, and a small residual that is learnt.

One band at a time, with weights that all bands share. With y the measured band, D the blur and
sampling of its optics and B the least-squares deconvolution, the answer is

    x = r(y) + B (y - D r(y)),

the learnt residual r projected onto what agrees with the measurement: since D B is the identity
but where noise prevails, D x equals y within noise whatever r is, and r = 0 leaves the
deconvolution. All of it is local and of fixed weights, so that blocks are exact.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from datacube.bands import Band, find_bands
from datacube.errors import InvalidInput
from sr_engine.polyphase import Kernel
from sr_engine.wiener import WienerSettings, wiener_kernel

BLUR_RADIUS_PX = 2  # of D in measured pixels: 4.4 standard deviations beyond the pixel's edge
UNIT = 0.02  # reflectance: about what detail amounts to, so that the network sees numbers near 1
SMALLEST_SCALE = 2e-4  # reflectance


@dataclass(frozen=True)
class NetworkSettings:
    """Size of the residual network, and the deconvolution beneath it."""

    factor: int = 2
    channels: int = 16
    layers: int = 6
    first_taps: int = 5
    scale_channels: int = 16
    deconvolution: WienerSettings = field(default_factory=WienerSettings)

    def __post_init__(self) -> None:
        if self.factor not in (2, 4) or self.first_taps % 2 == 0 or self.layers < 1:
            raise InvalidInput(
                "need factor 2 or 4, an odd first_taps and at least one layer, got "
                f"{self.factor}, {self.first_taps} and {self.layers}"
            )

    @property
    def residual_halo_px(self) -> int:
        """Radius of what the residual sees."""
        return self.first_taps // 2 + self.layers + 1

    @property
    def projection_halo_px(self) -> int:
        """By how much the projection widens it."""
        return BLUR_RADIUS_PX + self.deconvolution.halo_px

    @property
    def halo_px(self) -> int:
        """Radius of the whole receptive field, in measured pixels."""
        return self.residual_halo_px + self.projection_halo_px


@dataclass(frozen=True)
class Answer:
    """`reflectance` and `scale` of its error, both (n, 1, factor y, factor x)."""

    reflectance: Tensor
    scale: Tensor


class Residual(nn.Module):
    """Plain 3x3 layers without padding; a plane in gives zero out, whatever the weights.

    The first layer's weights are kept free of planes (their sum and their centre of mass are
    zero), and what the network makes of zeros is subtracted: flat ground and even slopes pass
    through the model as they are.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        channels, phases = settings.channels, settings.factor**2
        self.first = nn.Conv2d(1, channels, settings.first_taps)
        self.body = nn.ModuleList(nn.Conv2d(channels, channels, 3) for _ in range(settings.layers))
        self.last = nn.Conv2d(channels, phases, 3, bias=False)
        self.scale = nn.ModuleList(
            [
                nn.Conv2d(channels, settings.scale_channels, 3),
                nn.Conv2d(settings.scale_channels, phases, 1),
            ]
        )
        self.factor = settings.factor
        self.register_buffer("planes", _planes(settings.first_taps), persistent=False)
        for layer in (self.first, *self.body):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.last.weight, std=5e-3)

    @property
    def layers(self) -> list[nn.Conv2d]:
        """The layers between the first and the last."""
        return [layer for layer in self.body if isinstance(layer, nn.Conv2d)]

    @property
    def scale_layers(self) -> tuple[nn.Conv2d, nn.Conv2d]:
        """The two layers of the head that tells the scale."""
        hidden, out = (layer for layer in self.scale if isinstance(layer, nn.Conv2d))
        return hidden, out

    def first_weight(self) -> Tensor:
        """Weights of the first layer, less what of them answers to a plane."""
        flat = self.first.weight.flatten(1)
        planes = self.get_buffer("planes")
        return (flat - flat @ planes.T @ planes).reshape(self.first.weight.shape)

    def features(self, patch: Tensor) -> Tensor:
        """(n, 1, y, x) reflectance to (n, channels, y - 2 r + 2, x - 2 r + 2)."""
        values = functional.conv2d(patch / UNIT, self.first_weight(), self.first.bias).relu()
        for layer in self.body:
            values = layer(values).relu()
        return values

    def last_bias(self) -> Tensor:
        """Minus what the layers before make of zeros."""
        side = 2 * (len(self.body) + 1) + self.first.kernel_size[0]
        zeros = torch.zeros((1, 1, side, side), device=self.first.weight.device)
        return -functional.conv2d(self.features(zeros), self.last.weight).flatten()

    def forward(self, patch: Tensor) -> tuple[Tensor, Tensor]:
        """Residual, and scale of the error, from features that the scale does not train."""
        values = self.features(patch)
        phases = functional.conv2d(values, self.last.weight, self.last_bias())
        hidden, out = self.scale
        scale = functional.softplus(out(hidden(values.detach()).relu())) * UNIT + SMALLEST_SCALE
        shuffle = functional.pixel_shuffle
        return shuffle(phases * UNIT, self.factor), shuffle(scale, self.factor)


class Optics(nn.Module):
    """What one band's optics do, `degrade`, and its regularised inverse, `deconvolve`."""

    def __init__(self, band: str, settings: NetworkSettings) -> None:
        super().__init__()
        factor = settings.factor
        blur = blur_kernel(find_bands([band])[0], factor)
        inverse: Kernel = wiener_kernel(band, factor, settings.deconvolution)
        taps = inverse.shape[-1]
        self.register_buffer("blur", torch.from_numpy(blur)[None, None])
        self.register_buffer("inverse", torch.from_numpy(inverse.reshape(-1, 1, taps, taps)))
        self.factor = factor

    def degrade(self, fine: Tensor) -> Tensor:
        """(n, 1, factor y, factor x) to (n, 1, y - 4, x - 4) as the band would measure it."""
        return functional.conv2d(fine, self.get_buffer("blur"), stride=self.factor)

    def deconvolve(self, measured: Tensor) -> Tensor:
        """(n, 1, y, x) to the fine grid, less the deconvolution's halo."""
        phases = functional.conv2d(measured, self.get_buffer("inverse"))
        return functional.pixel_shuffle(phases, self.factor)


def restore(residual: Residual, optics: Optics, patch: Tensor, settings: NetworkSettings) -> Answer:
    """Super-resolve (n, 1, y + 2 halo, x + 2 halo) of one band; see the module's formula."""
    learnt, scale = residual(patch)
    halo = settings.residual_halo_px + BLUR_RADIUS_PX
    unexplained = cropped(patch, halo) - optics.degrade(learnt)
    rim = settings.factor * settings.projection_halo_px
    return Answer(cropped(learnt, rim) + optics.deconvolve(unexplained), cropped(scale, rim))


def cropped(values: Tensor, rim_px: int) -> Tensor:
    """Less `rim_px` pixels on every side."""
    return values[..., rim_px : values.shape[-2] - rim_px, rim_px : values.shape[-1] - rim_px]


def blur_kernel(band: Band, factor: int) -> Kernel:
    """Weights of a measured pixel over fine ones, (5 factor, 5 factor); their sum is one.

    The profile is a Gaussian followed by the pixel's box; each fine pixel weighs its integral.
    """
    reach = BLUR_RADIUS_PX + 0.5
    edges = np.linspace(-reach, reach, (2 * BLUR_RADIUS_PX + 1) * factor + 1)
    running = [_ramp(x + 0.5, band.psf_sigma_px) - _ramp(x - 0.5, band.psf_sigma_px) for x in edges]
    axis = np.diff(running)
    kernel = np.outer(axis, axis)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _ramp(x: float, sigma: float) -> float:
    """Integral, up to x, of the Gaussian's distribution function."""
    at = x / sigma
    below = 0.5 * math.erfc(-at / math.sqrt(2))
    return x * below + sigma * math.exp(-0.5 * at * at) / math.sqrt(2 * math.pi)


def _planes(taps: int) -> Tensor:
    """Orthonormal (3, taps * taps): a constant and the two slopes."""
    at = torch.arange(taps, dtype=torch.float32) - taps // 2
    down, across = torch.meshgrid(at, at, indexing="ij")
    planes = torch.stack([torch.ones_like(down), down, across]).flatten(1)
    return functional.normalize(planes, dim=1)
