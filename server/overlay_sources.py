"""Where an overlay's tiles come from: another server, asked with care, or a COG of the operator's.

Nothing that another server sends is passed on: it is decoded within limits, and drawn anew.
"""

import io
import re
from pathlib import Path
from urllib.parse import urlencode

import cv2
import morecantile
import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.windows import Window

from datacube.errors import InvalidInput, SrcubeError
from datacube.stac.errors import Absent
from datacube.stac.fetch import Fetcher, Limits
from server.errors import UpstreamSilent
from server.ogc.matrix_sets import matrix_set
from server.reader import control_grid, transformer_of
from server.registry import Overlay

MATRIX = "WebMercatorQuad"
TILE_PX = 256
LARGEST_PX = 512  # of a tile that another server sends
FORMATS = ("PNG", "JPEG", "WEBP")
MEDIA = {"image/png", "image/jpeg", "image/jpg", "image/webp"}
REMOTE = Limits(
    idle_s=5, connect_s=5, patience_s=5, attempts=1, redirects=1, max_bytes=2 * 1024 * 1024
)
RGBA = NDArray[np.uint8]


class TileSource:
    """Where the tiles of one overlay come from."""

    def __init__(self, overlay: Overlay, fetcher: Fetcher) -> None:
        self._overlay = overlay
        self._fetcher = fetcher

    def read(self, tile: morecantile.Tile) -> RGBA | None:
        """The picture (y, x, 4), None where the server has none; raises UpstreamSilent."""
        try:
            reply = self._fetcher.get(self.href(tile))
        except Absent:
            return None
        except SrcubeError as error:
            raise UpstreamSilent(f"overlay {self._overlay.id} does not answer just now") from error
        media = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        return decoded(reply.data, media, self._overlay.id)

    def href(self, tile: morecantile.Tile) -> str:
        """The address of a tile, from the operator's own."""
        if self._overlay.kind == "wms":
            return self._map_request(tile)
        numbers = {
            "z": tile.z, "x": tile.x, "y": tile.y, "-y": 2**tile.z - 1 - tile.y,
            "TileMatrix": tile.z, "TileCol": tile.x, "TileRow": tile.y,
        }  # fmt: skip
        return re.sub(r"\{([^}]*)\}", lambda one: str(numbers[one[1]]), self._overlay.address)

    def _map_request(self, tile: morecantile.Tile) -> str:
        """GetMap of WMS 1.3.0; the axes of EPSG:3857 are east and north there too."""
        asked = {
            "SERVICE": "WMS", "VERSION": "1.3.0", "REQUEST": "GetMap", "CRS": "EPSG:3857",
            "LAYERS": self._overlay.layers, "STYLES": self._overlay.styles,
            "BBOX": ",".join(f"{edge:.6f}" for edge in matrix_set(MATRIX).xy_bounds(tile)),
            "WIDTH": TILE_PX, "HEIGHT": TILE_PX, "FORMAT": "image/png", "TRANSPARENT": "TRUE",
        }  # fmt: skip
        address = self._overlay.address
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"


class CogSource:
    """A GeoTIFF beside the registry, by GDAL's driver for those and no other."""

    def __init__(self, overlay: Overlay, folder: Path) -> None:
        path = (folder / overlay.address).resolve()
        if "://" in overlay.address or not path.is_relative_to(folder.resolve()):
            raise InvalidInput(f"overlay {overlay.id}: need a file below the registry's folder")
        self._overlay = overlay
        self._path = path
        self._bands = overlay.bands or (1, 2, 3)
        with self._opened() as file:
            if not overlay.bands and file.count < len(self._bands):
                self._bands = (1,)
            if max(self._bands) > file.count or file.crs is None:
                raise InvalidInput(
                    f"overlay {overlay.id}: need a placed file with bands {self._bands}, "
                    f"got {file.count} bands in {file.crs}"
                )
            if overlay.rescale is None and file.dtypes[0] != "uint8":
                raise InvalidInput(
                    f"overlay {overlay.id}: need rescale = [low, high] for {file.dtypes[0]}"
                )

    def read(self, tile: morecantile.Tile) -> RGBA | None:
        """The picture (y, x, 4), None beside the file; raises UpstreamSilent if it is damaged."""
        frame = matrix_set(MATRIX).xy_bounds(tile)
        try:
            with self._opened() as file:
                found = _window(file, frame, self._bands)
        except (RasterioError, CPLE_BaseError, InvalidInput) as error:
            raise UpstreamSilent(f"overlay {self._overlay.id} cannot be read just now") from error
        if found is None:
            return None
        data, mask = found
        low, high = self._overlay.rescale or (0.0, 255.0)
        level = (data - np.float32(low)) * np.float32(255 / (high - low))
        planes = np.clip(np.nan_to_num(level), 0, 255).astype(np.uint8)
        colours = np.moveaxis(np.broadcast_to(planes, (3, *planes.shape[1:])), 0, -1)
        return np.dstack([colours, mask])

    def _opened(self) -> rasterio.io.DatasetReader:
        try:
            return rasterio.open(self._path, driver="GTiff")
        except RasterioError as error:
            raise InvalidInput(
                f"overlay {self._overlay.id}: {self._overlay.address} is no GeoTIFF that can be "
                "read"
            ) from error


def _window(
    file: rasterio.io.DatasetReader, frame: tuple[float, ...], bands: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]] | None:
    """Values (band, y, x) and opacity (y, x) of a frame in Web Mercator; None beside the file.

    A window of the file is read, from its overviews where the frame is coarser, and drawn by one
    remap as a cube's pixels are. rio-tiler would go through GDAL's VRT driver, which a server must
    not have, and warping arrays with rasterio is not safe in several threads.
    """
    offsets, weights = control_grid(TILE_PX)
    left, bottom, right, top = frame
    xs, ys = np.meshgrid(left + (right - left) * offsets, top - (top - bottom) * offsets)
    places = transformer_of("EPSG:3857", file.crs.to_wkt()).transform(xs, ys)
    cols, rows = (weights @ np.asarray(axis) @ weights.T for axis in ~file.transform @ places)
    if not (np.isfinite(cols).all() and np.isfinite(rows).all()):
        return None
    coarser = max(1.0, np.abs(np.diff(cols, axis=1)).max(), np.abs(np.diff(rows, axis=0)).max())
    (row, height), (col, width) = (
        _span(axis, size, 2 * coarser) for axis, size in ((rows, file.height), (cols, file.width))
    )
    if height <= 0 or width <= 0:
        return None
    window = Window(col, row, width, height)
    shape = (max(1, round(height / coarser)), max(1, round(width / coarser)))
    values = file.read(bands, window=window, out_shape=(len(bands), *shape)).astype(np.float32)
    valid = file.dataset_mask(window=window, out_shape=shape)
    # The centre of a pixel is at a half in the file, at a whole number in OpenCV.
    x = ((cols - col) * (shape[1] / width) - 0.5).astype(np.float32)
    y = ((rows - row) * (shape[0] / height) - 0.5).astype(np.float32)
    beyond = (cols < 0) | (cols >= file.width) | (rows < 0) | (rows >= file.height)
    data = np.stack(
        [cv2.remap(one, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for one in values]
    )
    mask = cv2.remap(valid, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    mask[beyond] = 0
    return data, np.asarray(mask, np.uint8)


def _span(places: NDArray[np.float64], size: int, rim: float) -> tuple[int, int]:
    """First pixel and number of pixels of a file's axis that a frame needs."""
    first = max(0, int(np.floor(places.min() - rim)))
    last = min(size, int(np.ceil(places.max() + rim)) + 1)
    return first, last - first


def decoded(data: bytes, media: str, name: str) -> RGBA:
    """A picture that another server sent, (y, x, 4); raises UpstreamSilent for anything else.

    Its size is judged by the head, before a pixel is decoded, and its format by the bytes.
    """
    if media not in MEDIA:
        raise UpstreamSilent(f"overlay {name} did not answer with a picture")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            if not 0 < max(picture.size) <= LARGEST_PX:
                raise UpstreamSilent(f"overlay {name} sent a picture of {picture.size} pixels")
            return np.asarray(picture.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UpstreamSilent(f"overlay {name} sent a damaged picture") from error
