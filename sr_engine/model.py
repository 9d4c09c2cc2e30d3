"""The interfaces every model of srcube has, ours and everybody else's.

A patch model sees one date and nothing beyond its halo. A series model sees the dates around
the one shown, and settles what they have in common before it computes a block.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from datacube import Cube, Window
from datacube.cube import CommittedScene
from datacube.store.layout import PlaneSpec
from sr_engine.card import ModelCard

if TYPE_CHECKING:
    from torch import nn

Reflectance = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prediction:
    """A super-resolved window: `reflectance` (band, y, x) and `planes` (y, x) by their names.

    NaN where there is no data. Planes are in the units of their `PlaneSpec`, but for lengths,
    which a patch model gives in pixels of its input; they become metres with the cube's grid.
    """

    reflectance: Reflectance
    planes: Mapping[str, Reflectance]


class Model(Protocol):
    """What is known of any model."""

    @property
    def card(self) -> ModelCard:
        """What the model is."""

    @property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """What it tells beside the reflectance."""


@runtime_checkable
class PatchModel(Model, Protocol):
    """Turns a padded patch of one date into a finer one; a pure function of its input."""

    def predict(
        self, patch: Reflectance, bands: tuple[str, ...], *, planes: Collection[str] = ()
    ) -> Prediction:
        """Super-resolve the middle of a patch.

        `patch`: (band, y + 2 halo, x + 2 halo) reflectance without NaN, float32; the answer is
        (band, factor y, factor x). `planes` names those of `self.planes` to tell as well, which
        may cost more than the image itself. Values depend on nothing further than the halo, so
        that pixels of adjoining patches agree. Raises InvalidInput for bands it was not made for.
        """


@runtime_checkable
class DifferentiableModel(PatchModel, Protocol):
    """A patch model whose gradients can be had: what explanation by gradients asks for."""

    def module(self, bands: tuple[str, ...]) -> "nn.Module":
        """The model as a torch module, float32 and in evaluation mode.

        It turns (n, band, y + 2 halo, x + 2 halo) reflectance into (n, band, factor y, factor x),
        the same numbers as `predict`. Raises InvalidInput for bands it was not made for.
        """


@runtime_checkable
class SeriesModel(Model, Protocol):
    """Turns several dates of a cube into a finer image of one of them."""

    def choose(self, cube: Cube, slot: int) -> tuple[CommittedScene, ...]:
        """The dates to use for the one in `slot`, that one included, in order of time."""

    def predict_window(self, cube: Cube, slot: int, window: Window) -> Prediction:
        """Super-resolve a window of the measured grid for the date in `slot`.

        The same pixels whatever window they are asked in, and in whatever order. Depends on
        all dates of the cube, hence on its generation.
        """


@runtime_checkable
class RimmedModel(SeriesModel, Protocol):
    """A series model that can also tell what lies around one block, at little more cost."""

    def predict_block(self, cube: Cube, slot: int, window: Window, rim_px: int) -> Prediction:
        """Super-resolve one block and `rim_px` measured pixels around it, NaN beyond the scene.

        Within the block the pixels are those of `predict_window`; in the rim they may differ
        from the neighbouring block's by less than the sensor's noise.
        """
