"""REC: residual groups of channel-attention blocks that double the grid of four bands.

The architecture is that of RCAN (Zhang et al., ECCV 2018). The reference size learns to align
the bands as it sharpens them. The small size is spared the search: it is given bands aligned by
CSR's flow, with the flow's fraction of a pixel, and adds what bicubic interpolation lacks.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from datacube.errors import InvalidInput
from sr_engine.l1b.align import WHOLE, band_flows
from sr_engine.l1b.flow_network import FlowNetwork, window_mean, window_statistics
from sr_engine.l1b.polish import PolishSettings
from sr_engine.l1b.views import BANDS, REFERENCE_INDEX
from sr_engine.l1b.warp import warp, warp_finer

FACTOR = 2
MOVED = tuple(index for index in range(len(BANDS)) if index != REFERENCE_INDEX)
PHASES = 4 * len(MOVED)  # sine and cosine of each component of each flow


@dataclass(frozen=True)
class RecSettings:
    """The size of a REC.

    `attention_px` is the radius of the window whose mean a block's attention looks at, 0 for
    the whole image, as published; `gain` multiplies what goes in and divides what comes out of
    a network that aligns by itself; with `aligned`, CSR's flow comes in beside the bands.
    """

    groups: int = 3
    blocks: int = 2
    features: int = 32
    reduction: int = 8
    attention_px: int = 2
    aligned: bool = True
    gain: float = 1.0

    def __post_init__(self) -> None:
        sizes = (self.groups, self.blocks, self.reduction, self.features // self.reduction)
        if min(sizes) < 1 or self.attention_px < 0 or self.gain <= 0:
            raise InvalidInput(
                "need groups, blocks and reduction of at least 1, features no fewer than the "
                f"reduction, attention_px >= 0 and gain > 0, got {self}"
            )

    @property
    def radius_px(self) -> int:
        """How far the network alone looks, with attention in windows."""
        convolutions = 2 + self.groups * (2 * self.blocks + 1) + 1
        return convolutions + self.groups * self.blocks * self.attention_px + 1

    def document(self) -> dict[str, Any]:
        """The settings as JSON holds them."""
        return asdict(self)


SMALL = RecSettings()
# The published network works on counts divided by 400: reflectance times 25.
REFERENCE = RecSettings(10, 20, 64, 16, 0, aligned=False, gain=25.0)


class RecNetwork(nn.Module):
    """(n, channel, y, x) to (n, 4, 2 y, 2 x)."""

    def __init__(self, settings: RecSettings = SMALL) -> None:
        super().__init__()
        self.settings = settings
        width = settings.features
        channels = len(BANDS) + (PHASES if settings.aligned else 0)
        self.entry = _convolution(channels, width)
        self.groups = nn.ModuleList(_Group(settings) for _ in range(settings.groups))
        self.joint = _convolution(width, width)
        self.widen = _convolution(width, FACTOR**2 * width)
        self.exit = _convolution(width, len(BANDS))

    def forward(self, images: Tensor) -> Tensor:
        """What the last layer makes of the images; see `Joint` for what it means."""
        entered = self.entry(images)
        features = entered
        for group in self.groups:
            features = group(features)
        features = self.joint(features) + entered
        return self.exit(functional.pixel_shuffle(self.widen(features), FACTOR))  # type: ignore[no-any-return]


class Joint(nn.Module):
    """Super-resolution and alignment in one: (n, 4, y, x) as recorded to (n, 4, 2 y, 2 x).

    The answer lies where the first detector's B03 saw the ground. Gain and offset of the input
    come through, up to the floor of `window_statistics`.
    """

    def __init__(
        self, rec: RecNetwork, csr: FlowNetwork | None, polish: PolishSettings = WHOLE
    ) -> None:
        super().__init__()
        self.polish = polish
        if rec.settings.aligned != (csr is not None):
            raise InvalidInput("a REC that is given aligned bands needs a CSR, any other none")
        self.rec, self.csr = rec, csr

    def forward(self, bands: Tensor) -> Tensor:
        """Reflectance in the order of `BANDS`."""
        if self.csr is None:
            gain = self.rec.settings.gain
            whole: Tensor = self.rec(bands * gain) / gain
            return whole
        flows = band_flows(self.csr, bands, BANDS, settings=self.polish)
        return sharpened(self.rec, bands, flows)


def sharpened(rec: RecNetwork, bands: Tensor, flows: Tensor) -> Tensor:
    """(n, 4, 2 y, 2 x) from `bands` (n, 4, y, x) and `flows` (n, 4, 2, y, x) from B03 to each."""
    count, _, height, width = bands.shape
    flat, each = flows.flatten(0, 1), bands.flatten(0, 1)[:, None]
    aligned = warp(each, flat, "bicubic").reshape(bands.shape)
    finer = warp_finer(each, flat, FACTOR, "bicubic")
    finer = finer.reshape(count, len(BANDS), FACTOR * height, FACTOR * width)
    mean, deviation = window_statistics(aligned)
    turns = 2 * torch.pi * flows[:, list(MOVED)].flatten(1, 2)
    seen = [(aligned - mean) / deviation, torch.sin(turns), torch.cos(turns)]
    detail = rec(torch.cat(seen, dim=1))
    # Nothing is added where nothing varies, whatever the floor of the deviation.
    varied = (deviation - 0.01 * mean.abs()).clamp_min(0)
    size = functional.interpolate(varied, scale_factor=FACTOR, mode="bilinear")
    sharp: Tensor = finer + detail * size
    return sharp


def operations_per_px(settings: RecSettings) -> float:
    """Floating-point operations of REC for one input pixel, two for each multiplication.

    Convolutions only: activations and attention's means are below a hundredth of them.
    """
    width, channels = settings.features, len(BANDS) + (PHASES if settings.aligned else 0)
    inner = settings.groups * (2 * settings.blocks + 1) + 1
    per_px = 9 * (channels * width + inner * width**2 + FACTOR**2 * width**2)
    per_px += FACTOR**2 * 9 * width * len(BANDS)
    return 2.0 * per_px


class _Group(nn.Module):
    """Blocks, a convolution, and what came in."""

    def __init__(self, settings: RecSettings) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(settings) for _ in range(settings.blocks))
        self.joint = _convolution(settings.features, settings.features)

    def forward(self, features: Tensor) -> Tensor:
        """Features of the same shape."""
        inner = features
        for block in self.blocks:
            inner = block(inner)
        joined: Tensor = self.joint(inner) + features
        return joined


class _Block(nn.Module):
    """Two convolutions, whose channels are weighed by what their neighbourhood holds."""

    def __init__(self, settings: RecSettings) -> None:
        super().__init__()
        width = settings.features
        self.first, self.second = _convolution(width, width), _convolution(width, width)
        self.squeeze = nn.Conv2d(width, width // settings.reduction, 1)
        self.excite = nn.Conv2d(width // settings.reduction, width, 1)
        self._radius_px = settings.attention_px

    def forward(self, features: Tensor) -> Tensor:
        """Features of the same shape."""
        inner = self.second(functional.relu(self.first(features)))
        if self._radius_px:
            around = window_mean(inner, self._radius_px)
        else:
            around = inner.mean(dim=(-2, -1), keepdim=True)
        weight = torch.sigmoid(self.excite(functional.relu(self.squeeze(around))))
        weighed: Tensor = inner * weight + features
        return weighed


def _convolution(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1)
