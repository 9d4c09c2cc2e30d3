"""The interface every model of srcube has, ours and everybody else's."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sr_engine.card import ModelCard

Reflectance = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Influence:
    """What each output pixel owes to pixels other than the one it lies in.

    `strength`: sum over neighbours of the absolute change of reflectance they caused, float32
    (y, x), mean over bands. `reach_px`: their mean distance weighted by it, in input pixels.
    """

    strength: Reflectance
    reach_px: Reflectance


class Model(Protocol):
    """Turns a padded patch into a finer one; a pure function of its input."""

    @property
    def card(self) -> ModelCard:
        """What the model is."""

    def predict(self, patch: Reflectance, bands: tuple[str, ...]) -> Reflectance:
        """Super-resolve the middle of a patch.

        `patch`: (band, y + 2 halo, x + 2 halo) reflectance without NaN, float32; returns
        (band, factor y, factor x). Values depend on nothing further than the halo, so that
        pixels of adjoining patches agree. Raises InvalidInput for bands it was not made for.
        """

    def influence(self, patch: Reflectance, bands: tuple[str, ...]) -> Influence:
        """How far, and how strongly, each output pixel draws on its neighbours."""
