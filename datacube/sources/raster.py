"""The only place that opens a raster file: two drivers, bounded sizes, nothing beside the file.

GDAL would open a thousand formats, some of which name other files or addresses. Here it opens
GeoTIFF and JPEG 2000, and what their header announces is checked before anything is decoded.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio import DatasetReader
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.windows import Window as RasterWindow

from datacube.errors import InvalidInput
from datacube.grid import Grid
from datacube.sources.plan import ReadNumbers
from datacube.sources.radiometry import Calibration
from datacube.sources.refusals import AssetTooLarge, AssetUnreadable, CrsMismatch
from datacube.window import Window

DRIVERS = ("GTiff", "JP2OpenJPEG")
MAX_PIXELS = 2**31  # eighteen Sentinel-2 tiles; nothing we take is larger
MAX_BANDS = 64
MAX_BLOCK_BYTES = 2**28  # one strip of a whole 10980 x 10980 tile in 16 bits
DTYPES = frozenset({"uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"})

ENVIRONMENT = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_NUM_THREADS": "1",
    "GDAL_CACHEMAX": 256,
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "none",
}


@dataclass(frozen=True)
class RasterBand:
    """One band of a raster file (`index` from 1)."""

    path: str
    index: int
    grid: Grid
    calibration: Calibration = field(default_factory=Calibration)

    @contextmanager
    def open(self) -> Iterator[ReadNumbers]:
        """Open the file; reading raises AssetUnreadable where it is damaged."""
        with open_raster(self.path) as dataset:
            yield partial(_read, dataset, self.index, self.path)


@contextmanager
def open_raster(path: str) -> Iterator[DatasetReader]:
    """Open a GeoTIFF or JPEG 2000 file whose header is within bounds.

    Raises AssetUnreadable for anything else, AssetTooLarge beyond the bounds.
    """
    dataset = _opened(path)
    # Never `with dataset`: that begins a GDAL environment of this thread, which another thread,
    # closing a reader's files at the end, could not end.
    try:
        _check_size(dataset, path)
        yield dataset
    finally:
        dataset.close()


def _opened(path: str) -> DatasetReader:
    """Try the allowed drivers in turn; a JPEG 2000 file may be a TIFF by its bytes."""
    for driver in DRIVERS:
        with rasterio.Env(**ENVIRONMENT), warnings.catch_warnings():
            # `grid_of` refuses what has no place; Level-1B pixels have none on purpose.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            try:
                return rasterio.open(path, driver=driver)
            except (RasterioError, OSError):
                continue
    raise AssetUnreadable(
        f"{file_name(path)} is no readable GeoTIFF or JPEG 2000 file; other formats are not "
        "opened, whatever they are named"
    )


def grid_of(dataset: DatasetReader, path: str) -> Grid:
    """Where the pixels of a file lie; raises CrsMismatch if it does not say, or is rotated."""
    name = file_name(path)
    if dataset.crs is None:
        raise CrsMismatch(
            f"{name} has no CRS, so its place is unknown; write one into the file, or say "
            "--sensor-geometry for Level-1B pixels"
        )
    authority = dataset.crs.to_authority()
    text = ":".join(authority) if authority else dataset.crs.to_wkt()
    if dataset.transform.is_identity:
        raise CrsMismatch(f"{name} has a CRS but no position in it")
    return checked_grid(text, dataset.transform, dataset.shape, name=name)


def checked_grid(crs: str, transform: Any, shape: tuple[int, int], *, name: str) -> Grid:
    """A source's grid; raises CrsMismatch for a CRS without a place on Earth, or a rotation."""
    try:
        parsed = CRS.from_user_input(crs)
    except CRSError as error:
        raise CrsMismatch(f"{name} has a CRS that PROJ does not know") from error
    if not (parsed.is_projected or parsed.is_geographic):
        raise CrsMismatch(f"{name} has the local CRS {parsed.name!r}, which is nowhere on Earth")
    try:
        return Grid(crs, transform, shape)
    except InvalidInput as error:
        raise CrsMismatch(f"{name}: {error}") from error


def file_name(path: str) -> str:
    """The last part of a path, for messages."""
    return path.replace("\\", "/").rstrip("/}").rsplit("/", 1)[-1]


def _check_size(dataset: DatasetReader, path: str) -> None:
    height, width = dataset.shape
    name = file_name(path)
    if height * width > MAX_PIXELS or dataset.count > MAX_BANDS:
        raise AssetTooLarge(
            f"{name} announces {width} x {height} pixels and {dataset.count} bands; at most "
            f"{MAX_PIXELS} pixels and {MAX_BANDS} bands are read"
        )
    for dtype, (rows, cols) in zip(dataset.dtypes, dataset.block_shapes, strict=True):
        if dtype not in DTYPES:
            raise AssetUnreadable(
                f"{name} holds {dtype} numbers; need one of {', '.join(sorted(DTYPES))}"
            )
        if rows * cols * np.dtype(dtype).itemsize > MAX_BLOCK_BYTES:
            raise AssetTooLarge(
                f"{name} is made of blocks of {cols} x {rows} pixels; one may hold "
                f"{MAX_BLOCK_BYTES} bytes"
            )


def _read(dataset: DatasetReader, index: int, path: str, window: Window) -> NDArray[Any]:
    place = RasterWindow(window.col, window.row, window.width, window.height)
    try:
        with rasterio.Env(**ENVIRONMENT):
            numbers: NDArray[Any] = dataset.read(index, window=place)
    except RasterioIOError as error:
        raise AssetUnreadable(
            f"{file_name(path)} cannot be decoded at row {window.row}, column {window.col}: "
            "it is truncated or damaged"
        ) from error
    return numbers
