"""Grids of a group of levels, and the coordinates that follow from them alone."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from affine import Affine

from datacube.grid import Grid
from datacube.store.chunks import chunk_key, encode
from datacube.store.conventions import Document, level_name

Chunks = Iterator[tuple[str, bytes]]


def grids_of(attributes: Mapping[str, Any]) -> tuple[Grid, ...]:
    """Grids of a multiscales group, finest first."""
    crs = attributes.get("proj:code") or attributes["proj:wkt2"]
    return tuple(
        Grid(crs, Affine(*entry["spatial:transform"]), tuple(entry["spatial:shape"]))
        for entry in attributes["multiscales"]["layout"]
    )


def coordinate_chunks(path: str, document: Document, nodes: Mapping[str, Document]) -> Chunks:
    """Chunks of `y`, `x` and `spatial_ref`, which depend on the grid alone."""
    parent, _, name = path.rpartition("/")
    if name not in {"y", "x", "spatial_ref"}:
        return
    if name == "spatial_ref":
        yield chunk_key(path, ()), encode(np.zeros((), np.int64), document)
        return
    group, _, level = parent.rpartition("/")
    for grid in grids_of(nodes[group]["attributes"]):
        if level_name(grid.gsd_m) == level:
            values = grid.centres()[0 if name == "y" else 1]
            yield chunk_key(path, (0,)), encode(values, document)
