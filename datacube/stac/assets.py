"""An asset as an open raster: byte ranges through the checked client, or a local file.

GDAL opens no address itself. It is handed a Python file whose reads become range requests, and
only two drivers may look at the bytes. JPEG 2000 asks for so many small ranges that the whole
file is staged first.
"""

import io
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterWindow

from datacube.errors import SrcubeError
from datacube.grid import Grid
from datacube.sources.raster import ENVIRONMENT, MAX_BANDS, MAX_BLOCK_BYTES, MAX_PIXELS, grid_of
from datacube.sources.refusals import AssetTooLarge, AssetUnreadable
from datacube.stac.errors import Unreachable
from datacube.stac.fetch import Fetcher
from datacube.stac.hrefs import shown
from datacube.window import Window

# By their first bytes, whatever the name says; VRT, HDF and the rest are not in the list.
MAGIC = {
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JP2OpenJPEG",
    b"\xff\x4f\xff\x51": "JP2OpenJPEG",
}
MAGIC_BYTES = 12
HEAD_BYTES = 32_768  # the directories of a whole scene's COG take 10 to 25 kB
READ_BYTES = 16_384  # least to ask for: a request costs more than the bytes do
MAX_READ_BYTES = 64 * 1024 * 1024
MAX_STAGED_BYTES = 512 * 1024 * 1024
NAME = "asset"  # what GDAL sees instead of the address


@dataclass(frozen=True)
class Raster:
    """An open asset; reads by window, and says in our words what goes wrong."""

    dataset: Any
    file: Any
    href: str

    @property
    def grid(self) -> Grid:
        """Where the pixels lie; raises CrsMismatch where the file does not say."""
        return grid_of(self.dataset, self.href.partition("?")[0])

    def read(self, window: Window, *, index: int = 1) -> NDArray[Any]:
        """One band (y, x) of a window that lies inside.

        Raises what the connection raised, or AssetUnreadable for damaged bytes.
        """
        place = RasterWindow(window.col, window.row, window.width, window.height)
        try:
            with rasterio.Env(**ENVIRONMENT):
                numbers: NDArray[Any] = self.dataset.read(index, window=place)
        except RasterioError as error:
            raise _cause(self.file, self.href, error) from error
        _refuse_error(self.file)
        return numbers


@contextmanager
def opened(href: str, fetcher: Fetcher) -> Iterator[Raster]:
    """The raster of an asset, checked for size; closed when the context ends.

    Raises HrefForbidden, Unreachable, AssetTooLarge or AssetUnreadable.
    """
    with ExitStack() as stack:
        file: Any
        if not fetcher.policy.is_remote(href):
            file = stack.enter_context(_local(fetcher.policy.local_path(href), href))
        elif href.partition("?")[0].lower().endswith((".jp2", ".j2k")):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="srcube-"))
            path = Path(folder) / "asset.jp2"
            fetcher.save(href, path, max_bytes=MAX_STAGED_BYTES)
            file = stack.enter_context(_local(path, href))
        else:
            file = stack.enter_context(RangeFile(href, fetcher))
        yield Raster(stack.enter_context(_dataset(file, href)), file, href)


class RangeFile(io.RawIOBase):
    """A read-only file on a server; keeps the head of the file and the range read last.

    `error` is what made a read fail: GDAL, through which the reads come, would only say that
    there was an error.
    """

    def __init__(self, href: str, fetcher: Fetcher) -> None:
        super().__init__()
        self._href = href
        self._fetcher = fetcher
        first = fetcher.read_range(href, 0, HEAD_BYTES)
        self.head = first.data
        self.size = int(first.headers["content-range"].rpartition("/")[2])
        self.error: SrcubeError | None = None
        self._etag = first.headers.get("etag")
        self._at = 0
        self._last = (0, b"")

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Place of the next read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; asks nothing of the server."""
        self._at = max(offset + {0: 0, 1: self._at, 2: self.size}[whence], 0)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Bytes from here on, in one request unless they are held already.

        An error cannot pass through GDAL: it is kept, and nothing more is given.
        """
        length = max(self.size - self._at, 0)
        length = length if size < 0 else min(size, length)
        if not length or self.error:
            return b""
        try:
            data = self._bytes(self._at, length)
        except SrcubeError as error:
            self.error = error
            return b""
        self._at += len(data)
        return data

    def _bytes(self, start: int, length: int) -> bytes:
        for held_from, held in ((0, self.head), self._last):
            if held_from <= start and start + length <= held_from + len(held):
                return held[start - held_from : start - held_from + length]
        asked = min(max(length, READ_BYTES), self.size - start)
        if asked > MAX_READ_BYTES:
            raise AssetTooLarge(f"{shown(self._href)}: one block of it has {asked} bytes")
        reply = self._fetcher.read_range(self._href, start, asked)
        if reply.headers.get("etag") != self._etag or len(reply.data) < length:
            raise Unreachable(f"{shown(self._href)} changed on the server while it was read")
        self._last = (start, reply.data)
        return reply.data[:length]


def _local(path: Path, href: str) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise AssetUnreadable(f"{shown(href)} cannot be opened: {error.strerror}") from error


def _dataset(file: Any, href: str) -> Any:
    file.seek(0)
    head = file.read(MAGIC_BYTES)
    driver = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
    if driver is None:
        raise AssetUnreadable(f"{shown(href)} is neither a TIFF nor a JPEG 2000 file")

    def opener(path: str, _mode: str = "rb", **_options: Any) -> Any:
        if path != NAME:
            raise FileNotFoundError(path)
        return _Unclosed(file)

    try:
        with rasterio.Env(**ENVIRONMENT), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # `grid_of` refuses those
            dataset = rasterio.open(NAME, opener=opener, driver=driver)
    except RasterioError as error:
        raise _cause(file, href, error) from error
    try:
        _refuse_error(file)
        _check_size(dataset, href)
    except SrcubeError:
        dataset.close()
        raise
    return dataset


def _cause(file: Any, href: str, error: RasterioError) -> SrcubeError:
    """What really happened: the connection's error where there was one."""
    found = getattr(file, "error", None)
    if isinstance(found, SrcubeError):
        return found
    return AssetUnreadable(f"{shown(href)} is damaged or no raster: {error}")


def _refuse_error(file: Any) -> None:
    """Raise what happened to the connection, whatever GDAL made of the bytes it got."""
    found = getattr(file, "error", None)
    if isinstance(found, SrcubeError):
        raise found


class _Unclosed:
    """A file that GDAL may close and open again; ours is closed where it was opened."""

    def __init__(self, file: Any) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell
        file.seek(0)

    def close(self) -> None:
        """Leave the file open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _check_size(dataset: Any, href: str) -> None:
    """Refuse before decoding what would not fit into memory."""
    height, width = dataset.shape
    if height * width > MAX_PIXELS or dataset.count > MAX_BANDS:
        raise AssetTooLarge(
            f"{shown(href)}: {dataset.count} bands of {width} x {height} pixels; at most "
            f"{MAX_BANDS} bands of {MAX_PIXELS} pixels are read"
        )
    largest = max(rows * cols for rows, cols in dataset.block_shapes)
    size = largest * max(np.dtype(kind).itemsize for kind in dataset.dtypes)
    if size > MAX_BLOCK_BYTES:
        raise AssetTooLarge(
            f"{shown(href)}: one block decodes to {size} bytes, at most {MAX_BLOCK_BYTES} are"
        )
