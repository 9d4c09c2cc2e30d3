"""Cloud-optimised GeoTIFF files that say what their numbers mean, written in flat memory."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.windows import Window as RasterWindow

from datacube.grid import Grid
from datacube.scene import ADD_OFFSET, NO_DATA_DN, SCALE_FACTOR
from datacube.window import Window

ReadWindow = Callable[[Window], NDArray[Any]]
PutWindow = Callable[[Window, NDArray[Any]], None]

BLOCK_PX = 512
STRIP_PX = 1024  # rows and columns in memory at a time
SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class RasterSpec:
    """What a file holds: bands by name with scale and offset, and tags for the whole.

    `physical` is false for class codes: they have no scale, and are never averaged. `placed` is
    false for pixels without a place on Earth: of the grid only the shape counts. `nodata` is 0 for
    the numbers of a cube; values that may be 0 themselves, as differences are, take NaN.
    """

    grid: Grid
    bands: tuple[str, ...]
    dtype: str = "uint16"
    scale: float = SCALE_FACTOR
    offset: float = ADD_OFFSET
    units: str = "1"
    physical: bool = True
    placed: bool = True
    nodata: float = NO_DATA_DN
    tags: Mapping[str, str] = field(default_factory=dict)

    def profile(self) -> dict[str, Any]:
        """What rasterio creates the file with."""
        height, width = self.grid.shape
        place = {"crs": self.grid.crs, "transform": self.grid.transform}
        return {
            "driver": "GTiff",
            "height": height,
            "width": width,
            "count": len(self.bands),
            "dtype": self.dtype,
            "nodata": self.nodata,
            **(place if self.placed else {}),
            "tiled": True,
            "blockxsize": BLOCK_PX,
            "blockysize": BLOCK_PX,
            "BIGTIFF": "IF_SAFER",
        }


def write_cog(path: Path, spec: RasterSpec, read: ReadWindow) -> None:
    """Write a COG; `read` gives (band, y, x) of a window of the grid, with the spec's `nodata`."""
    with cog_writer(path, spec) as put:
        for window in windows_of(spec.grid.shape):
            put(window, read(window))


@contextmanager
def cog_writer(path: Path, spec: RasterSpec) -> Iterator[PutWindow]:
    """Give what takes windows (band, y, x) in any order; the file appears whole or not at all.

    Overviews are means of what is there; of class codes they are single pixels.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".srcube-", dir=path.parent) as folder:
        plain, partial = Path(folder) / "plain.tif", Path(folder) / path.name
        with rasterio.open(plain, "w", **spec.profile()) as dataset:
            _describe(dataset, spec)

            def put(window: Window, values: NDArray[Any]) -> None:
                place = RasterWindow(window.col, window.row, window.width, window.height)
                dataset.write(np.ascontiguousarray(values), window=place)

            yield put
        rasterio.shutil.copy(
            plain,
            partial,
            driver="COG",
            COMPRESS="DEFLATE",
            PREDICTOR="3" if np.dtype(spec.dtype).kind == "f" else "2",
            BLOCKSIZE=str(BLOCK_PX),
            RESAMPLING="AVERAGE" if spec.physical else "NEAREST",
            BIGTIFF="IF_SAFER",
        )
        partial.replace(path)


def windows_of(shape: tuple[int, int]) -> list[Window]:
    """Windows that cover a raster once, each small enough to be held."""
    return [
        Window(row, col, STRIP_PX, STRIP_PX).within(shape)
        for row in range(0, shape[0], STRIP_PX)
        for col in range(0, shape[1], STRIP_PX)
    ]


def _describe(dataset: Any, spec: RasterSpec) -> None:
    dataset.update_tags(**spec.tags)
    for index, name in enumerate(spec.bands, start=1):
        dataset.set_band_description(index, name)
    if spec.physical:
        dataset.scales = [spec.scale] * len(spec.bands)
        dataset.offsets = [spec.offset] * len(spec.bands)
        dataset.units = [spec.units] * len(spec.bands)
