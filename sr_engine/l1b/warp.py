"""Moving images by dense flows, differentiably.

One convention everywhere: a flow is (n, 2, y, x) as (dx, dy) in pixels of the image that is
moved, and warping is backward: the answer at pixel p is the image at p + flow(p). So
`warp(moving, flow)` lies on the reference when `flow` says where in `moving` the reference's
pixels are to be found. Pixel centres are whole numbers; what is asked beyond the edge is the
edge's own value. "bicubic" is cubic convolution with a = -3/4, which is torch's: it places a
slope up to 0.05 px wrong, at a quarter of a pixel.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Interpolation = Literal["bilinear", "bicubic"]


def warp(images: Tensor, flow: Tensor, interpolation: Interpolation = "bilinear") -> Tensor:
    """`images` (n, band, y, x) at the places that `flow` (n, 2, rows, columns) points to.

    A flow of another size than the images asks for as many pixels from the upper left corner.
    """
    rows, columns = flow.shape[-2:]
    y = torch.arange(rows, device=flow.device, dtype=flow.dtype)[:, None]
    x = torch.arange(columns, device=flow.device, dtype=flow.dtype)
    return sampled(images, x + flow[:, 0], y + flow[:, 1], interpolation)


def warp_finer(
    images: Tensor, flow: Tensor, factor: int, interpolation: Interpolation = "bicubic"
) -> Tensor:
    """`images` warped by `flow`, on a grid `factor` times finer that covers the same pixels.

    One interpolation does both. `flow` (n, 2, y, x) is in pixels of the images.
    """
    fine = finer_flow(flow, factor)
    rows, columns = fine.shape[-2:]
    y = (torch.arange(rows, device=flow.device, dtype=flow.dtype)[:, None] + 0.5) / factor - 0.5
    x = (torch.arange(columns, device=flow.device, dtype=flow.dtype) + 0.5) / factor - 0.5
    return sampled(images, x + fine[:, 0], y + fine[:, 1], interpolation)


def finer_flow(flow: Tensor, factor: int) -> Tensor:
    """The flow at the centres of finer pixels; its values stay in pixels of the coarse grid."""
    return functional.interpolate(flow, scale_factor=factor, mode="bilinear", align_corners=False)


def sampled(images: Tensor, x: Tensor, y: Tensor, interpolation: Interpolation) -> Tensor:
    """`images` (n, band, y, x) at points `x` and `y` (n, rows, columns), in pixels."""
    height, width = images.shape[-2:]
    # grid_sample counts from -1 to 1 between the centres of the outer pixels.
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], dim=-1)
    return functional.grid_sample(
        images, grid, mode=interpolation, padding_mode="border", align_corners=True
    )


def composed(first: Tensor, then: Tensor) -> Tensor:
    """The flow that points where `then` does, from where `first` points to.

    If `first` leads from a to b and `then` from b to c, the answer leads from a to c.
    """
    return first + warp(then, first)


def inverse(flow: Tensor, steps: int = 4) -> Tensor:
    """The flow that leads back, for one whose slope is well below one."""
    back = -flow
    for _ in range(steps):
        back = -warp(flow, back)
    return back
