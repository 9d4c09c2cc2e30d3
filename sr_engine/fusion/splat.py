"""A scene as a regular grid of Gaussians, integrated exactly over shifted pixels.

A Gaussian splat blurred by a Gaussian PSF is a wider Gaussian, and its integral over a
square pixel separates into two differences of erf, one per axis. On a regular grid every
pixel sees the same splats around it, so both axes are strided convolutions; a grid coarser
than the pixels is two small matrix products instead.

Positions are in observed (LR) pixels from the outer corner of the first; `spacing` is the
distance of splats, and the grid reaches `MARGIN_PX` beyond the image on every side.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

MARGIN_PX = 4  # more than five standard deviations of any band's splat and PSF together
SPLAT_SIGMA = 0.5  # of a splat, in spacings: neighbours overlap without hiding detail


@dataclass(frozen=True)
class SplatGrid:
    """A grid over `shape` (height, width) pixels, `per_px` splats a pixel (a power of two)."""

    shape: tuple[int, int]
    per_px: float

    @property
    def spacing(self) -> float:
        """Distance between splats in pixels."""
        return 1 / self.per_px

    @property
    def counts(self) -> tuple[int, int]:
        """Splats along y and x."""
        height, width = (math.ceil((n + 2 * MARGIN_PX) * self.per_px) for n in self.shape)
        return height, width

    def positions(self, axis: int) -> torch.Tensor:
        """Centres of the splats along an axis (0 is y)."""
        return (torch.arange(self.counts[axis]) + 0.5) * self.spacing - MARGIN_PX


class SplatField(nn.Module):
    """Weights (band, ky, kx) of splats and shifts (date, 2) of the dates that saw them.

    `sigmas_px` is the PSF's Gaussian width of each band, before the pixel box. Of the shifts
    only differences from the first date given as unshifted count: a drift common to all is
    no more than a moved scene, and an optimiser left free takes it for half a pixel.
    """

    sigmas_px: torch.Tensor

    def __init__(
        self,
        grid: SplatGrid,
        weights: torch.Tensor,
        shifts_px: torch.Tensor,
        sigmas_px: torch.Tensor,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.weights = nn.Parameter(weights)
        self.shifts_px = nn.Parameter(shifts_px)
        self.register_buffer("sigmas_px", sigmas_px)
        self.anchor = int(shifts_px.abs().sum(dim=1).argmin())

    def forward(self) -> torch.Tensor:
        """What the dates observe: (date, band, y, x)."""
        if self.grid.per_px < 1:
            return self._by_matrices()
        return self._by_convolution()

    def anchored_shifts(self) -> torch.Tensor:
        """(date, 2) shifts relative to the date that holds the grid."""
        return self.shifts_px - self.shifts_px[self.anchor]

    def render(self, factor: int) -> torch.Tensor:
        """The scene without PSF on pixels `factor` times finer: (band, y * f, x * f)."""
        sigma = torch.tensor([SPLAT_SIGMA * self.grid.spacing])
        sides = []
        for axis in (0, 1):
            left = torch.arange(self.grid.shape[axis] * factor) / factor
            near = left[:, None] - self.grid.positions(axis)
            # Per axis: times the spacing, so that weights are densities; over the pixel's width.
            scale = self.grid.spacing * factor
            sides.append(scale * box_of_gaussian(near, 1 / factor, sigma))
        return sides[0] @ self.weights @ sides[1].T

    def dense(self) -> torch.Tensor:
        """The same as `forward` by the double sum over every splat and pixel: for tests."""
        sigma = self._widths()
        down = self._near(0)[:, None]
        across = self._near(1)[:, None]
        rows = box_of_gaussian(down, 1.0, sigma[:, None, None])
        cols = box_of_gaussian(across, 1.0, sigma[:, None, None])
        scale = self.grid.spacing**2
        return scale * torch.einsum("tbik,tbjl,bkl->tbij", rows, cols, self.weights)

    def finer(self, per_px: float) -> "SplatField":
        """The same scene on a finer grid, weights interpolated."""
        grid = SplatGrid(self.grid.shape, per_px)
        ratio = per_px / self.grid.per_px
        weights = functional.interpolate(
            self.weights.detach()[None], scale_factor=ratio, mode="bilinear", align_corners=False
        )[0]
        weights = weights[:, : grid.counts[0], : grid.counts[1]].contiguous()
        return SplatField(grid, weights, self.anchored_shifts().detach(), self.sigmas_px)

    def _widths(self) -> torch.Tensor:
        """Effective sigma of each band: splat and PSF together."""
        splat = SPLAT_SIGMA * self.grid.spacing
        return torch.sqrt(splat**2 + self.sigmas_px**2)

    def _near(self, axis: int) -> torch.Tensor:
        """(date, pixel, splat): left edge of the pixel's footprint, seen from the splat."""
        left = torch.arange(self.grid.shape[axis])[None, :, None]
        shifts = self.anchored_shifts()[:, axis, None, None]
        return left - shifts - self.grid.positions(axis)

    def _by_matrices(self) -> torch.Tensor:
        sigma = self._widths()[:, None, None]
        rows = box_of_gaussian(self._near(0)[:, None], 1.0, sigma)
        cols = box_of_gaussian(self._near(1)[:, None], 1.0, sigma)
        return self.grid.spacing**2 * (rows @ self.weights @ cols.transpose(-1, -2))

    def _by_convolution(self) -> torch.Tensor:
        step, (dates, bands) = int(self.grid.per_px), (len(self.shifts_px), len(self.weights))
        height, width = self.grid.shape
        # The splats of pixel 0, and by translation of every pixel: all within the margin.
        near = -self.grid.positions(0)[: (2 * MARGIN_PX + 1) * step]
        shifts = self.anchored_shifts()
        down, across = (
            box_of_gaussian(near - shifts[:, None, axis, None], 1.0, self._widths()[:, None])
            for axis in (0, 1)
        )
        rows = functional.conv2d(
            self.weights[None] * self.grid.spacing**2,
            down.transpose(0, 1).reshape(bands * dates, 1, -1, 1),
            stride=(step, 1),
            groups=bands,
        )
        both = functional.conv2d(
            rows,
            across.transpose(0, 1).reshape(bands * dates, 1, 1, -1),
            stride=(1, step),
            groups=bands * dates,
        )
        return both.reshape(bands, dates, height, width).transpose(0, 1)


def box_of_gaussian(left: torch.Tensor, width: float, sigma: torch.Tensor) -> torch.Tensor:
    """Integral of a centred unit Gaussian over [left, left + width]."""
    scale = 1 / (math.sqrt(2) * sigma)
    return 0.5 * (torch.erf((left + width) * scale) - torch.erf(left * scale))
