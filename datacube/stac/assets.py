"""An asset as an open raster: byte ranges through the checked client, or a local file.

GDAL opens no address itself. In the process where it decodes, its reads become questions to this
one, and these become range requests; only two drivers may look at the bytes. JPEG 2000 asks for so
many small ranges that the whole file is staged first.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from datacube.sources.decoding import Asked, Decoder
from datacube.sources.raster import RasterFile, opened_file
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


@contextmanager
def opened(href: str, fetcher: Fetcher, decoder: Decoder | None = None) -> Iterator[RasterFile]:
    """The raster of an asset, checked for size; closed when the context ends.

    Raises HrefForbidden, Unreachable, AssetTooLarge or AssetUnreadable.
    """
    with ExitStack() as stack:
        if not fetcher.policy.is_remote(href):
            asked = _local(fetcher.policy.local_path(href), href)
        elif href.partition("?")[0].lower().endswith((".jp2", ".j2k")):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="srcube-"))
            path = Path(folder) / "asset.jp2"
            fetcher.save(href, path, max_bytes=MAX_STAGED_BYTES)
            asked = _local(path, href)
        else:
            source = RangeSource(href, fetcher)
            how = {"size": source.size, "drivers": [_driver(source.head, href)]}
            asked = Asked(shown(href), how, source)
        yield stack.enter_context(opened_file(asked, decoder))


class RangeSource:
    """A file on a server, by ranges; keeps the head of the file and the range read last."""

    def __init__(self, href: str, fetcher: Fetcher) -> None:
        self._href = href
        self._fetcher = fetcher
        first = fetcher.read_range(href, 0, HEAD_BYTES)
        self.head = first.data
        self.size = int(first.headers["content-range"].rpartition("/")[2])
        self._etag = first.headers.get("etag")
        self._last = (0, b"")

    def read_at(self, start: int, length: int) -> bytes:
        """Bytes of a range that lies inside, in one request unless they are held already.

        Raises Unreachable if the server fails or the file changed, AssetTooLarge for a range
        beyond all blocks of an honest file.
        """
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


def _local(path: Path, href: str) -> Asked:
    try:
        with path.open("rb") as file:
            head = file.read(MAGIC_BYTES)
    except OSError as error:
        raise AssetUnreadable(f"{shown(href)} cannot be opened: {error.strerror}") from error
    how = {"path": str(path), "size": None, "drivers": [_driver(head, href)]}
    return Asked(shown(href), how)


def _driver(head: bytes, href: str) -> str:
    for magic, name in MAGIC.items():
        if head.startswith(magic):
            return name
    raise AssetUnreadable(f"{shown(href)} is neither a TIFF nor a JPEG 2000 file")
