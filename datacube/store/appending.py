"""A scene to chunks, piece by piece: memory is bounded by a few pieces, whatever the scene.

A piece is 4 x 4 chunks of the finest level, 2 x 2 of the next and one of the third; what is
coarser is made from all pieces at the end, out of one sixty-fourth of the pixels. Pieces are
tasks of a Dask graph, run by threads here or by a cluster elsewhere. A task that is run twice
writes the same bytes under the same keys, so that a worker may die on the way.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from dask.delayed import Delayed, delayed
from numpy.typing import NDArray

from datacube.errors import Damaged, InvalidInput, Unavailable
from datacube.scene import PixelSource, ScenePixels
from datacube.store.chunks import chunk_key, encode, split
from datacube.store.conventions import Document
from datacube.store.pyramid import halved
from datacube.store.storage import Storage
from datacube.window import Window

PIECE_CHUNKS = 4  # 2048 px a side: 33 MB for four bands, and its levels stay whole chunks
PIECE_LEVELS = 3
MAX_THREADS = 8  # each holds a piece and its copies, about 150 MB
CONNECT_S = 5

Progress = Callable[[int, int], None]
ChunkDigest = tuple[str, tuple[int, ...], str]  # array, band (if any) with row and column, SHA-256


@dataclass(frozen=True, eq=False)
class Part:
    """What is left of a piece: digests of its chunks, and its pixels at the first coarser level
    that was not written.
    """

    window: Window
    digests: tuple[ChunkDigest, ...]
    rest: ScenePixels | None


@dataclass(frozen=True)
class SlotWriter:
    """Puts one scene into one slot, or with `slot` None only says what its digest would be.

    `levels` are paths of groups, finest first; `nodes` the documents of the cube; `seconds` the
    time of the scene since 1970.
    """

    storage: Storage
    nodes: Mapping[str, Document]
    levels: tuple[str, ...]
    slot: int | None = None
    seconds: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(bands, height, width) of the finest level."""
        _, *shape = self.nodes[f"{self.levels[0]}/reflectance"]["shape"]
        return shape[0], shape[1], shape[2]

    @property
    def chunk_px(self) -> int:
        """Side of a chunk."""
        path = f"{self.levels[0]}/reflectance"
        return int(self.nodes[path]["chunk_grid"]["configuration"]["chunk_shape"][-1])

    def pieces(self) -> list[Window]:
        """Windows of the finest level that cover it once."""
        side = PIECE_CHUNKS * self.chunk_px
        _, height, width = self.shape
        return [
            Window(row, col, side, side).within((height, width))
            for row in range(0, height, side)
            for col in range(0, width, side)
        ]

    def check(self, pixels: ScenePixels, shape: tuple[int, int]) -> None:
        """Raise InvalidInput for pixels that are not this cube's over a window of `shape`."""
        expected = (self.shape[0], *shape)
        if pixels.dn.shape != expected or pixels.dn.dtype != np.uint16:
            raise InvalidInput(
                f"need uint16 pixels of shape {expected}, got {pixels.dn.dtype} {pixels.dn.shape}"
            )
        has_scl = f"{self.levels[0]}/scl" in self.nodes
        if (pixels.scl is not None) != has_scl:
            raise InvalidInput(
                f"the cube holds {'a' if has_scl else 'no'} scene classification, "
                f"the scene brings {'none' if pixels.scl is None else 'one'}"
            )
        if pixels.scl is not None and (pixels.scl.shape != shape or pixels.scl.dtype != np.uint8):
            raise InvalidInput(
                f"need a uint8 classification of {shape}, got {pixels.scl.dtype} {pixels.scl.shape}"
            )

    def write_piece(self, source: PixelSource, window: Window) -> Part:
        """Read one piece; write its chunks and as many of its levels as are whole chunks."""
        pixels = source.read(window)
        self.check(pixels, (window.height, window.width))
        origin = (window.row // self.chunk_px, window.col // self.chunk_px)
        digests = tuple(_digests(pixels, origin, self.chunk_px))
        if self.slot is None:
            return Part(window, digests, None)
        return Part(window, digests, self._write_levels(pixels, 0, PIECE_LEVELS, window))

    def write_rest(self, parts: Sequence[Part]) -> str:
        """Write the coarser levels and the time; returns the digest of the scene."""
        if self.slot is not None:
            if parts[0].rest is not None:
                whole, window = _joined(parts)
                self._write_levels(whole, PIECE_LEVELS, len(self.levels), window)
            self._write_time(self.slot)
        return content_digest(digest for part in parts for digest in part.digests)

    def _write_levels(
        self, pixels: ScenePixels, first: int, stop: int, window: Window
    ) -> ScenePixels | None:
        """Write levels from `first` to before `stop`; the next coarser pixels, if there are."""
        written: dict[str, bytes] = {}
        for level in range(first, min(stop, len(self.levels))):
            side = self.chunk_px << level
            origin = (window.row // side, window.col // side)
            written |= self._encoded(pixels, self.levels[level], origin)
            pixels = halved(pixels)
        for key, data in written.items():
            self.storage.write(key, data, durable=False)
        self._confirm(written)
        return pixels if stop < len(self.levels) else None

    def _encoded(
        self, pixels: ScenePixels, group: str, origin: tuple[int, int]
    ) -> dict[str, bytes]:
        slot = self.slot or 0
        chunks: dict[str, bytes] = {}
        for name, lead, plane in _planes(pixels):
            path = f"{group}/{name}"
            for (row, col), values in split(plane, (self.chunk_px, self.chunk_px)):
                index = (slot, *lead, origin[0] + row, origin[1] + col)
                chunk = values.reshape((1,) * (1 + len(lead)) + values.shape)
                chunks[chunk_key(path, index)] = encode(chunk, self.nodes[path])
        return chunks

    def _write_time(self, slot: int) -> None:
        seconds = np.array([self.seconds], np.int64)
        written = {}
        for group in self.levels:
            key = chunk_key(f"{group}/time", (slot,))
            written[key] = encode(seconds, self.nodes[f"{group}/time"])
            self.storage.write(key, written[key], durable=False)
        self._confirm(written)

    def _confirm(self, written: Mapping[str, bytes]) -> None:
        self.storage.settle(written)
        for key, data in written.items():
            if self.storage.read(key) != data:
                raise Damaged(f"chunk {key} did not read back as written; nothing was committed")


def write_scene(
    writer: SlotWriter,
    source: PixelSource,
    *,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> str:
    """Write every chunk of a scene to its slot; returns the digest of its content.

    `scheduler` is the address of a dask.distributed scheduler; without one, threads of this
    process do it. `progress` is told (pieces done, pieces), from any thread but never from two
    at once. Raises InvalidInput for an address that would be open to the network.
    """
    report = _Counter(progress, len(writer.pieces()))
    held = delayed(source, traverse=False)
    task = delayed(_counted if scheduler is None else SlotWriter.write_piece, pure=False)
    more = (report,) if scheduler is None else ()
    parts = [task(writer, held, window, *more) for window in writer.pieces()]
    whole = delayed(writer.write_rest, pure=False)(parts)
    if scheduler is not None:
        return _on_cluster(scheduler, parts, whole, report)
    # One piece needs no thread; and a process that was forked may have none to give.
    how = {"scheduler": "synchronous"} if len(parts) == 1 else _threads()
    digest: str = whole.compute(**how)
    return digest


def content_digest(digests: Iterator[ChunkDigest]) -> str:
    """Digest of a scene's content from those of its chunks, in whichever order they come."""
    hashed = hashlib.sha256()
    for name, index, chunk in sorted(digests):
        hashed.update(f"{name}{list(index)}:{chunk}\n".encode())
    return hashed.hexdigest()


def chunk_digest(values: NDArray[Any]) -> str:
    """Digest of a chunk's pixels, free of padding and of how they were compressed."""
    shape = values.shape[-2:]
    hashed = hashlib.sha256(f"{values.dtype.str}{list(shape)}".encode())
    hashed.update(np.ascontiguousarray(values).tobytes())
    return hashed.hexdigest()


def check_scheduler(address: str) -> None:
    """Raise InvalidInput unless the address is local, or encrypted: its messages are pickles."""
    parts = urlsplit(address)
    local = parts.hostname in {"localhost", "::1"} or str(parts.hostname).startswith("127.")
    if parts.scheme == "tls" or (parts.scheme == "tcp" and local):
        return
    raise InvalidInput(
        f"need tls://HOST:PORT, or tcp:// on this machine, for the scheduler, got {address!r}; "
        "whoever can reach a Dask scheduler without TLS can run code on its workers"
    )


class _Counter:
    """Counts finished pieces."""

    def __init__(self, tell: Progress | None, total: int) -> None:
        self._tell, self._total, self._done = tell, total, 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._done += 1
            if self._tell:
                self._tell(self._done, self._total)


def _counted(writer: SlotWriter, source: PixelSource, window: Window, report: _Counter) -> Part:
    part = writer.write_piece(source, window)
    report()
    return part


def _threads() -> dict[str, Any]:
    return {"scheduler": "threads", "num_workers": min(os.cpu_count() or 1, MAX_THREADS)}


def _on_cluster(address: str, parts: list[Delayed], whole: Delayed, report: _Counter) -> str:
    """Run the graph on a cluster; raises Unavailable if the cluster fails."""
    check_scheduler(address)
    from distributed import Client, KilledWorker, as_completed  # noqa: PLC0415 (slow, rarely used)
    from distributed.client import FutureCancelledError  # noqa: PLC0415

    try:
        with Client(address, timeout=CONNECT_S, set_as_default=False) as client:
            *pieces, last = client.compute([*parts, whole])
            for piece in as_completed(pieces, loop=client.loop):
                if piece.status != "finished":
                    break
                report()
            digest: str = last.result()
            return digest
    except (KilledWorker, FutureCancelledError, OSError) as error:
        raise Unavailable(
            f"the cluster at {address} did not finish the scene ({type(error).__name__}); "
            "nothing was committed, start the workers anew and retry"
        ) from error


def _planes(pixels: ScenePixels) -> Iterator[tuple[str, tuple[int, ...], NDArray[Any]]]:
    for band, plane in enumerate(pixels.dn):
        yield "reflectance", (band,), plane
    if pixels.scl is not None:
        yield "scl", (), pixels.scl


def _digests(pixels: ScenePixels, origin: tuple[int, int], chunk_px: int) -> Iterator[ChunkDigest]:
    for name, lead, plane in _planes(pixels):
        for (row, col), values in split(plane, (chunk_px, chunk_px)):
            yield name, (*lead, origin[0] + row, origin[1] + col), chunk_digest(values)


def _joined(parts: Sequence[Part]) -> tuple[ScenePixels, Window]:
    """The rests of all pieces as one image at their own level."""
    scale = 1 << PIECE_LEVELS
    places = [(part.window.row // scale, part.window.col // scale, part.rest) for part in parts]
    rests = [(row, col, rest) for row, col, rest in places if rest is not None]
    height = max(row + rest.dn.shape[1] for row, _, rest in rests)
    width = max(col + rest.dn.shape[2] for _, col, rest in rests)
    dn = np.empty((rests[0][2].dn.shape[0], height, width), np.uint16)
    scl = None if rests[0][2].scl is None else np.empty((height, width), np.uint8)
    for row, col, rest in rests:
        place = Window(row, col, *rest.dn.shape[1:]).slices
        dn[:, *place] = rest.dn
        if scl is not None and rest.scl is not None:
            scl[place] = rest.scl
    return ScenePixels(dn, scl), Window(0, 0, height, width)
