"""The process that decodes rasters: run as a script by `decoding`, apart from the one that asks.

    python -P decoder.py CONNECTION SHARED SHARED_BYTES MEMORY_BYTES IDLE_S

GDAL believes much of what a file says of itself, in C. Here it may: with bounded memory, no files
to write, and nothing in memory worth having. Requests and answers are JSON, and pixels are left in
memory shared with the asker, who so never unpacks a thing that a file could have forged.

Nothing of ours is imported, so that it starts in a third of a second.
"""

import json
import mmap
import os
import resource
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

Document = dict[str, Any]

ENVIRONMENT = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_NUM_THREADS": "1",
    "GDAL_CACHEMAX": 128,
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "none",
}
MAX_OPEN = 256  # file descriptors; a scene has fourteen files
RECORD_TAG = "SRCUBE_PROVENANCE"  # `datacube.provenance.TAG`; nothing of ours is imported here
RECORD_WORDS = ("model", "attribution", "notice")
MAX_TEXT = 20_000  # characters of a CRS in full have 2,000
NAME = "asset"  # what GDAL sees instead of an address
DESCRIBED_BANDS = 1000  # of more, only the number is told
ADDED = b"+"  # before the bytes that were wanted; anything else says there are none


class Served:
    """A file that the asker reads for us: GDAL's reads become questions to it."""

    def __init__(self, connection: Connection, size: int) -> None:
        self._connection, self._size = connection, size
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """Bytes from here on; none where the asker could not get them."""
        length = max(self._size - self._at, 0)
        length = length if size < 0 else min(size, length)
        if not length:
            return b""
        _send(self._connection, {"want": [self._at, length]})
        answer = self._connection.recv_bytes()
        data = answer[1:] if answer[:1] == ADDED else b""
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; asks nothing."""
        self._at = max(offset + {0: 0, 1: self._at, 2: self._size}[whence], 0)
        return self._at

    def tell(self) -> int:
        """Place of the next read."""
        return self._at

    def close(self) -> None:
        """Nothing is held: GDAL may close it and open it again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class Decoder:
    """Open files by number, and the memory that pixels are left in."""

    def __init__(self, connection: Connection, shared: mmap.mmap) -> None:
        self._connection, self._shared = connection, shared
        self._files: dict[int, Any] = {}

    def answer(self, asked: Document) -> Document:
        """Carry out one request; what fails is told, as `memory` or as `unreadable`."""
        work: Callable[[Document], Document] = {
            "open": self._open, "read": self._read, "close": self._close,
        }[asked["do"]]  # fmt: skip
        try:
            return work(asked)
        except (RasterioError, OSError, MemoryError, ValueError, UnicodeError) as error:
            return {"error": _kind(error), "reason": str(error)[:200]}

    @property
    def is_idle(self) -> bool:
        """Whether no file is open."""
        return not self._files

    def _open(self, asked: Document) -> Document:
        number, size = asked["file"], asked["size"]
        failure: Exception | None = None
        for driver in asked["drivers"]:
            try:
                if size is None:
                    dataset = rasterio.open(asked["path"], driver=driver)
                else:
                    dataset = rasterio.open(NAME, opener=self._opener(size), driver=driver)
            except (RasterioError, OSError) as error:
                failure = error
                continue
            self._files[number] = dataset
            return header(dataset)
        raise failure or ValueError("no driver is allowed")

    def _opener(self, size: int) -> Callable[..., Served]:
        def opener(path: str, _mode: str = "rb", **_options: Any) -> Served:
            if path != NAME:
                raise FileNotFoundError(path)
            return Served(self._connection, size)

        return opener

    def _read(self, asked: Document) -> Document:
        dataset, index = self._files[asked["file"]], asked["index"]
        row, col, height, width = asked["window"]
        place = Window(col, row, width, height)
        dtype = np.dtype(dataset.dtypes[index - 1])
        pixels = np.frombuffer(self._shared, dtype, height * width).reshape(height, width)
        dataset.read(index, window=place, out=pixels)
        if asked["mask"] is not None:
            seen = np.frombuffer(self._shared, np.uint8, height * width, pixels.nbytes)
            seen = seen.reshape(height, width)
            if asked["mask"]:
                np.not_equal(dataset.read(asked["mask"], window=place), 0, out=seen.view(bool))
            else:
                dataset.read_masks(index, window=place, out=seen)
        return {}

    def _close(self, asked: Document) -> Document:
        dataset = self._files.pop(asked["file"], None)
        if dataset is not None:
            dataset.close()
        return {}


def header(dataset: Any) -> Document:
    """What a file says of itself, as JSON holds it; nothing is decoded for it."""
    told = dataset.count <= DESCRIBED_BANDS
    crs = dataset.crs
    authority = crs.to_authority() if crs else None
    text = ":".join(authority) if authority else crs.to_wkt()[:MAX_TEXT] if crs else None
    return {
        "shape": list(dataset.shape),
        "count": dataset.count,
        "crs": text,
        "transform": list(dataset.transform)[:6],
        "dtypes": list(dataset.dtypes) if told else [],
        "block_shapes": [list(shape) for shape in dataset.block_shapes] if told else [],
        "descriptions": [_short(text) for text in dataset.descriptions] if told else [],
        "no_data": list(dataset.nodatavals) if told else [],
        "scales": list(dataset.scales) if told else [],
        "offsets": list(dataset.offsets) if told else [],
        "masked": [_is_masked(flags) for flags in dataset.mask_flag_enums] if told else [],
        "alpha": [kind == ColorInterp.alpha for kind in dataset.colorinterp] if told else [],
        "datetime": _short(dataset.tags().get("datetime")),
        "record": record(dataset.tags().get(RECORD_TAG)),
    }


def record(text: str | None) -> Document:
    """What a record of srcube's says of how real its pixels are; nothing of one that is none."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    words = {name: str(found[name])[:1000] for name in RECORD_WORDS if found.get(name)}
    return {**words, **{name: found.get(name) is True for name in ("simulated", "inferred")}}


def _is_masked(flags: list[MaskFlags]) -> bool:
    """Whether a mask of the whole file goes with a band; opacity is told apart by `alpha`."""
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags


def _short(text: str | None) -> str | None:
    return text[:MAX_TEXT] if text else None


def _kind(error: BaseException | None) -> str:
    """Whether memory was what failed, by the error and those behind it."""
    while error is not None:
        if isinstance(error, MemoryError) or "memory" in f"{type(error).__name__} {error}".lower():
            return "memory"
        error = error.__cause__ or error.__context__
    return "unreadable"


def _send(connection: Connection, document: Document) -> None:
    connection.send_bytes(json.dumps(document).encode())


def limit(memory_bytes: int) -> None:
    """Bound what this process may take beyond what it has now; it writes no file."""
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_NOFILE: MAX_OPEN}
    held = Path("/proc/self/statm")
    if held.exists():  # elsewhere than on Linux address space cannot be limited anyhow
        pages = int(held.read_text().split()[0])
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + memory_bytes
    for kind, value in limits.items():
        _, hard = resource.getrlimit(kind)  # that of who started us may be lower
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))


def main() -> None:
    """Answer until the asker is gone, or has nothing to ask for a while."""
    *numbers, idle = sys.argv[1:]
    connection_fd, shared_fd, shared_bytes, memory_bytes = (int(word) for word in numbers)
    connection = Connection(connection_fd)
    decoder = Decoder(connection, mmap.mmap(shared_fd, shared_bytes))
    warnings.simplefilter("ignore", NotGeoreferencedWarning)  # the asker refuses what has no place
    with rasterio.Env(**ENVIRONMENT), suppress(EOFError, OSError):  # the asker may end any time
        limit(memory_bytes)
        _send(connection, {})
        while connection.poll(float(idle) if decoder.is_idle else None):
            _send(connection, decoder.answer(json.loads(connection.recv_bytes())))


if __name__ == "__main__":
    main()
