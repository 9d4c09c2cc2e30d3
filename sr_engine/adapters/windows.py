"""Networks that take images of one size only, made to answer for any.

The image is cut into cells; each cell is the middle of a window of the size that the network
wants, and the rim around it is thrown away. What such a network makes of a pixel depends on the
whole window (transforms, statistics), so that cells have to lie where they lay before: they are
counted from the block's corner, and blocks begin at multiples of a cell.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from datacube.errors import InvalidInput
from datacube.store.layout import PlaneSpec
from sr_engine.card import ModelCard
from sr_engine.model import Prediction, Reflectance

WINDOW_PX = 128
RIM_PX = 32
CELL_PX = WINDOW_PX - 2 * RIM_PX  # divides the blocks of cubes and of files

Run = Callable[[Reflectance], Reflectance]  # (band, 128, 128) to (band, 128 factor, 128 factor)


@dataclass(frozen=True, eq=False)
class WindowedModel:
    """A patch model from a network for windows of 128 px, its bands in the order `order`.

    `load` gives the network when it is first needed.
    """

    card: ModelCard
    order: tuple[str, ...]
    load: Callable[[], Run]

    @property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """Nothing beside the reflectance."""
        return ()

    def predict(
        self,
        patch: Reflectance,
        bands: tuple[str, ...],
        *,
        planes: Collection[str] = (),  # noqa: ARG002 (it has none)
    ) -> Prediction:
        """Super-resolve cell by cell; see `PatchModel.predict`."""
        _check(self.card, patch, bands)
        ordered = patch[[bands.index(name) for name in self.order]]
        fine = _by_cells(ordered, self.load(), self.card.factor)
        return Prediction(fine[[self.order.index(name) for name in bands]], {})


def _by_cells(patch: Reflectance, run: Run, factor: int) -> Reflectance:
    """(band, y + 2 rim, x + 2 rim) to (band, factor y, factor x)."""
    height, width = (size - 2 * RIM_PX for size in patch.shape[1:])
    missing = [-size % CELL_PX for size in (height, width)]
    # Beyond the halo nothing is known: the edge goes on, and is thrown away behind the network.
    whole = np.pad(patch, ((0, 0), (0, missing[0]), (0, missing[1])), mode="edge")
    shape = (len(patch), (height + missing[0]) * factor, (width + missing[1]) * factor)
    fine: Reflectance = np.empty(shape, np.float32)
    rim, cell = RIM_PX * factor, CELL_PX * factor
    for row in range(0, height, CELL_PX):
        for col in range(0, width, CELL_PX):
            window = whole[:, row : row + WINDOW_PX, col : col + WINDOW_PX]
            made = run(np.ascontiguousarray(window))
            top, left = row * factor, col * factor
            fine[:, top : top + cell, left : left + cell] = made[
                :, rim : rim + cell, rim : rim + cell
            ]
    return fine[:, : height * factor, : width * factor]


def _check(card: ModelCard, patch: Reflectance, bands: tuple[str, ...]) -> None:
    if sorted(bands) != sorted(card.bands):
        raise InvalidInput(
            f"{card.id} was made for {', '.join(card.bands)}, got {', '.join(bands)[:80]}"
        )
    if patch.shape[0] != len(bands) or min(patch.shape[1:]) <= 2 * RIM_PX:
        raise InvalidInput(
            f"need a patch of {len(bands)} bands, larger than twice the halo of {RIM_PX} px, got "
            f"{patch.shape}"
        )
