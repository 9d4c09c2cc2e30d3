"""What a root document may say of arrays before any of it is believed.

Reading follows these documents: a shape decides what is laid out, a chunk's shape what is
allocated, codecs how bytes are understood. What our writer never writes is refused on opening.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from datacube.errors import Damaged, InvalidInput
from datacube.store.conventions import Document

MAX_SIDE = 1 << 26  # the Earth's girth in pixels of 60 cm
MAX_CHUNK_BYTES = 1 << 28
CODECS = (["bytes"], ["bytes", "zstd"])


def check_documents(attributes: Document, nodes: Mapping[str, Document], address: str) -> None:
    """Raise InvalidInput for arrays that no writer of ours makes, Damaged for documents of none."""
    try:
        for path, document in nodes.items():
            if document["node_type"] == "array":
                _check_array(path, document)
        for owner in (attributes, *(one["attributes"] for one in nodes.values())):
            for entry in owner.get("multiscales", {}).get("layout", ()):
                _check_sides(entry["asset"], entry.get("spatial:shape", ()))
    except (KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{address} has a root document that is not a cube's") from error


def _check_array(path: str, document: Document) -> None:
    codecs = [one["name"] for one in document["codecs"]]
    if codecs not in CODECS or document.get("storage_transformers"):
        named = ", ".join(str(one)[:40] for one in codecs)
        raise InvalidInput(f"array {path} is packed by {named}; need bytes, or bytes and zstd")
    chunk = document["chunk_grid"]["configuration"]["chunk_shape"]
    _check_sides(path, document["shape"])
    _check_sides(path, chunk)
    if len(chunk) != len(document["shape"]):
        raise InvalidInput(
            f"array {path} has {len(document['shape'])} axes, its chunks {len(chunk)}"
        )
    try:
        dtype = np.dtype(document["data_type"])
    except TypeError as error:
        raise InvalidInput(f"array {path} is of no type of numbers") from error
    if dtype.kind not in "biuf":
        raise InvalidInput(f"array {path} is of type {dtype}; need numbers")
    if dtype.itemsize * prod(chunk) > MAX_CHUNK_BYTES:
        raise InvalidInput(
            f"array {path} has chunks of {dtype.itemsize * prod(chunk)} bytes, more than the "
            f"{MAX_CHUNK_BYTES} that are read at once"
        )


def _check_sides(path: str, shape: Any) -> None:
    if not all(type(side) is int and 0 <= side <= MAX_SIDE for side in shape):
        raise InvalidInput(
            f"{path} has the shape {str(list(shape))[:80]}; need sides of 0 to {MAX_SIDE}"
        )
