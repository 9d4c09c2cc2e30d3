"""The folder that the README's commands are run in: small files of every kind they name."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pyproj import Transformer

from datacube import Catalog, CubeSpec, Grid, Scene, ScenePixels, find_bands, open_storage
from datacube.scene import dn_from_reflectance
from datacube.simulation.detectors import OverlapPlan, simulate_overlap
from datacube.simulation.landscape import build_landscape
from sr_engine.fusion.trial import Trial, TrialPlan, simulate_trial
from tests.rasters import BANDS, OFFSETS, Product, grid, numbers, write_safe, write_tif

BOLZANO = (11.35, 46.49)
DAYS = ((6, 11), (6, 21), (7, 1))
SHAPE = (64, 80)


def fill(folder: Path) -> None:
    """Make all that has to be there before the first command: cubes, series, SAFE, level 1B."""
    landscape = build_landscape(5, SHAPE)
    trial = simulate_trial(TrialPlan(dates=len(DAYS), shape=SHAPE, seed=5), landscape)
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True).transform(*BOLZANO)
    left, top = round(x, -1) - 400, round(y, -1) + 320
    place = Grid.from_origin("EPSG:32632", left=left, top=top, gsd_m=10, shape=SHAPE)
    _cube(folder / "catalog", trial, place)
    _series(folder / "series", trial, place)
    write_tif(folder / "truth.tif", trial.truth(2), place.refined(2), BANDS, nodata=None)
    _safe(folder)
    pair = simulate_overlap(landscape, OverlapPlan(seed=5))
    write_tif(folder / "l1b.tif", dn_from_reflectance(pair.views[0]), grid(SHAPE), pair.bands)


def _cube(root: Path, trial: Trial, place: Grid) -> None:
    spec = CubeSpec("Simulated, at a nominal place", place, find_bands(BANDS), simulated=True)
    cube = Catalog(open_storage(root)).create("bolzano", spec)
    for (month, day), image in zip(DAYS, trial.observations, strict=True):
        moment = datetime(2024, month, day, 10, 10, 31, tzinfo=UTC)
        classes = np.full(SHAPE, 4, np.uint8)
        scene = Scene(f"SIM_2024{month:02d}{day:02d}", moment, {"eo:cloud_cover": 0.0})
        cube = cube.append(scene, ScenePixels(dn_from_reflectance(image), classes))


def _series(folder: Path, trial: Trial, place: Grid) -> None:
    folder.mkdir()
    for (month, day), image in zip(DAYS, trial.observations, strict=True):
        counts = np.rint(np.clip(image, 0.0001, 6) * 10_000).astype(np.uint16)
        write_tif(folder / f"2024{month:02d}{day:02d}.tif", counts, place, BANDS)


def _safe(folder: Path) -> None:
    images = {
        f"R10m/{name}_10m": (plane, grid()) for name, plane in zip(BANDS, numbers(3), strict=True)
    }
    images["R20m/SCL_20m"] = (np.full((45, 35), 4, np.uint8), grid((45, 35), gsd_m=20))
    made = write_safe(folder, Product("2A", offsets=OFFSETS), images)
    made.rename(folder / "S2A_MSIL2A_20240621T101031.SAFE")
