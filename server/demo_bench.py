"""Figures of the demo: what building it, drawing a tile and super-resolving a block cost."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datacube import Catalog, Cube, Product, Window, open_storage
from datacube.benchmark import Figures, core_seconds
from datacube.demo import BANDS, SEED, DemoSize, build_simulated
from datacube.scene import reflectance_from_dn
from datacube.simulation import acquire, build_landscape, plan_season
from datacube.store.reading import ChunkCache
from server.layers import LAYERS, View
from server.ogc.matrix_sets import matrix_set
from server.reader import Frame
from server.tiles import TileQuery, default_scene_slot, draw
from sr_engine.blocks import compute_block, predict_window, product_spec
from sr_engine.model import Model, PatchModel
from sr_engine.registry import find_model, find_patch_model

SIZE = DemoSize(dates=2, truth_dates=1)
TILE_ZOOM = 15


def demo_figures(_data: Path | None) -> Figures:
    """Build a two-date demo and measure on it; about a minute. Needs no real data."""
    with tempfile.TemporaryDirectory() as folder:
        catalog = Catalog(open_storage(folder), ChunkCache(256_000_000))
        started = time.process_time()
        build_simulated(catalog, "simulated", size=SIZE)
        figures = {"demo_build_core_s_per_date": (time.process_time() - started) / SIZE.dates}
        cube = catalog.open("simulated")
        figures["tile_lr_core_ms"] = 1000 * _tile_seconds(cube)
        for model_id in ("wiener-x2", "wiener-x4"):
            name = model_id.replace("-", "_")
            figures[f"{name}_block_core_s"] = _block_seconds(cube, find_model(model_id))
    return figures | gains()


def gains() -> dict[str, float]:
    """PSNR of the Wiener models over bicubic on simulated truth, dB, mean over bands.

    One summer date of 256 x 256 pixels without jitter, for each of the two simulated blurs; the
    models assume the Gaussian one.
    """
    figures = {}
    landscape = build_landscape(SEED, (256, 256))
    for psf in ("gaussian", "optics"):
        (summer,) = plan_season(SEED, dates=1, truth_dates=1, psf=psf)
        shot = acquire(landscape, replace(summer, shift_px=(0.0, 0.0)), BANDS)
        lr = reflectance_from_dn(shot.dn)
        for factor in (2, 4):
            truth = _coarsened(reflectance_from_dn(_present(shot.truth_dn)), 4 // factor)
            errors = [
                _squared_error(find_patch_model(f"{kind}-x{factor}"), lr, truth)
                for kind in ("bicubic", "wiener")
            ]
            gain = float(np.mean(10 * np.log10(errors[0] / errors[1])))
            figures[f"wiener_x{factor}_gain_db_{psf}"] = gain
    return figures


def _squared_error(
    model: PatchModel, lr: NDArray[np.float32], truth: NDArray[np.float32]
) -> NDArray[np.float64]:
    halo, rim = model.card.halo_px, 8 * model.card.factor
    padded = np.pad(lr, ((0, 0), (halo, halo), (halo, halo)), mode="edge")
    error = model.predict(padded, BANDS).reflectance.astype(np.float64) - truth
    squared: NDArray[np.float64] = (error[:, rim:-rim, rim:-rim] ** 2).mean(axis=(1, 2))
    return squared


def _tile_seconds(cube: Cube) -> float:
    west, south, east, north = cube.grid.lonlat_bounds()
    tms = matrix_set("WebMercatorQuad")
    tile = tms.tile((west + east) / 2, (south + north) / 2, TILE_ZOOM)
    left, bottom, right, top = tms.xy_bounds(tile)
    frame = Frame("EPSG:3857", (left, bottom, right, top), 256)
    view = View(cube, LAYERS["lr"], default_scene_slot(cube))
    return core_seconds(lambda: [draw(view, TileQuery(), frame) for _ in range(20)]) / 20


def _block_seconds(cube: Cube, model: Model) -> float:
    """Prediction, influence and writing of one block of 128 x 128 pixels in four bands."""
    product = Product.ensure(cube, product_spec(cube, model))
    slot = default_scene_slot(cube)
    blocks = iter([(row, col) for row in range(1, 5) for col in range(1, 5)])
    predict_window(cube, model, slot, Window(0, 0, 8, 8))  # makes the kernels
    return core_seconds(lambda: compute_block(product, model, slot, next(blocks)))


def _coarsened(fine: NDArray[np.float32], ratio: int) -> NDArray[np.float32]:
    bands, height, width = fine.shape
    blocks = fine.reshape(bands, height // ratio, ratio, width // ratio, ratio)
    mean: NDArray[np.float32] = blocks.mean(axis=(2, 4))
    return mean


def _present(truth_dn: NDArray[np.uint16] | None) -> NDArray[np.uint16]:
    if truth_dn is None:
        raise RuntimeError("the season was planned with truth for its only date")
    return truth_dn
