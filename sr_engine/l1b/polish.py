"""The last tenths of a pixel of a flow, by least squares.

Lucas and Kanade's step (IJCAI 1981) from where CSR's flow leads, dense: what is left between the
reference and the band as aligned so far is one small shift within a window around each pixel. The
bands differ in brightness, so gain and offset are free in every neighbourhood of 11 px and
eliminated from the normal equations, as `datacube.local_registration` does it. Windows are wide
and low: the platform sways, and moves whole rows.
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement

import torch
from torch import Tensor
from torch.nn import functional

from sr_engine.l1b.flow_network import box_mean, window_mean
from sr_engine.l1b.warp import composed, warp

SMOOTHING = (0.0545, 0.2442, 0.4026, 0.2442, 0.0545)  # a Gaussian of 1 px
NEIGHBOURHOOD_PX = 5
LONGEST_STEP_PX = 0.5
NOISE = 2e-4  # of the standardised image's variance: what no band explains of another
RIM_PX = 4  # smoothing, slopes and the interpolation


@dataclass(frozen=True)
class PolishSettings:
    """Radii of the window that shares one shift, and how often it is found; 0 steps for none."""

    rows_px: int = 12
    columns_px: int = 40
    steps: int = 3

    @property
    def radius_px(self) -> int:
        """How far a value looks."""
        window = 2 * max(self.rows_px, self.columns_px)
        return window + self.steps * (window + NEIGHBOURHOOD_PX + RIM_PX)


def polished(
    references: Tensor, moving: Tensor, flow: Tensor, settings: PolishSettings | None = None
) -> Tensor:
    """The flow (n, 2, y, x) with what is left of it added; images are in any unit.

    `references` (n, k, y, x) are k bands that lie on one another, all of which `moving`
    (n, 1, y, x) is to fit.
    """
    chosen = settings or PolishSettings()
    if not chosen.steps:
        return flow
    fixed = _smoothed(references)
    flow = _window_mean(flow, chosen)
    for _ in range(chosen.steps):
        step = _step(fixed, _smoothed(warp(moving, flow, "bicubic")), chosen)
        flow = composed(step, flow)
    return flow


def _step(references: Tensor, moved: Tensor, settings: PolishSettings) -> Tensor:
    """The shift (n, 2, y, x) as (dx, dy) after which `moved` fits best."""
    across, down = _slopes(moved)
    cov = _covariances([moved, references, across, down])
    scale = cov[1, 1].mean(dim=(-2, -1), keepdim=True) + 1e-12
    variance = cov[0, 0] + NOISE * cov[0, 0].mean(dim=(-2, -1), keepdim=True) + 1e-12
    gain = cov[0, 1] / variance
    # Between weighing by inverse variance and not at all: a window that changed counts less.
    unexplained = torch.maximum(cov[1, 1] - gain * cov[0, 1], NOISE * scale)
    weight = torch.rsqrt(unexplained / scale) / scale

    def summed(values: Tensor) -> Tensor:
        return _window_mean((weight * values).sum(dim=1, keepdim=True), settings)

    right = [summed(gain * (cov[1, i] - gain * cov[0, i])) for i in (2, 3)]
    normal = {
        (i, j): summed(gain**2 * (cov[i, j] - cov[0, i] * cov[0, j] / variance))
        for i, j in ((2, 2), (2, 3), (3, 3))
    }
    # A ridge, so that flat windows and those of parallel edges stay where they are.
    ridge = 0.01 * (normal[2, 2] + normal[3, 3]) + 1e-9
    xx, yy, xy = normal[2, 2] + ridge, normal[3, 3] + ridge, normal[2, 3]
    determinant = xx * yy - xy**2
    dx = (yy * right[0] - xy * right[1]) / determinant
    dy = (xx * right[1] - xy * right[0]) / determinant
    return torch.cat([dx, dy], dim=1).clamp(-LONGEST_STEP_PX, LONGEST_STEP_PX)


def _covariances(images: list[Tensor]) -> dict[tuple[int, int], Tensor]:
    """Within the neighbourhood of each pixel, of each pair of images (first index lower)."""
    centred = [image - window_mean(image, NEIGHBOURHOOD_PX) for image in images]
    return {
        (i, j): window_mean(centred[i] * centred[j], NEIGHBOURHOOD_PX)
        for i, j in combinations_with_replacement(range(len(images)), 2)
    }


def _window_mean(values: Tensor, settings: PolishSettings) -> Tensor:
    """Mean over the window that shares one shift, of the pixels that exist."""
    # Twice, which makes a triangle of a box: a box has frequencies that it turns round, and
    # steps would add to such an error instead of taking it away.
    once = box_mean(values, settings.rows_px, settings.columns_px)
    return box_mean(once, settings.rows_px, settings.columns_px)


def _smoothed(image: Tensor) -> Tensor:
    """Above half of Nyquist there is more aliasing and noise than signal."""
    taps = torch.tensor(SMOOTHING, device=image.device, dtype=image.dtype)
    bands = image.shape[1]
    padded = functional.pad(image, (2, 2, 2, 2), mode="replicate")
    down = functional.conv2d(padded, taps[:, None].expand(bands, 1, -1, 1), groups=bands)
    return functional.conv2d(down, taps.expand(bands, 1, 1, -1), groups=bands)


def _slopes(image: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences across and down."""
    padded = functional.pad(image, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return across, down
