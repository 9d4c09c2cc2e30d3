"""Committed arrays as lazy xarray, read through the checksums."""

from collections.abc import Mapping
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from datacube.store.conventions import Document
from datacube.store.reading import ChunkReader

FROM_COMMIT = {"time", "superseded"}


def lazy_dataset(
    nodes: Mapping[str, Document], group: str, chunks: ChunkReader, *, sparse: bool = False
) -> xr.Dataset:
    """The arrays of one group as a CF-decoded dataset of dask arrays.

    `time` and `superseded` are for plain readers: ours know both from the commit. A chunk that
    is not there is damage, unless `sparse`: then it reads as the fill value.
    """
    variables = {}
    for path, document in nodes.items():
        parent, _, name = path.rpartition("/")
        if parent == group and document["node_type"] == "array" and name not in FROM_COMMIT:
            values = _lazy_array(path, document, chunks, sparse=sparse)
            dims = document["dimension_names"]
            variables[name] = xr.Variable(dims, values, document["attributes"])
    dataset = xr.Dataset(variables).set_coords({"y", "x", "spatial_ref"} & set(variables))
    return xr.decode_cf(dataset.map(_loaded_if_vector))


def _lazy_array(path: str, document: Document, chunks: ChunkReader, *, sparse: bool) -> Any:
    shape = tuple(document["shape"])
    chunk_shape = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
    dtype = np.dtype(document["data_type"])
    if not shape:
        return chunks.chunk(path, (), document)
    steps = tuple(
        tuple(min(step, size - start) for start in range(0, size, step)) or (0,)
        for size, step in zip(shape, chunk_shape, strict=True)
    )

    def load(block_info: Any = None) -> NDArray[Any]:
        place = block_info[None]
        index, size = tuple(place["chunk-location"]), place["chunk-shape"]
        if sparse and not chunks.has(path, index):
            return np.full(size, document["fill_value"], dtype)
        chunk = chunks.chunk(path, index, document)
        return chunk[tuple(slice(0, length) for length in size)]

    meta = np.empty((0,) * len(shape), dtype)
    return da.map_blocks(load, chunks=steps, dtype=dtype, meta=meta)  # type: ignore[no-untyped-call]


def _loaded_if_vector(variable: xr.DataArray) -> xr.DataArray:
    """Coordinates are small: read them now."""
    return variable.compute() if variable.ndim <= 1 else variable
