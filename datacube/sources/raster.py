"""The only place that opens a raster file: two drivers, bounded sizes, nothing beside the file.

GDAL would open a thousand formats, some of which name other files or addresses. Here it opens
GeoTIFF and JPEG 2000, in a process of its own (`decoding`), and what a header announces is checked
before anything is decoded.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from datacube.errors import InvalidInput
from datacube.grid import Grid
from datacube.sources.child import Document
from datacube.sources.decoding import Asked, Decoder, shared_decoders
from datacube.sources.plan import ReadNumbers
from datacube.sources.radiometry import Calibration
from datacube.sources.refusals import AssetTooLarge, AssetUnreadable, CrsMismatch
from datacube.window import Window

DRIVERS = ("GTiff", "JP2OpenJPEG")
MAX_PIXELS = 2**31  # eighteen Sentinel-2 tiles; nothing we take is larger
MAX_BANDS = 64
MAX_BLOCK_BYTES = 2**28  # one strip of a whole 10980 x 10980 tile in 16 bits
PART_BYTES = 2**25  # of numbers in one answer: with a mask they fit into the shared memory
DTYPES = frozenset({"uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"})


@dataclass(frozen=True)
class Mask:
    """Where a file hides pixels otherwise than by a number: its own mask, or a band of opacity.

    `band` is 0 for the former; what is hidden is read as `number`.
    """

    band: int
    number: float


@dataclass(frozen=True)
class Header:
    """What a raster file says of itself; lists are by band.

    `masked` tells which bands have a mask in the file, `alpha` which are opacity themselves.
    """

    shape: tuple[int, int]
    count: int
    crs: str | None
    transform: Affine
    dtypes: tuple[str, ...]
    block_shapes: tuple[tuple[int, int], ...]
    descriptions: tuple[str | None, ...]
    no_data: tuple[float | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    masked: tuple[bool, ...]
    alpha: tuple[bool, ...]
    datetime: str | None
    record: Mapping[str, Any] = field(default_factory=dict)  # of a file that srcube wrote

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Parse what the decoder tells; raises KeyError, TypeError or ValueError."""
        lists = ("dtypes", "descriptions", "no_data", "scales", "offsets", "masked", "alpha")
        height, width = (int(side) for side in document["shape"])
        return cls(
            shape=(height, width),
            count=int(document["count"]),
            crs=document["crs"],
            transform=Affine(*document["transform"]),
            block_shapes=tuple((int(rows), int(cols)) for rows, cols in document["block_shapes"]),
            datetime=document["datetime"],
            record=dict(document["record"]),
            **{name: tuple(document[name]) for name in lists},
        )

    def mask(
        self, index: int, number: float | None, names: Sequence[str | None] = ()
    ) -> Mask | None:
        """The mask to heed for a band, whose number of no data is `number` (None: 0).

        A band of opacity that has a name among `names` is taken for what its name says: many
        files mark their fourth band so that is near infrared.
        """
        number = 0.0 if number is None else number
        if self.masked[index - 1]:
            return Mask(0, number)
        if any(alpha and name for alpha, name in zip(self.alpha, names, strict=False)):
            return None
        return Mask(self.alpha.index(True) + 1, number) if True in self.alpha else None


@dataclass(frozen=True, eq=False)
class RasterFile:
    """An open file: its header, and its pixels by window."""

    header: Header
    _asked: Asked = field(repr=False)
    _decoder: Decoder = field(repr=False)

    @property
    def grid(self) -> Grid:
        """Where the pixels lie; raises CrsMismatch where the file does not say."""
        return grid_of(self.header, self._asked.name)

    def read(self, window: Window, *, index: int = 1, mask: Mask | None = None) -> NDArray[Any]:
        """One band (y, x) of a window that lies inside; hidden pixels are the mask's number.

        Raises AssetUnreadable or AssetTooLarge, and what the connection raised, if there is one.
        """
        dtype = np.dtype(self.header.dtypes[index - 1])
        if mask and not _holds(dtype, mask.number):
            raise AssetUnreadable(
                f"{self._asked.name} has a mask, and {mask.number:g} for no data, which no "
                f"{dtype} is"
            )
        numbers = np.empty((window.height, window.width), dtype)
        for part in parts_of(window, dtype.itemsize):
            place = [part.row, part.col, part.height, part.width]
            request = {"do": "read", "index": index, "window": place,
                       "mask": mask.band if mask else None}  # fmt: skip
            count = part.height * part.width
            with self._decoder.asking(self._asked, request) as (_, shared):
                found = np.frombuffer(shared, dtype, count).reshape(part.height, part.width)
                target = numbers[_inside(part, window)]
                target[:] = found
                if mask:
                    seen = np.frombuffer(shared, np.uint8, count, found.nbytes)
                    target[seen.reshape(found.shape) == 0] = mask.number
        return numbers


@dataclass(frozen=True)
class RasterBand:
    """One band of a raster file (`index` from 1)."""

    path: str
    index: int
    grid: Grid
    calibration: Calibration = field(default_factory=Calibration)
    mask: Mask | None = None

    @contextmanager
    def open(self) -> Iterator[ReadNumbers]:
        """Open the file; reading raises AssetUnreadable where it is damaged."""
        with open_raster(self.path) as file:
            yield partial(file.read, index=self.index, mask=self.mask)


@contextmanager
def open_raster(path: str) -> Iterator[RasterFile]:
    """Open a GeoTIFF or JPEG 2000 file whose header is within bounds.

    Raises AssetUnreadable for anything else, AssetTooLarge beyond the bounds. A JPEG 2000 file
    may be a TIFF by its name, so that both drivers are tried.
    """
    # The decoding process stands in the folder that was ours when it began.
    place = path if path.startswith("/") else str(Path.cwd() / path)
    asked = Asked(file_name(path), {"path": place, "size": None, "drivers": DRIVERS})
    with opened_file(asked) as file:
        yield file


@contextmanager
def opened_file(asked: Asked, decoder: Decoder | None = None) -> Iterator[RasterFile]:
    """Open what is asked for, be it a file here or bytes from elsewhere; as `open_raster`."""
    decoder = decoder or shared_decoders().mine()
    try:
        with decoder.asking(asked) as (document, _):
            header = _header(document, asked.name)
        _check_size(header, asked.name)
        yield RasterFile(header, asked, decoder)
    finally:
        decoder.release(asked)


def parts_of(window: Window, item_bytes: int) -> Iterator[Window]:
    """Windows of at most `PART_BYTES` that cover a window once, whole rows where they fit."""
    most = PART_BYTES // item_bytes
    width = max(min(window.width, most), 1)
    height = max(min(window.height, most // width), 1)
    for row in range(window.row, window.row + window.height, height):
        for col in range(window.col, window.col + window.width, width):
            bottom, right = window.row + window.height, window.col + window.width
            yield Window(row, col, min(height, bottom - row), min(width, right - col))


def grid_of(header: Header, path: str) -> Grid:
    """Where the pixels of a file lie; raises CrsMismatch if it does not say, or is rotated."""
    name = file_name(path)
    if header.crs is None:
        raise CrsMismatch(
            f"{name} has no CRS, so its place is unknown; write one into the file, or say "
            "--sensor-geometry for Level-1B pixels"
        )
    if header.transform.is_identity:
        raise CrsMismatch(f"{name} has a CRS but no position in it")
    return checked_grid(header.crs, header.transform, header.shape, name=name)


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


def _header(document: Document, name: str) -> Header:
    try:
        return Header.from_document(document)
    except (KeyError, TypeError, ValueError) as error:
        raise AssetUnreadable(f"{name} has a header that makes no sense") from error


def _check_size(header: Header, name: str) -> None:
    height, width = header.shape
    if height * width > MAX_PIXELS or header.count > MAX_BANDS:
        raise AssetTooLarge(
            f"{name} announces {width} x {height} pixels and {header.count} bands; at most "
            f"{MAX_PIXELS} pixels and {MAX_BANDS} bands are read"
        )
    for dtype, (rows, cols) in zip(header.dtypes, header.block_shapes, strict=True):
        if dtype not in DTYPES:
            raise AssetUnreadable(
                f"{name} holds {dtype} numbers; need one of {', '.join(sorted(DTYPES))}"
            )
        if rows * cols * np.dtype(dtype).itemsize > MAX_BLOCK_BYTES:
            raise AssetTooLarge(
                f"{name} is made of blocks of {cols} x {rows} pixels; one may hold "
                f"{MAX_BLOCK_BYTES} bytes"
            )


def _inside(part: Window, whole: Window) -> tuple[slice, slice]:
    return Window(part.row - whole.row, part.col - whole.col, part.height, part.width).slices


def _holds(dtype: np.dtype[Any], number: float) -> bool:
    """Whether a number can be one of these."""
    if dtype.kind == "f":
        return True
    limits = np.iinfo(dtype)
    return bool(number == number // 1 and limits.min <= number <= limits.max)
