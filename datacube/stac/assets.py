"""An asset as an open raster: byte ranges through the checked client, or a local file.

GDAL opens no address itself. It is handed a Python file whose reads become range requests, and
only two drivers may look at the bytes. JPEG 2000 asks for so many small ranges that the whole
file is staged first.
"""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from datacube.errors import SrcubeError
from datacube.sources.raster import ENVIRONMENT, MAX_BANDS, MAX_BLOCK_BYTES, MAX_PIXELS
from datacube.sources.refusals import AssetTooLarge, AssetUnreadable
from datacube.stac.errors import Unreachable
from datacube.stac.fetch import Fetcher
from datacube.stac.hrefs import shown

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


@contextmanager
def opened(href: str, fetcher: Fetcher) -> Iterator[Any]:
    """The rasterio dataset of an asset, checked for size; closed when the context ends.

    Raises HrefForbidden, Unreachable, AssetTooLarge or AssetUnreadable, also for what goes
    wrong while the caller reads inside the context.
    """
    if not fetcher.policy.is_remote(href):
        path = fetcher.policy.local_path(href)
        with _local(path, href) as dataset:
            yield dataset
    elif href.partition("?")[0].lower().endswith((".jp2", ".j2k")):
        with tempfile.TemporaryDirectory(prefix="srcube-") as folder:
            path = Path(folder) / "asset.jp2"
            fetcher.save(href, path, max_bytes=MAX_STAGED_BYTES)
            with _local(path, href) as dataset:
                yield dataset
    else:
        with RangeFile(href, fetcher) as file, _dataset(file, href, file.head) as dataset:
            yield dataset


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
        """Bytes from here on, in one request unless they are held already."""
        length = max(self.size - self._at, 0)
        length = length if size < 0 else min(size, length)
        try:
            data = self._bytes(self._at, length)
        except SrcubeError as error:
            self.error = error
            raise
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


@contextmanager
def _local(path: Path, href: str) -> Iterator[Any]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise AssetUnreadable(f"{shown(href)} cannot be opened: {error.strerror}") from error
    with file, _dataset(file, href, file.read(MAGIC_BYTES)) as dataset:
        yield dataset


@contextmanager
def _dataset(file: Any, href: str, head: bytes) -> Iterator[Any]:
    driver = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
    if driver is None:
        raise AssetUnreadable(f"{shown(href)} is neither a TIFF nor a JPEG 2000 file")

    def opener(path: str, _mode: str = "rb", **_options: Any) -> Any:
        if path != NAME:
            raise FileNotFoundError(path)
        return _Unclosed(file)

    try:
        with (
            rasterio.Env(**ENVIRONMENT),
            rasterio.open(NAME, opener=opener, driver=driver) as dataset,
        ):
            _check_size(dataset, href)
            yield dataset
    except RasterioError as error:
        cause = getattr(file, "error", None)
        if cause is not None:
            raise cause from error
        raise AssetUnreadable(f"{shown(href)} is damaged or no raster: {error}") from error


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
