"""What training without truth minimises: how unlike two images of the same ground are."""

import torch
from torch import Tensor

from sr_engine.l1b.flow_network import window_mean

CHARBONNIER = 1e-2  # below this difference of standardised values the loss is quadratic
CORRELATION_RADIUS_PX = 5
FLAT = 1e-2  # variance of standardised values below which a window tells nothing


def charbonnier(difference: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of a smooth absolute value; `weight` broadcasts against `difference`."""
    value = torch.sqrt(difference**2 + CHARBONNIER**2) - CHARBONNIER
    return weighted_mean(value, weight)


def decorrelation(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Mean of 1 - r^2, r being the correlation within windows of 11 px (n, 1, y, x).

    Squared, because a field is brighter than its neighbour in one band and darker in the next:
    edges coincide even where contrast is reversed. Windows without texture hardly count.
    """
    radius = CORRELATION_RADIUS_PX
    one, two = first - window_mean(first, radius), second - window_mean(second, radius)
    power_one, power_two = window_mean(one**2, radius), window_mean(two**2, radius)
    both = window_mean(one * two, radius)
    explained = both**2 / ((power_one + FLAT) * (power_two + FLAT))
    return weighted_mean(1 - explained, weight)


def roughness(flow: Tensor) -> Tensor:
    """Mean absolute second difference of a flow along rows and columns, in px per px^2."""
    down = flow[..., 2:, :] - 2 * flow[..., 1:-1, :] + flow[..., :-2, :]
    across = flow[..., 2:] - 2 * flow[..., 1:-1] + flow[..., :-2]
    return down.abs().mean() + across.abs().mean()


def steepness(flow: Tensor) -> Tensor:
    """Mean absolute first difference of a flow along rows and columns, in px per px."""
    return flow.diff(dim=-2).abs().mean() + flow.diff(dim=-1).abs().mean()


def inside(flow: Tensor, rim_px: float = 2.0) -> Tensor:
    """(n, 1, y, x): 1 where the flow points into the image, off its rim, and 0 elsewhere."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device) + flow[:, :1]
    y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1:]
    across = (x >= rim_px) & (x <= width - 1 - rim_px)
    down = (y >= rim_px) & (y <= height - 1 - rim_px)
    return (across & down).to(flow.dtype).detach()


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of `values` where `weight` is; zero where nothing is weighed."""
    whole = weight.expand_as(values)
    return (values * whole).sum() / whole.sum().clamp_min(1.0)
