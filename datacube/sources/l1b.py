"""Level-1B crops in sensor geometry: numbers as counted, no place, bands not registered.

Nothing in such a file says what it is, so the user must (`--sensor-geometry`, `--bands`,
`--datetime`), and a cube holds one crop: nothing tells that two show the same ground.
"""

from pathlib import Path

from datacube.bands import CLASSES
from datacube.errors import InvalidInput
from datacube.grid import Grid
from datacube.scene import Scene
from datacube.sources.geotiff import band_names
from datacube.sources.naming import scene_id_of, time_in
from datacube.sources.plan import Given, PlannedScene
from datacube.sources.radiometry import Calibration
from datacube.sources.raster import RasterBand, open_raster
from datacube.sources.refusals import DateUnknown

# Where a cube without a place is put, so that a map can show it: zone 31, just off the equator.
NOMINAL_CRS, NOMINAL_LEFT, NOMINAL_TOP, NOMINAL_GSD_M = "EPSG:32631", 500_000.0, 20_000.0, 10.0
NOTICE = (
    "Sensor geometry: the place is nominal, the bands are not registered to one another, and "
    "the numbers are counts of the instrument, shown as reflectance x 10000."
)


def plan_crop(path: Path, given: Given) -> PlannedScene:
    """Plan one crop; raises InvalidInput for a file that has a place after all."""
    with open_raster(str(path)) as file:
        header = file.header
    if header.crs is not None:
        raise InvalidInput(f"{path.name} has a CRS; take it in without --sensor-geometry")
    names = band_names(header, path, given)
    grid = nominal_grid(header.shape)
    bands = {}
    for index, name in enumerate(names, start=1):
        if name is not None and name != CLASSES:
            mask = header.mask(index, header.no_data[index - 1], names)
            counted = _counted(given, mask.number if mask else header.no_data[index - 1])
            bands[name] = RasterBand(str(path), index, grid, counted, mask)
    moment = time_in(path.stem) or given.instant
    if moment is None:
        raise DateUnknown(f"nothing says when {path.name} was seen; say it with --datetime")
    properties = {"srcube:bands_registered": False, "srcube:radiometry": "counts"}
    scene = Scene(scene_id_of(path.stem), moment, properties)
    return PlannedScene(scene, bands, "L1B", "sensor")


def _counted(given: Given, no_data: float | None) -> Calibration:
    """Numbers as they are, unless scale and offset are given."""
    if given.scale is not None and given.offset is not None:
        return Calibration(given.scale, given.offset, no_data)
    return Calibration(no_data=no_data)


def nominal_grid(shape: tuple[int, int]) -> Grid:
    """A grid for pixels that have no place."""
    return Grid.from_origin(
        NOMINAL_CRS, left=NOMINAL_LEFT, top=NOMINAL_TOP, gsd_m=NOMINAL_GSD_M, shape=shape
    )
