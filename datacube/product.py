"""Sparse finer levels of a cube, written block by block when somebody looks.

A block is fixed on the measured grid, so that its pixels do not depend on who asked. Its chunks
are written first and its digest last: a block without a digest was never computed, a digest
without its chunks is damage. Writing a block is no commit; the generation stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from datacube.cube import Cube, scene_times
from datacube.errors import InvalidInput, NotFound
from datacube.grid import Grid
from datacube.store.arrays import lazy_dataset
from datacube.store.chunks import chunk_key, digest, encode
from datacube.store.commit import Root, amend
from datacube.store.conventions import Document, level_name
from datacube.store.coordinates import grids_of
from datacube.store.layout import BLOCK_PX, ProductSpec, overview_with, product_nodes
from datacube.store.pyramid import dn_levels, flag_levels
from datacube.window import Window

BLOCKS_LOCK = ".blocks.lock"  # apart from the cube's: an ingest may hold that one for long
Block = tuple[int, int]  # row and column of a block on the measured grid


@dataclass(frozen=True)
class Product:
    """One inferred (or true) finer level of an opened cube."""

    cube: Cube
    path: str

    @classmethod
    def ensure(cls, cube: Cube, spec: ProductSpec) -> "Product":
        """The product of this path, declared in the cube if it is not there yet.

        One that was declared with fewer planes gets the others, by one commit: blocks that are
        there stay as they are, and have none of the new planes yet.
        """
        if _declares(cube.root, spec):
            return cls(cube, spec.path)
        nodes = product_nodes(spec, cube.grid)

        def declare(root: Root) -> Root:
            record = root.commit
            if _declares(root, spec):
                return root
            if spec.path in record.products:
                lacking = {path: one for path, one in nodes.items() if path not in root.nodes}
                return root.changed(record, lacking)
            listed = replace(record, products=(*record.products, spec.path))
            return root.changed(listed, nodes, overview_with(root.attributes, spec, cube.grid))

        with cube.storage.exclusive():
            if spec.path not in cube.root.commit.products:
                cube.write_coordinates(nodes)
            root = amend(cube.storage, declare)
        return cls(cube.at(root), spec.path)

    @classmethod
    def open(cls, cube: Cube, path: str) -> "Product":
        """The product of this path; raises NotFound."""
        if path not in cube.root.commit.products:
            raise NotFound(f"the cube has no product {path}")
        return cls(cube, path)

    @property
    def attributes(self) -> Document:
        """What made it: factor, bands, and the model's card."""
        attributes: Document = self.cube.root.nodes[self.path]["attributes"]
        return attributes

    @property
    def factor(self) -> int:
        """How many times finer than the measurement it is."""
        return int(self.attributes["factor"])

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in the order of the band axis."""
        return tuple(self.attributes["bands"])

    @property
    def levels(self) -> tuple[Grid, ...]:
        """Grids, finest first, down to the measured one."""
        return grids_of(self.attributes)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of what is kept per block: the reflectance, and the planes beside it."""
        lead, tail = f"{self.path}/", "_blocks"
        return tuple(
            path.removeprefix(lead).removesuffix(tail)
            for path in self.cube.root.nodes
            if path.startswith(lead) and path.endswith(tail)
        )

    def block_keys(self, slot: int, block: Block, *, variable: str) -> tuple[str, ...]:
        """Keys of a block's chunks, in the order in which its digest takes them."""
        bands = range(len(self.bands)) if variable == "reflectance" else (None,)
        return tuple(
            chunk_key(
                f"{self.path}/{level_name(grid.gsd_m)}/{variable}",
                (slot, *(() if band is None else (band,)), *block),
            )
            for grid in self.levels
            for band in bands
        )

    def block_window(self, block: Block) -> Window:
        """The block's pixels on the measured grid, clipped to it."""
        row, col = block
        window = Window(row * BLOCK_PX, col * BLOCK_PX, BLOCK_PX, BLOCK_PX)
        return window.within(self.cube.grid.shape)

    def has_block(self, slot: int, block: Block, *, variable: str = "reflectance") -> bool:
        """Whether the block was computed for the scene in `slot`."""
        return self._recorded(slot, block, variable) != 0

    def write_block(
        self, slot: int, block: Block, dn: NDArray[np.uint16], *, variable: str = "reflectance"
    ) -> None:
        """Keep one variable of a computed block; see `write_blocks`."""
        self.write_blocks(slot, block, {variable: dn})

    def write_blocks(
        self, slot: int, block: Block, variables: Mapping[str, NDArray[np.uint16]]
    ) -> None:
        """Keep a computed block: (band, y, x) at the finest level, or (y, x) for a plane.

        All chunks are safe before the first variable is recorded, and variables are recorded in
        the order given. What is there already is left as it is. Raises InvalidInput for a wrong
        shape.
        """
        parts: dict[str, bytes] = {}
        records: dict[str, bytes] = {}
        for variable, dn in variables.items():
            self._check(block, dn, variable)
            if self.has_block(slot, block, variable=variable):
                continue
            chunks = self._chunks(slot, block, dn, variable)
            record = f"{self.path}/{variable}_blocks"
            mark = np.full((1, 1, 1), digest(chunks.values()))
            records[chunk_key(record, (slot, *block))] = encode(mark, self.cube.root.nodes[record])
            parts |= chunks
        if records:
            self._keep(parts, records)

    def _check(self, block: Block, dn: NDArray[np.uint16], variable: str) -> None:
        window = self.block_window(block).scaled(self.factor)
        expected = (*self._lead(variable), window.height, window.width)
        if dn.shape != expected or dn.dtype != np.uint16:
            raise InvalidInput(f"need a uint16 block of {expected}, got {dn.dtype} {dn.shape}")

    def _chunks(
        self, slot: int, block: Block, dn: NDArray[np.uint16], variable: str
    ) -> dict[str, bytes]:
        """A block's chunks at every level, by their keys."""
        keys = iter(self.block_keys(slot, block, variable=variable))
        halve = flag_levels if self._holds_flags(variable) else dn_levels
        parts: dict[str, bytes] = {}
        for grid, values in zip(self.levels, halve(dn, len(self.levels)), strict=True):
            document = self.cube.root.nodes[f"{self.path}/{level_name(grid.gsd_m)}/{variable}"]
            for plane in values.reshape(-1, *values.shape[-2:]):
                lead = (1,) * (len(document["shape"]) - 2)
                parts[next(keys)] = encode(plane.reshape(lead + plane.shape), document)
        return parts

    def read_block(
        self, slot: int, block: Block, *, variable: str = "reflectance", level: int = 0
    ) -> NDArray[np.uint16] | None:
        """A block's numbers at one level, or None where it was never computed.

        Raises Damaged if it was computed and a chunk of it is missing or fails its checksum.
        """
        if not self.has_block(slot, block, variable=variable):
            return None
        ratio = self.factor >> level
        window = self.block_window(block).scaled(ratio)
        planes = [
            self.chunk(slot, block, variable=variable, band=band, level=level)
            for band in range(len(self.bands) if self._lead(variable) else 1)
        ]
        stacked = np.stack([plane[: window.height, : window.width] for plane in planes])
        return stacked if self._lead(variable) else stacked[0]

    def chunk(
        self, slot: int, block: Block, *, variable: str, band: int, level: int
    ) -> NDArray[Any]:
        """One band's chunk of a computed block, as stored: padded to the full block."""
        path = f"{self.path}/{level_name(self.levels[level].gsd_m)}/{variable}"
        lead = (slot, band) if self._lead(variable) else (slot,)
        values = self.cube.chunks.chunk(path, (*lead, *block), self.cube.root.nodes[path])
        plane: NDArray[Any] = values[(0,) * len(lead)]
        return plane

    def dataset(self, *, level: int = 0) -> xr.Dataset:
        """One level as lazy, CF-decoded xarray, by time; NaN where no block was computed.

        Dimensions (time, band, y, x); the scenes, and their order, are the cube's.
        """
        path = f"{self.path}/{level_name(self.levels[level].gsd_m)}"
        dataset = lazy_dataset(self.cube.root.nodes, path, self.cube.chunks, sparse=True)
        scenes = self.cube.scenes
        dataset["reflectance"] = dataset["reflectance"].astype(np.float32)
        return dataset.isel(time=[one.slot for one in scenes]).assign_coords(
            time=scene_times(scenes), band=list(self.bands)
        )

    def _keep(self, parts: Mapping[str, bytes], records: Mapping[str, bytes]) -> None:
        """Chunks first, and safely; then what says that they are there, the last one last."""
        storage = self.cube.storage
        *early, last = records
        with storage.exclusive(BLOCKS_LOCK):
            for key, data in parts.items():
                storage.write(key, data, durable=False)
            storage.settle(parts)
            for key in early:
                storage.write(key, records[key], durable=False)
            storage.settle(early)
            storage.write(last, records[last])

    def _holds_flags(self, variable: str) -> bool:
        path = f"{self.path}/{level_name(self.levels[0].gsd_m)}/{variable}"
        return "flag_masks" in self.cube.root.nodes[path]["attributes"]

    def _lead(self, variable: str) -> tuple[int, ...]:
        return (len(self.bands),) if variable == "reflectance" else ()

    def _recorded(self, slot: int, block: Block, variable: str) -> int:
        path = f"{self.path}/{variable}_blocks"
        document = self.cube.root.nodes[path]
        if not self.cube.chunks.has(path, (slot, *block)):
            return 0
        return int(self.cube.chunks.chunk(path, (slot, *block), document)[0, 0, 0])


def _declares(root: Root, spec: ProductSpec) -> bool:
    """Whether a version of the cube has the product, with every plane of it."""
    records = (f"{spec.path}/{plane.name}_blocks" for plane in spec.planes)
    return spec.path in root.commit.products and all(path in root.nodes for path in records)
