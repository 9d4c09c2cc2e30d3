"""Where an overlay's tiles come from: another server, asked with care, or a COG of the operator's.

Nothing that another server sends is passed on: it is decoded within limits, and drawn anew.
"""

import io
import re
from pathlib import Path
from urllib.parse import urlencode

import morecantile
import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.transform import from_bounds
from rasterio.warp import Resampling, reproject, transform_bounds
from rasterio.windows import Window
from rasterio.windows import from_bounds as window_of

from datacube.errors import InvalidInput, SrcubeError
from datacube.stac.errors import Absent
from datacube.stac.fetch import Fetcher, Limits
from server.errors import UpstreamSilent
from server.ogc.matrix_sets import matrix_set
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

    A window of the file is read, from its overviews where the frame is coarser, and warped in
    memory: rio-tiler's way goes through GDAL's VRT driver, which a server must not have.
    """
    edges = transform_bounds("EPSG:3857", file.crs, *frame, densify_pts=9)
    whole = window_of(*edges, transform=file.transform)
    rim = max(whole.width, whole.height) / TILE_PX + 2  # for the kernel, on either side
    left, top = max(0, int(whole.col_off - rim)), max(0, int(whole.row_off - rim))
    right = min(file.width, int(whole.col_off + whole.width + rim) + 1)
    bottom = min(file.height, int(whole.row_off + whole.height + rim) + 1)
    if left >= right or top >= bottom:
        return None
    window = Window(left, top, right - left, bottom - top)
    coarser = max(1.0, max(whole.width, whole.height) / TILE_PX)
    shape = (max(1, round((bottom - top) / coarser)), max(1, round((right - left) / coarser)))
    values = file.read(bands, window=window, out_shape=(len(bands), *shape)).astype(np.float32)
    valid = file.dataset_mask(window=window, out_shape=shape)
    place = file.window_transform(window) @ Affine.scale(
        (right - left) / shape[1], (bottom - top) / shape[0]
    )
    target = {
        "src_transform": place, "src_crs": file.crs, "dst_crs": "EPSG:3857",
        "dst_transform": from_bounds(*frame, TILE_PX, TILE_PX),
    }  # fmt: skip
    data = np.zeros((len(bands), TILE_PX, TILE_PX), np.float32)
    mask = np.zeros((TILE_PX, TILE_PX), np.uint8)
    reproject(values, data, resampling=Resampling.bilinear, **target)
    reproject(valid, mask, resampling=Resampling.nearest, **target)
    return data, mask


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
