"""One chunk to bytes and back, with the checksum that makes damage visible.

Encoding is done here, not through zarr, because a commit must know each chunk's bytes (to
digest, sync and verify them), and because a tile spends its time here. What is written is
plain Zarr v3, `bytes` little-endian then `zstd` with checksum: any Zarr reader opens it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

from datacube.errors import Damaged
from datacube.store.conventions import ZSTD_LEVEL, Document
from datacube.store.storage import Storage

_ZSTD = Zstd(level=ZSTD_LEVEL, checksum=True)


def chunk_key(path: str, index: Sequence[int]) -> str:
    """Key of one chunk under the default encoding; a scalar array has the key `c`."""
    return "/".join([path, "c", *(str(number) for number in index)])


def encode(chunk: NDArray[Any], document: Document) -> bytes:
    """Bytes of a full chunk in the array's type; smaller arrays are padded with the fill value."""
    shape = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
    dtype = _dtype(document)
    if chunk.shape != shape or chunk.dtype != dtype:
        padded = np.full(shape, document["fill_value"], dtype)
        padded[tuple(slice(0, size) for size in chunk.shape)] = chunk
        chunk = padded
    raw = np.ascontiguousarray(chunk).tobytes()
    return bytes(_ZSTD.encode(raw)) if _is_compressed(document) else raw


def decode(data: bytes, document: Document, *, key: str) -> NDArray[Any]:
    """The chunk as a read-only array; raises Damaged if the checksum or the length is off."""
    shape = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
    dtype = _dtype(document)
    size = dtype.itemsize * int(np.prod(shape))
    if _is_compressed(document):
        told = _told_size(data)
        if told != size:  # before anything of that size is allocated
            raise Damaged(f"chunk {key} tells {told} bytes, not those of shape {shape} of {dtype}")
        try:
            data = _ZSTD.decode(data)
        except RuntimeError as error:
            raise Damaged(f"chunk {key} fails its checksum; see `srcube verify`") from error
    if len(data) != size:
        raise Damaged(f"chunk {key} decodes to {len(data)} bytes, not to shape {shape} of {dtype}")
    return np.frombuffer(data, dtype).reshape(shape)


def read_chunk(
    storage: Storage, path: str, index: Sequence[int], document: Document
) -> NDArray[Any]:
    """A chunk that a commit has promised; raises Damaged if it is missing or damaged."""
    key = chunk_key(path, index)
    return decode(read_bytes(storage, key), document, key=key)


def read_bytes(storage: Storage, key: str) -> bytes:
    """The stored bytes of a promised chunk; raises Damaged if it is missing."""
    data = storage.read(key)
    if data is None:
        raise Damaged(f"chunk {key} is recorded as written but missing")
    return data


def split(
    values: NDArray[Any], chunks: tuple[int, int]
) -> Iterator[tuple[tuple[int, int], NDArray[Any]]]:
    """Cut the last two axes into chunks: (row, column) of the chunk, and its values."""
    height, width = values.shape[-2:]
    for row in range(-(-height // chunks[0])):
        for col in range(-(-width // chunks[1])):
            rows = slice(row * chunks[0], (row + 1) * chunks[0])
            cols = slice(col * chunks[1], (col + 1) * chunks[1])
            yield (row, col), values[..., rows, cols]


def digest(parts: Iterable[bytes]) -> np.uint64:
    """First eight bytes of the SHA-256 over the parts; never 0, which means `not computed`."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(hashlib.sha256(part).digest())
    return np.uint64(int.from_bytes(hashed.digest()[:8], "little") or 1)


def _told_size(data: bytes) -> int | None:
    """The length of its content that a zstd frame tells (RFC 8878, 3.1.1.1); None for no frame."""
    if len(data) < 5 or data[:4] != b"\x28\xb5\x2f\xfd":
        return None
    flags = data[4]
    is_single, width = flags >> 5 & 1, (0, 2, 4, 8)[flags >> 6]
    width = width or is_single  # a frame without either tells nothing
    start = 5 + (1 - is_single) + (0, 1, 2, 4)[flags & 3]
    told = int.from_bytes(data[start : start + width], "little")
    return told + (256 if width == 2 else 0) if width and len(data) >= start + width else None


def _is_compressed(document: Document) -> bool:
    return any(codec["name"] == "zstd" for codec in document["codecs"])


def _dtype(document: Document) -> np.dtype[Any]:
    return np.dtype(document["data_type"]).newbyteorder("<")
