"""What is to be explained: a model, the pixels it sees, and the window in question.

Pixels come in as they do for a block: a rim of no data, and gaps, are filled the same way, so
that what is explained is what is shown.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from datacube import Grid, Window
from datacube.errors import InvalidInput
from sr_engine.gaps import filled
from sr_engine.model import DifferentiableModel, PatchModel, Reflectance

MAX_SIDE_PX = 256  # of a window: a map of more is a saliency layer


class Imagery(Protocol):
    """One date of one place, as `sr_engine.scenes` opens a file or a cube's date."""

    @property
    def grid(self) -> Grid:
        """Where its pixels lie."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of its bands."""

    def read(self, bands: tuple[str, ...], window: Window, rim_px: int) -> Reflectance:
        """(band, y, x) of a window and a rim; NaN where there is no data, and beyond the edge."""


@dataclass(frozen=True, eq=False)
class Case:
    """A window, and the patch that the model makes it from.

    `patch` (band, y + 2 halo, x + 2 halo) has no NaN; `missing`, of the same shape, says where
    a filled value stands in for no data.
    """

    model: PatchModel
    bands: tuple[str, ...]
    window: Window
    patch: Reflectance
    missing: NDArray[np.bool_]

    @property
    def halo_px(self) -> int:
        """How far around the window the patch reaches."""
        return self.model.card.halo_px

    @property
    def factor(self) -> int:
        """How many times finer the answer is."""
        return self.model.card.factor

    @property
    def inner(self) -> Window:
        """The window, as seen from the patch."""
        return Window(self.halo_px, self.halo_px, self.window.height, self.window.width)

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Pixels (band, y, x) of the window that have data."""
        return ~self.missing[:, *self.inner.slices]


def window_around(grid: Grid, row: float, col: float, size_px: int) -> Window:
    """The square of `size_px` pixels whose middle is nearest to a place on the grid.

    It may reach beyond the edge. Raises InvalidInput where the place itself lies outside, or for
    a size that cannot be.
    """
    if not 1 <= size_px <= MAX_SIDE_PX:
        raise InvalidInput(f"need a window of 1 to {MAX_SIDE_PX} pixels a side, got {size_px}")
    height, width = grid.shape
    if not (0 <= row < height and 0 <= col < width):
        left, bottom, right, top = (round(edge, 3) for edge in grid.bounds)
        raise InvalidInput(
            f"the place lies outside the scene, at row {row:.1f}, column {col:.1f} of {height} x "
            f"{width} pixels; it covers x {left}..{right} and y {bottom}..{top} in {grid.crs[:40]}"
        )
    top, left = (math.floor(place - size_px / 2 + 0.5) for place in (row, col))
    return Window(top, left, size_px, size_px)


def open_case(imagery: Imagery, model: PatchModel, window: Window) -> Case:
    """Read what the model sees of a window.

    Raises InvalidInput for bands that the image lacks, or a window without any data.
    """
    card = model.card
    bands = card.bands or imagery.bands
    lacking = [name for name in bands if name not in imagery.bands]
    if lacking:
        raise InvalidInput(
            f"{card.id} needs band {', '.join(lacking)}; the image has {', '.join(imagery.bands)}"
        )
    # Twice the halo, as for a block: a gap at the rim is filled from beyond it.
    wide = imagery.read(bands, window, 2 * card.halo_px)
    inside = Window(
        card.halo_px, card.halo_px, *(side - 2 * card.halo_px for side in wide.shape[1:])
    )
    case = Case(
        model,
        bands,
        window,
        np.ascontiguousarray(filled(wide, card.halo_px)[:, *inside.slices]),
        np.isnan(wide)[:, *inside.slices],
    )
    if not case.shown.any():
        raise InvalidInput(
            f"the window at row {window.row}, column {window.col} holds no data at all; choose "
            "another place or date"
        )
    return case


def differentiable(model: PatchModel) -> DifferentiableModel:
    """The model, if its gradients can be had; raises InvalidInput otherwise."""
    if isinstance(model, DifferentiableModel):
        return model
    raise InvalidInput(
        f"{model.card.id} gives no gradients (it runs from ONNX alone, perhaps); explain it by "
        "occlusion instead"
    )
