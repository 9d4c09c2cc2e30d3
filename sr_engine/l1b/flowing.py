"""Pairs with their flows found: what REC's training is given instead of any truth.

CSR stays as it is while REC learns, so the flows are found once, on whole views, where they are
best known, and cut out, turned and mirrored with the pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datacube.errors import InvalidInput
from sr_engine.l1b.align import band_flows, flow_to
from sr_engine.l1b.flow_network import FlowNetwork
from sr_engine.l1b.views import BANDS, REFERENCE_INDEX
from sr_engine.l1b.warp import composed, inverse

Image = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Example:
    """`own` view and `other` view (n, 4, y, x), and flows (n, 4, 2, y, x).

    `aligning` lead from `own`'s B03 to each of its bands, `foretelling` from each of `other`'s
    bands to `own`'s B03.
    """

    own: Tensor
    other: Tensor
    aligning: Tensor
    foretelling: Tensor


def with_flows(csr: FlowNetwork, views: Image) -> Example:
    """Both views (2, 4, y, x) of a pair, each once in the place of `own`: n is 2."""
    with torch.inference_mode():
        bands = torch.from_numpy(views)
        aligning = band_flows(csr, bands, BANDS)
        anchor = bands[:, [REFERENCE_INDEX]]
        across = flow_to(csr, anchor[:1], 0, anchor[1:])  # from the first B03 to the second
        there = torch.cat([inverse(across), across])  # from the other's B03 to the own one
        foretelling = [
            composed(inverse(aligning[[1, 0], band]), there) for band in range(len(BANDS))
        ]
        return Example(bands, bands[[1, 0]], aligning, torch.stack(foretelling, dim=1))


class ExamplePatches:
    """Patches of examples, drawn at random; pixels and flows are turned together."""

    def __init__(self, examples: list[Example]) -> None:
        if not examples:
            raise InvalidInput("need at least one pair to train on, got none")
        self._examples = examples

    def draw(self, rng: np.random.Generator, count: int, side_px: int) -> Example:
        """`count` patches of `side_px`."""
        drawn = [self._one(rng, side_px) for _ in range(count)]
        return Example(*(torch.stack(parts) for parts in zip(*drawn, strict=True)))

    def _one(self, rng: np.random.Generator, side_px: int) -> tuple[Tensor, ...]:
        example = self._examples[int(rng.integers(len(self._examples)))]
        which = int(rng.integers(2))
        height, width = example.own.shape[-2:]
        if min(height, width) < side_px:
            raise InvalidInput(
                f"a pair of {height}x{width} px is smaller than patches of {side_px} px; "
                "ask for smaller ones"
            )
        row = int(rng.integers(height - side_px + 1))
        col = int(rng.integers(width - side_px + 1))
        turn = tuple(bool(one) for one in rng.integers(2, size=3))
        cut = (..., slice(row, row + side_px), slice(col, col + side_px))
        return (
            turned(example.own[which][cut], turn),
            turned(example.other[which][cut], turn),
            turned_flow(example.aligning[which][cut], turn),
            turned_flow(example.foretelling[which][cut], turn),
        )


def turned(image: Tensor, turn: tuple[bool, ...]) -> Tensor:
    """(..., y, x) transposed, mirrored down and mirrored across, each or not."""
    transposed, down, across = turn
    image = image.transpose(-2, -1) if transposed else image
    image = image.flip(-2) if down else image
    return image.flip(-1) if across else image


def turned_flow(flow: Tensor, turn: tuple[bool, ...]) -> Tensor:
    """(..., 2, y, x) turned as `turned` turns the images it belongs to."""
    transposed, down, across = turn
    flow = turned(flow, turn)
    flow = flow.flip(-3) if transposed else flow
    signs = flow.new_tensor([-1.0 if across else 1.0, -1.0 if down else 1.0])
    return flow * signs[:, None, None]
