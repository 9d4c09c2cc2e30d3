"""Weights from files that somebody else made: looked through before anything is believed.

A safetensors file is a length, a JSON header and bytes. Everything the header says is checked
against the file before a tensor is made, so that a hostile one costs a read of its header.
A pickle can run code when it is opened: it is read only where a person imports it by name,
with `weights_only=True`, and kept as safetensors from then on.
"""

import hashlib
import json
import math
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datacube.errors import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor

MAX_BYTES = 512 * 2**20
MAX_HEADER_BYTES = 4 * 2**20  # a hundred bytes for each tensor: ten times the largest we know
MAX_TENSORS = 20_000
ITEM_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "BOOL": 1,
}  # fmt: skip

Shapes = Mapping[str, tuple[int, ...]]


class ModelRejected(InvalidInput):
    """Weights that are not what they should be, or not of a kind that is read."""

    code = "ModelRejected"


def file_sha256(path: Path) -> str:
    """Digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_weights(
    path: Path,
    *,
    shapes: Shapes | None = None,
    sha256: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> "dict[str, Tensor]":
    """The tensors of a safetensors file by name.

    `shapes` are the names and shapes it must have, `sha256` the digest. Raises ModelRejected
    for any other file, one with a number that is not finite, or one that is too large.
    """
    found = safetensors_shapes(path, max_bytes=max_bytes)
    if shapes is not None:
        check_shapes(found, shapes, path.name)
    if sha256 is not None and file_sha256(path) != sha256:
        raise ModelRejected(
            f"{path.name} is not the file that was recorded (its sha256 differs); import it anew"
        )
    from safetensors.torch import load_file  # noqa: PLC0415 - torch, only when asked for

    tensors: dict[str, Tensor] = load_file(path)
    check_finite(tensors, path.name)
    return tensors


def read_pickle(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """What a torch checkpoint holds, of tensors and plain containers only.

    Raises ModelRejected for anything else; no code of the file is run.
    """
    _check_archive(path, max_bytes)
    import torch  # noqa: PLC0415 - only when asked for

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that torch itself would not write
            # The one place that reads a pickle: it builds tensors and containers, no more.
            return torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError, RuntimeError, ValueError, TypeError, KeyError, IndexError,
        AttributeError, EOFError, OSError, MemoryError, RecursionError, AssertionError,
    ) as error:  # fmt: skip
        raise ModelRejected(
            f"{path.name} holds more than weights, or is damaged; ask its maker for safetensors"
        ) from error


def safetensors_shapes(path: Path, *, max_bytes: int = MAX_BYTES) -> dict[str, tuple[int, ...]]:
    """Shapes by name from the header of a safetensors file, which is checked in full.

    Raises ModelRejected for a file that is none, is too large, or whose header does not tell of
    exactly the bytes that follow it.
    """
    size = _size(path, max_bytes)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise ModelRejected(
                f"{path.name} is no safetensors file: its header would take {length} bytes of "
                f"{size}, at most {MAX_HEADER_BYTES} are read"
            )
        header = _parsed(file.read(length), path.name)
    header.pop("__metadata__", None)
    if not 1 <= len(header) <= MAX_TENSORS:
        raise ModelRejected(f"{path.name} holds {len(header)} tensors, need 1 to {MAX_TENSORS}")
    spans = sorted(_span(name, entry, path.name) for name, entry in header.items())
    _check_spans(spans, size - 8 - length, path.name)
    return {name: tuple(entry["shape"]) for name, entry in header.items()}


def check_shapes(found: Shapes, wanted: Shapes, file: str) -> None:
    """Raise ModelRejected unless names and shapes are the ones wanted, naming the first other."""
    for name in sorted({*found, *wanted}):
        if found.get(name) != wanted.get(name):
            raise ModelRejected(
                f"{file} has {name[:80]!r} as {_shape(found.get(name))}, need "
                f"{_shape(wanted.get(name))}: weights of another network"
            )


def check_finite(tensors: "Mapping[str, Tensor]", file: str) -> None:
    """Raise ModelRejected for a tensor with NaN or infinity in it."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ModelRejected(f"{file} has numbers that are not finite in {name[:80]!r}")


def _size(path: Path, max_bytes: int) -> int:
    if not path.is_file():
        raise ModelRejected(f"there is no file {path.name}")
    size = path.stat().st_size
    if size > max_bytes:
        raise ModelRejected(
            f"{path.name} takes {size / 2**20:.0f} MiB; at most {max_bytes / 2**20:.0f} are read"
        )
    return size


def _parsed(text: bytes, file: str) -> dict[str, Any]:
    try:
        header = json.loads(text, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError) as error:
        raise ModelRejected(f"{file} is no safetensors file: its header is no JSON") from error
    if not isinstance(header, dict):
        raise ModelRejected(f"{file} is no safetensors file: its header is no JSON object")
    return header


def _without_twins(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:80]} twice")
        found[name] = value
    return found


def _span(name: str, entry: Any, file: str) -> tuple[int, int, str]:
    """First and last byte of one tensor, which its shape and type must account for."""
    wrong = ModelRejected(f"{file} describes {name[:80]!r} in no valid way")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise wrong
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not (_are_counts(shape) and _are_counts(offsets) and len(offsets) == 2 and len(shape) <= 8):
        raise wrong
    item = ITEM_BYTES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if item is None or math.prod(shape) * item != offsets[1] - offsets[0]:
        raise wrong
    return offsets[0], offsets[1], name


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value <= 2**40 for value in values
    )


def _check_spans(spans: list[tuple[int, int, str]], size: int, file: str) -> None:
    """Tensors lie one after the other: no gap to hide in, no overlap, nothing behind."""
    place = 0
    for start, end, name in spans:
        if start != place:
            raise ModelRejected(f"{file} has {name[:80]!r} at byte {start}, need {place}")
        place = end
    if place != size:
        raise ModelRejected(f"{file} announces {place} bytes of weights and holds {size}")


def _check_archive(path: Path, max_bytes: int) -> None:
    """A checkpoint is a zip of stored entries: nothing in it grows when it is read."""
    _size(path, max_bytes)
    if not zipfile.is_zipfile(path):
        raise ModelRejected(
            f"{path.name} is neither a safetensors file nor a checkpoint as torch has written "
            "since 1.6; convert it to safetensors"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise ModelRejected(f"{path.name} is a damaged archive") from error
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or len(entries) > MAX_TENSORS or sum(one.file_size for one in entries) > max_bytes:
        raise ModelRejected(f"{path.name} is no checkpoint as torch writes one")


def _shape(shape: tuple[int, ...] | None) -> str:
    return "nothing" if shape is None else "x".join(map(str, shape)) or "a number"
