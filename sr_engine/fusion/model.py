"""Fusion as a model like any other: the dates around the one shown, block by block.

What must be the same for all blocks of a scene (shifts, radiometry, mixing, strengths, hence
filters) is settled once, on a sample of the scene, and kept for the next block. A block is
then filtered with a halo as wide as filters and standard deviation reach, so that blocks join
without a seam whatever their order.
"""

import threading
from collections import OrderedDict
from dataclasses import replace

import numpy as np

from datacube import Cube, Window
from datacube.cube import CommittedScene
from datacube.store.layout import BLOCK_PX, PlaneSpec
from sr_engine.card import ModelCard, Score, settings_sha256
from sr_engine.fusion.blocks import HALO_PX
from sr_engine.fusion.prepared_scene import BLOCK_HALO_PX, SAMPLE_PX, PreparedScene, prepare_scene
from sr_engine.fusion.series import DILATION_PX, HIDDEN, LEAST_CLEAR, choose_dates, survey
from sr_engine.fusion.settings import FusionSettings
from sr_engine.gaps import emptied
from sr_engine.model import Prediction, Reflectance
from sr_engine.planes import SIGMA

DATES = 8  # those whose ground changed too much are left out of them
KEPT_SCENES = 2  # prepared; one takes up to 115 MB at x4
RIM_PX = 2  # computed around each block for its audit; the halo of filters has room for it
VERSION = 2


class FusionModel:
    """Multi-temporal fusion by filters at a magnification of `factor`."""

    def __init__(self, factor: int, settings: FusionSettings | None = None) -> None:
        self._settings = settings or FusionSettings()
        self._card = _card(factor, self._settings)
        self._scenes: OrderedDict[tuple[str, int, int], PreparedScene] = OrderedDict()
        self._shares: dict[tuple[str, int], float] = {}
        self._lock = threading.Lock()

    @property
    def card(self) -> ModelCard:
        """What the model is."""
        return self._card

    @property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """The posterior standard deviation, mean over bands."""
        return (SIGMA,)

    def choose(self, cube: Cube, slot: int) -> tuple[CommittedScene, ...]:
        """The date shown and the nearest usable ones; see `choose_dates`.

        Of these, a date that cannot be registered to the one shown is left out all the same.
        """
        return choose_dates(cube, slot, self._card.dates, self._clear_share)

    def _clear_share(self, cube: Cube, slot: int) -> float:
        """Of a date's pixels; a slot never gets other pixels, so it is counted once."""
        key = (cube.root.commit.uid, slot)
        if key not in self._shares:
            self._shares[key] = float(survey(cube, slot).mean())
        return self._shares[key]

    def prepared(self, cube: Cube, slot: int) -> PreparedScene:
        """What is settled for a scene, found once for each generation of the cube."""
        key = (cube.root.commit.uid, cube.generation, slot)
        with self._lock:  # also over the work itself: who comes second would only repeat it
            if key not in self._scenes:
                chosen = self.choose(cube, slot)
                self._scenes[key] = prepare_scene(
                    cube, chosen, slot, self._card.factor, self._settings
                )
                while len(self._scenes) > KEPT_SCENES:
                    self._scenes.popitem(last=False)
            self._scenes.move_to_end(key)
            return self._scenes[key]

    def predict_window(self, cube: Cube, slot: int, window: Window) -> Prediction:
        """Super-resolve a window from the blocks it touches; see `SeriesModel`.

        NaN where the date shown has no data, and under clouds where no date saw the ground.
        """
        scene, factor = self.prepared(cube, slot), self._card.factor
        rim = RIM_PX * factor
        bands = tuple(band.name for band in cube.bands)
        size = (window.height * factor, window.width * factor)
        fine: Reflectance = np.empty((len(bands), *size), np.float32)
        sigma: Reflectance = np.empty(size, np.float32)
        for row, col in window.cells(BLOCK_PX):
            block = Window(row * BLOCK_PX, col * BLOCK_PX, BLOCK_PX, BLOCK_PX)
            block = block.within(cube.grid.shape)
            values, spread = scene.block(cube, block.grown(RIM_PX))
            source, target = (each.scaled(factor) for each in block.shared(window))
            source = replace(source, row=source.row + rim, col=source.col + rim)
            fine[:, *target.slices] = values[:, *source.slices]
            sigma[target.slices] = spread.mean(axis=0)[source.slices]
        return _where_measured(scene.measured(cube, slot, window), fine, sigma)

    def predict_block(self, cube: Cube, slot: int, window: Window, rim_px: int) -> Prediction:
        """One block with a rim of at most `RIM_PX`; see `RimmedModel`."""
        scene = self.prepared(cube, slot)
        values, spread = scene.block(cube, window.grown(RIM_PX))
        cut = (RIM_PX - rim_px) * self._card.factor
        inner = (slice(cut, values.shape[1] - cut), slice(cut, values.shape[2] - cut))
        measured = scene.measured(cube, slot, window.grown(rim_px))
        return _where_measured(measured, values[:, *inner], spread.mean(axis=0)[inner])


def _where_measured(measured: Reflectance, fine: Reflectance, sigma: Reflectance) -> Prediction:
    """NaN where the date shown has no data; of the plane, where no band has any."""
    factor = fine.shape[1] // measured.shape[1]
    missing = np.isnan(measured)
    everywhere = np.logical_and.reduce(missing, axis=0, keepdims=True)
    sigma = emptied(sigma[None], everywhere, factor)[0]
    return Prediction(emptied(fine, missing, factor), {SIGMA.name: sigma})


def _card(factor: int, settings: FusionSettings) -> ModelCard:
    values = {
        "method": "fusion",
        "factor": factor,
        "fusion": settings.as_tags(),
        "dates": DATES,
        "hidden_classes": list(HIDDEN),
        "dilation_px": DILATION_PX,
        "least_clear": LEAST_CLEAR,
        "sample_px": SAMPLE_PX,
        "filter_halo_px": HALO_PX,
        "version": VERSION,
    }
    return ModelCard(
        id=f"fusion-x{factor}",
        title=f"Fusion of dates x{factor}",
        description=f"Posterior mean of the date shown, from it and up to {DATES - 1} dates "
        "around it, registered to hundredths of a pixel and matched in radiometry. Detail that "
        "one date aliases is told apart by the shifts between dates.",
        factor=factor,
        halo_px=BLOCK_HALO_PX,
        dates=DATES,
        psf="Gaussian of the band's MTF at Nyquist, then the pixel",
        limits="Where the ground changed between dates, detail may be of a neighbouring date, and "
        "the standard deviation is too small. Under clouds of the date shown the ground of other "
        "dates appears. Without scene classification clouds are not known, and count as ground.",
        weights_sha256=settings_sha256(values),
        settings=values,
        metrics=_scores(factor),
    )


def _scores(factor: int) -> tuple[Score, ...]:
    """Figures of `srcube bench fusion`: simulated ground that does not change, 256 x 256 px."""
    places = 3
    gains = {2: {8: 4.9, 30: 5.5, 1: 1.3}, 4: {8: 3.0}}.get(factor, {})
    return tuple(
        Score(f"simulated landscapes, {dates} dates", "PSNR gain, dB", gain, 0.0, places)
        for dates, gain in gains.items()
    )
