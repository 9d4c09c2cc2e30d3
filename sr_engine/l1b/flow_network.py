"""CSR: a network that finds the dense sub-pixel flow between two bands of one place.

An encoder sees the reference and the moving band together and halves the grid after each level;
a decoder doubles it again; what comes out is bounded by a hyperbolic tangent. The platform sways
slowly, so a decoder may end on a coarse grid, from which the flow is interpolated. The reference
size looks at the two images; the small one, which has to learn on a CPU, is shown how well they
correlate around each place when one is moved by whole pixels.
"""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from datacube.errors import InvalidInput
from sr_engine.l1b.warp import composed, warp

SLOPE = 0.2  # of the leaky rectifier below zero
WINDOW_RADIUS_PX = 16
WIDE_PX = 4  # radius from which sums are cheaper than a pooling
SEARCH_STEP_PX, SEARCH_WINDOW_PX = 4, 12  # places to correlate at, and over how many pixels
SEARCH_RADIUS_PX = 5  # of the window whose mean and deviation are taken out before


@dataclass(frozen=True)
class FlowSettings:
    """The size of a CSR.

    `down` are the features of the encoder's levels and `up` of the decoder's, fewer where the
    flow is interpolated from a coarser grid; `range_px` bounds each component of one pass.
    With `search_px`, what goes in are correlations at moves of up to that many pixels. Bands
    are standardised by the mean and deviation of the whole "image", or of a "window" of 33 px,
    after which a value depends on its neighbourhood alone.
    """

    down: tuple[int, ...] = (64,)
    up: tuple[int, ...] = (64,)
    head: int = 32
    range_px: float = 5.0
    search_px: int = 4
    standardise: Literal["image", "window"] = "window"

    def __post_init__(self) -> None:
        if not self.down or not 0 < len(self.up) <= len(self.down) or self.range_px <= 0:
            raise InvalidInput(
                f"need levels down, no more up than down, and a range above 0 px, got {self}"
            )

    @property
    def stride_px(self) -> int:
        """The coarsest grid's spacing: images are padded to a multiple of it."""
        return int(2 ** len(self.down)) * (SEARCH_STEP_PX if self.search_px else 1)

    @property
    def channels(self) -> int:
        """What the encoder is given at each place."""
        return (2 * self.search_px + 1) ** 2 if self.search_px else 2

    def document(self) -> dict[str, Any]:
        """The settings as JSON holds them."""
        return asdict(self) | {"down": list(self.down), "up": list(self.up)}


SMALL = FlowSettings()
REFERENCE = FlowSettings((32, 64, 128, 256), (256, 256, 128, 64), 32, 10.0, 0, "image")


class FlowNetwork(nn.Module):
    """(n, 2, y, x), the reference and the moving band standardised, to a flow (n, 2, y, x)."""

    def __init__(self, settings: FlowSettings = SMALL) -> None:
        super().__init__()
        self.settings = settings
        widths = (settings.channels, *settings.down)
        self.encoder = nn.ModuleList(_Level(before, after) for before, after in pairwise(widths))
        widths = (settings.down[-1], *settings.up)
        self.decoder = nn.ModuleList(_Level(before, after) for before, after in pairwise(widths))
        self.inner = _convolution(settings.up[-1], settings.head)
        self.last = _convolution(settings.head, 2)

    def forward(self, pair: Tensor) -> Tensor:
        """The flow as (dx, dy) in pixels: where in the moving band the reference's pixels are."""
        height, width = pair.shape[-2:]
        features = _padded(pair, self.settings.stride_px)
        padded = features.shape[-2:]
        if self.settings.search_px:
            features = correlations(features, self.settings.search_px)
        for level in self.encoder:
            features = functional.max_pool2d(level(features), 2)
        for level in self.decoder:
            features = _doubled(level(features))
        features = functional.leaky_relu(self.inner(features), SLOPE)
        flow = torch.tanh(self.last(features)) * self.settings.range_px
        if flow.shape[-2:] != padded:
            flow = functional.interpolate(flow, size=padded, mode="bilinear", align_corners=False)
        return flow[..., :height, :width]


def find_flow(network: FlowNetwork, reference: Tensor, moving: Tensor, passes: int = 1) -> Tensor:
    """The flow (n, 2, y, x) from `reference` to `moving` (n, 1, y, x), in any unit.

    Each further pass looks at the band as the flow so far aligns it, and adds what is left.
    """
    fixed = standardised(reference, network.settings)
    flow: Tensor | None = None
    for _ in range(passes):
        seen = moving if flow is None else warp(moving, flow, "bicubic")
        step = network(torch.cat([fixed, standardised(seen, network.settings)], dim=1))
        flow = step if flow is None else composed(step, flow)
    if flow is None:
        raise InvalidInput(f"need at least one pass, got {passes}")
    return flow


def correlations(pair: Tensor, search_px: int) -> Tensor:
    """(n, move, y / 4, x / 4): correlation of two bands (n, 2, y, x), the second moved.

    Moves go from -search to search, rows first; they are looked up, so none costs a gradient.
    """
    with torch.no_grad():
        mean, deviation = window_statistics(pair, SEARCH_RADIUS_PX)
        # What varies less than a twentieth of its surroundings is taken for noise.
        around = window_statistics(pair, WINDOW_RADIUS_PX)[1]
        even = (pair - mean) / (deviation + 0.05 * around)
        reference, moving = even[:, :1], functional.pad(even[:, 1:], (search_px,) * 4, "replicate")
        height, width = pair.shape[-2:]
        rim = (SEARCH_WINDOW_PX - SEARCH_STEP_PX) // 2
        found = [
            functional.avg_pool2d(
                reference * moving[..., row : row + height, column : column + width],
                SEARCH_WINDOW_PX,
                SEARCH_STEP_PX,
                rim,
            )
            for row in range(2 * search_px + 1)
            for column in range(2 * search_px + 1)
        ]
        return torch.cat(found, dim=1)


def standardised(images: Tensor, settings: FlowSettings) -> Tensor:
    """Each band with mean 0 and deviation 1, of the image or around each pixel."""
    if settings.standardise == "image":
        mean = images.mean(dim=(-2, -1), keepdim=True)
        deviation = images.std(dim=(-2, -1), keepdim=True)
        return (images - mean) / (deviation + 1e-6 * (1 + mean.abs()))
    mean, deviation = window_statistics(images)
    return (images - mean) / deviation


def window_statistics(images: Tensor, radius_px: int = WINDOW_RADIUS_PX) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the window around each pixel, as far as it lies in the image.

    The deviation is never below 1 % of the mean, so that noise over flat ground stays small.
    """
    mean = window_mean(images, radius_px)
    centre = images.mean(dim=(-2, -1), keepdim=True)  # against cancellation; changes nothing else
    around = window_mean((images - centre) ** 2, radius_px) - (mean - centre) ** 2
    floor = (0.01 * mean) ** 2 + 1e-12
    return mean, torch.sqrt(around.clamp_min(0) + floor)


def window_mean(images: Tensor, radius_px: int) -> Tensor:
    """Mean over a square window, of the pixels that exist."""
    return box_mean(images, radius_px, radius_px)


def box_mean(images: Tensor, rows_px: int, columns_px: int) -> Tensor:
    """Mean over a window of these radii, of the pixels that exist."""
    for axis, radius in ((-2, rows_px), (-1, columns_px)):
        if radius > WIDE_PX:
            images = _wide_mean(images, radius, axis)
        elif radius:
            size, pad = [1, 1], [0, 0]
            size[axis], pad[axis] = 2 * radius + 1, radius
            images = functional.avg_pool2d(images, size, 1, pad, count_include_pad=False)
    return images


def _wide_mean(images: Tensor, radius: int, axis: int) -> Tensor:
    """A running mean by sums, whose cost does not grow with the window."""
    length = images.shape[axis]
    sums = images.double().cumsum(dim=axis)
    sums = torch.cat([torch.zeros_like(sums.narrow(axis, 0, 1)), sums], dim=axis)
    at = torch.arange(length, device=images.device)
    last, first = (at + radius + 1).clamp_max(length), (at - radius).clamp_min(0)
    shape = [1, 1]
    shape[axis] = length
    total = sums.index_select(axis, last) - sums.index_select(axis, first)
    return (total / (last - first).reshape(shape)).to(images.dtype)


class _Level(nn.Module):
    """Two 3x3 convolutions."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = _convolution(before, after)
        self.second = _convolution(after, after)

    def forward(self, features: Tensor) -> Tensor:
        """Features of the same grid."""
        inner = functional.leaky_relu(self.first(features), SLOPE)
        return functional.leaky_relu(self.second(inner), SLOPE)


def _convolution(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, padding_mode="reflect")


def _doubled(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)


def _padded(images: Tensor, stride_px: int) -> Tensor:
    """Continued at the right and below to a multiple of the stride, and to two strides at least.

    Two, because a reflected border needs two pixels on the coarsest grid.
    """
    height, width = images.shape[-2:]
    more = [max(-(-side // stride_px), 2) * stride_px - side for side in (width, height)]
    return functional.pad(images, (0, more[0], 0, more[1]), mode="replicate")
