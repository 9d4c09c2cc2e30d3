"""One block of a scene: read with its halo, super-resolved, and encoded as it will be kept.

Blocks lie on the scene's own grid and depend on nothing beyond their halo, so that the pixels
are the same however the scene is cut.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from datacube import Grid, Window
from datacube.bands import SENTINEL2
from datacube.cog import STRIP_PX
from datacube.errors import InvalidInput
from datacube.scene import dn_from_reflectance
from datacube.sources.refusals import BandMissing
from datacube.store.layout import PlaneSpec
from sr_engine.blocks import predict_patch
from sr_engine.model import Model, PatchModel, Prediction, Reflectance, SeriesModel
from sr_engine.scenes.companions import Extras, MadeBlock
from sr_engine.scenes.source import CubeScene, SceneSource

NOMINAL_GSD_M = 10.0


@dataclass(frozen=True, eq=False)
class Recipe:
    """How every block of one scene is made: which bands, by which model, and what beside."""

    source: SceneSource
    model: Model
    bands: tuple[str, ...]
    extras: Extras

    @property
    def factor(self) -> int:
        """How many times finer the result is."""
        return self.model.card.factor

    @property
    def layers(self) -> tuple[tuple[str, PlaneSpec | None], ...]:
        """What a block holds, in order: each band, then each plane with whose it is."""
        return (*((band, None) for band in self.bands), *self.extras.layers())

    def windows(self) -> list[Window]:
        """The blocks, row by row: each as large as is written to a COG at a time."""
        height, width = self.source.grid.shape
        size = STRIP_PX // self.factor
        return [
            Window(row, col, size, size).within((height, width))
            for row in range(0, height, size)
            for col in range(0, width, size)
        ]

    def make(self, window: Window) -> NDArray[np.uint16]:
        """Numbers (layer, factor y, factor x) of a block; 0 where there is no data."""
        halo = self.extras.halo_px
        made = self._predict(window.grown(halo))
        told = {name: _cropped(made.planes[name], halo * self.factor) for name in made.planes}
        fine = dn_from_reflectance(_cropped(made.reflectance, halo * self.factor))
        told |= self._companions(window, made)
        planes = [plane.encode(told[plane.name]) for _, plane in self.extras.layers()]
        return np.concatenate([fine, np.stack(planes)]) if planes else fine

    def _predict(self, window: Window) -> Prediction:
        model, source = self.model, self.source
        if isinstance(model, PatchModel):
            patch = source.read(self.bands, window, 2 * model.card.halo_px)
            return predict_patch(
                model, patch, self.bands, self.extras.asked, gsd_m=gsd_in_metres(source)
            )
        if not (isinstance(model, SeriesModel) and isinstance(source, CubeScene)):
            raise InvalidInput(
                f"{model.card.id} takes several dates of a cube, and {source.name} is one image; "
                "name a cube, or a model of one date"
            )
        return _within_scene(model, source, window)

    def _companions(self, window: Window, made: Prediction) -> Mapping[str, Reflectance]:
        told: dict[str, Reflectance] = {}
        furthest = self.extras.halo_px
        for _, companion in self.extras.companions:
            halo = companion.halo_px
            cut = (furthest - halo) * self.factor
            seen = Prediction(
                _cropped(made.reflectance, cut),
                {name: _cropped(made.planes[name], cut) for name in companion.needs},
            )
            measured = self.source.read(self.bands, window, halo)
            block = MadeBlock(self.bands, self.factor, halo, measured, seen, self.source.taken)
            told |= companion.tell(block)
        return told


def bands_for(source: SceneSource, model: Model) -> tuple[str, ...]:
    """The bands of a source that a model is given; raises BandMissing where it lacks some.

    A model of any 10 m band gets those the source has.
    """
    card = model.card
    wanted = card.bands or tuple(name for name in source.bands if SENTINEL2[name].gsd_m == 10)
    missing = [name for name in wanted if name not in source.bands]
    if missing or not wanted:
        need = ", ".join(card.bands) or "at least one 10 m band"
        raise BandMissing(
            f"{card.id} was made for {need}; {source.name} has {', '.join(source.bands)}"
        )
    return wanted


def gsd_in_metres(source: SceneSource) -> float:
    """Pixel size for planes that are lengths; nominal where the grid is not in metres."""
    grid: Grid = source.grid
    metric = source.placed and CRS.from_user_input(grid.crs).is_projected
    return grid.gsd_m if metric else NOMINAL_GSD_M


def _within_scene(model: SeriesModel, source: CubeScene, window: Window) -> Prediction:
    """A series model answers inside the scene only; beyond it there is no data."""
    factor = model.card.factor
    there = window.within(source.grid.shape)
    made = model.predict_window(source.cube, source.slot, there)
    row, col = (there.row - window.row) * factor, (there.col - window.col) * factor

    def placed(values: Reflectance) -> Reflectance:
        shape = (*values.shape[:-2], window.height * factor, window.width * factor)
        out = np.full(shape, np.nan, np.float32)
        out[..., row : row + values.shape[-2], col : col + values.shape[-1]] = values
        return out

    planes = {name: placed(values) for name, values in made.planes.items()}
    return Prediction(placed(made.reflectance), planes)


def _cropped(values: Reflectance, rim_px: int) -> Reflectance:
    return values[..., rim_px:-rim_px, rim_px:-rim_px] if rim_px else values
