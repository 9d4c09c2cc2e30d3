"""What `srcube explain SOURCE` may be: a raster file, a cube's folder, or a cube's id."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from datacube import Cube, Grid, Window
from datacube.errors import InvalidInput
from datacube.scene import reflectance_from_dn
from datacube.sources.geotiff import SUFFIXES
from datacube.sources.naming import Interval
from datacube.sources.pixels import SceneReader
from datacube.sources.plan import Given, PlannedScene
from datacube.sources.recognise import plan_source
from sr_engine.explain.case import Imagery
from sr_engine.fusion.sources import CubeChoice, find_cube
from sr_engine.model import Reflectance


@dataclass(frozen=True, eq=False)
class SceneOfCube:
    """One date of a cube."""

    cube: Cube
    slot: int


def find_source(source: str, data: str | None, given: Given) -> SceneOfCube | Imagery:
    """The image at a path, or a cube's date; raises InvalidInput or NotFound.

    `given` says of a file what it does not say itself, and of a cube the date.
    """
    path = Path(source)
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return _imagery_of_file(path, given)
    cube = find_cube(source, data)
    return SceneOfCube(cube, _slot(cube, given.interval))


def place_on(grid: Grid, at: tuple[float, float], *, degrees: bool) -> tuple[float, float]:
    """Continuous row and column of a place: x, y in the grid's CRS, or longitude, latitude."""
    x, y = at
    if degrees:
        x, y = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True).transform(x, y)
    rows, cols = grid.pixel_coordinates(x=np.array([x]), y=np.array([y]))
    if not np.isfinite([rows[0], cols[0]]).all():
        raise InvalidInput(f"the place {at[0]:g},{at[1]:g} cannot be expressed in {grid.crs[:40]}")
    return float(rows[0]), float(cols[0])


def _slot(cube: Cube, interval: Interval | None) -> int:
    if interval is None and not cube.scenes:
        raise InvalidInput("the cube holds no scenes yet; ingest some first")
    return CubeChoice(interval=interval).shown(cube).slot


def _imagery_of_file(path: Path, given: Given) -> Imagery:
    plan = plan_source(path, given)
    if not plan.scenes:
        reason = plan.refusals[0].reason if plan.refusals else "it is of another --datetime"
        raise InvalidInput(f"{path.name} cannot be read: {reason}")
    return imagery_of_scene(plan.scenes[0])


def imagery_of_scene(planned: PlannedScene) -> Imagery:
    """The bands of a planned scene that have its finest pixels, as the file has them."""
    finest = min((one.grid for one in planned.bands.values()), key=lambda grid: grid.gsd_m)
    bands = tuple(name for name, one in planned.bands.items() if one.grid == finest)
    bands = tuple(name for name in bands if name != "SCL")

    def read(names: tuple[str, ...], window: Window, rim_px: int) -> Reflectance:
        wide = window.grown(rim_px)
        there = wide.within(finest.shape)
        out: NDArray[np.float32] = np.full(
            (len(names), wide.height, wide.width), np.nan, np.float32
        )
        place = Window(there.row - wide.row, there.col - wide.col, there.height, there.width)
        with SceneReader(planned.bands, names, finest, with_scl=False) as reader:
            out[:, *place.slices] = reflectance_from_dn(reader.read(there).dn)
        return out

    return Imagery(finest, bands, read)
