"""Which arrays a cube has, as a plan: pure, printable, and carried out by `Cube`.

    measurement/r10m/{reflectance, scl, time, y, x, spatial_ref, superseded}, then r20m, r40m ...
    sr/<model>-<hash>/r2.5m/reflectance, coarser levels, reflectance_blocks
    truth/r2.5m/..., for simulated scenes only

Measured and inferred pixels never share a group. A model's group is named by its hash too, so
that pixels of two versions of a model cannot mix.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacube.bands import Band
from datacube.errors import InvalidInput
from datacube.grid import Grid
from datacube.scene import ADD_OFFSET, NO_DATA_DN, SCALE_FACTOR
from datacube.store.conventions import (
    CONVENTIONS,
    ArraySpec,
    Document,
    grid_mapping_attributes,
    group_document,
    level_name,
    multiscales_attributes,
    multiscales_layout,
    spatial_attributes,
)
from datacube.store.pyramid import level_grids

MEASUREMENT = "measurement"
CHUNK_PX = 512  # 0.5 MB decoded: two to four chunks make a map tile, a scene has hundreds
FLAGS_PER_CHUNK = 1024  # of `superseded`, which follows every commit and so must be one write
BLOCK_PX = 128  # side of an inferred block on the measured grid; 512 px at factor 4

# `coordinates` makes plain xarray see the grid mapping as a coordinate, where rioxarray looks.
GEOREFERENCED = {"grid_mapping": "spatial_ref", "coordinates": "spatial_ref"}
EPOCH = "seconds since 1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class CubeSpec:
    """What a new cube is to be.

    `notice` is what a viewer must always show beside it (simulated, nominal position);
    `simulated` and `georeference` (`exact` or `nominal`) say the same to a program. `level` is
    the processing level: L2A is reflectance of the surface, L1C of the top of the atmosphere.
    """

    title: str
    grid: Grid
    bands: tuple[Band, ...]
    description: str = ""
    notice: str | None = None
    attribution: str = ""
    simulated: bool = False
    georeference: str = "exact"
    level: str = "L2A"
    with_scl: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)
    chunk_px: int = CHUNK_PX

    def __post_init__(self) -> None:
        if self.chunk_px < 16 or self.chunk_px & (self.chunk_px - 1):
            raise InvalidInput(f"need chunks of 16, 32, 64 ... px a side, got {self.chunk_px}")

    def attributes(self) -> Document:
        """Attributes of the cube's root group."""
        return {
            **overview_attributes(self.grid),
            "title": self.title,
            "description": self.description,
            "notice": self.notice,
            "attribution": self.attribution,
            "simulated": self.simulated,
            "georeference": self.georeference,
            "processing:level": self.level,
            "Conventions": "CF-1.11",
            **self.extra,
        }


@dataclass(frozen=True)
class PlaneSpec:
    """A variable beside the reflectance of a product: one value per pixel, kept as uint16.

    `flags` are the names of bits, from bit 1 on, of a plane of bit masks; bit 0 is set wherever
    there is a pixel. Masks are never averaged: a coarser pixel has the flags of all it covers.
    """

    name: str
    long_name: str
    units: str
    scale_factor: float
    flags: tuple[str, ...] = ()

    def encode(self, values: NDArray[np.floating[Any]]) -> NDArray[np.uint16]:
        """Numbers to store; 0 is no data, so that a value of 0 is stored as 1, but for masks."""
        if self.flags:
            return np.where(np.isfinite(values), values, NO_DATA_DN).astype(np.uint16)
        numbers = np.clip(np.rint(values / self.scale_factor) + 1, 1, 65535)
        return np.where(np.isfinite(values), numbers, NO_DATA_DN).astype(np.uint16)

    def attributes(self) -> Document:
        """CF attributes of the array."""
        if self.flags:
            return {
                "long_name": self.long_name,
                "flag_masks": [1 << bit for bit in range(len(self.flags) + 1)],
                "flag_meanings": " ".join(("computed", *self.flags)),
                "_FillValue": NO_DATA_DN,
                **GEOREFERENCED,
            }
        return {
            "long_name": self.long_name,
            "units": self.units,
            "scale_factor": self.scale_factor,
            "add_offset": -self.scale_factor,
            "_FillValue": NO_DATA_DN,
            **GEOREFERENCED,
        }


@dataclass(frozen=True)
class ProductSpec:
    """A sparse finer level of the cube: an inference, or the truth of a simulation.

    `path` is its group, `factor` how much finer than the measurement it is, `attributes` what
    made it (a model's card), `planes` what comes beside the reflectance.
    """

    path: str
    factor: int
    bands: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    level: str = "L2A"
    planes: tuple[PlaneSpec, ...] = ()

    def __post_init__(self) -> None:
        if self.factor not in {1, 2, 4, 8}:
            raise InvalidInput(f"need a factor of 1, 2, 4 or 8, got {self.factor}")

    def grids(self, base: Grid) -> tuple[Grid, ...]:
        """Finest level first, down to the measured grid."""
        steps = self.factor.bit_length() - 1
        return tuple(base.refined(2**step) if step else base for step in range(steps, -1, -1))


def root_nodes(spec: CubeSpec) -> dict[str, Document]:
    """Every node of a new cube, without scenes, by its path."""
    grids = level_grids(spec.grid)
    nodes = {MEASUREMENT: group_document(multiscales_attributes(grids, resampling="average"))}
    for grid in grids:
        path = f"{MEASUREMENT}/{level_name(grid.gsd_m)}"
        nodes[path] = group_document({})
        for name, array in _level_arrays(spec, grid).items():
            nodes[f"{path}/{name}"] = array.document()
    return nodes


def product_nodes(spec: ProductSpec, base: Grid) -> dict[str, Document]:
    """Every node of one product, by its path; groups above it included."""
    grids = spec.grids(base)
    attributes = multiscales_attributes(
        grids, resampling="average", derived_from=f"{MEASUREMENT}/{level_name(base.gsd_m)}"
    )
    nodes: dict[str, Document] = {}
    for depth in range(1, len(spec.path.split("/"))):
        nodes["/".join(spec.path.split("/")[:depth])] = group_document({})
    extra = {"factor": spec.factor, "bands": list(spec.bands), **spec.attributes}
    nodes[spec.path] = group_document({**attributes, **extra})
    for index, grid in enumerate(grids):
        path = f"{spec.path}/{level_name(grid.gsd_m)}"
        nodes[path] = group_document({})
        for name, array in _product_arrays(spec, grid, BLOCK_PX * spec.factor >> index).items():
            nodes[f"{path}/{name}"] = array.document()
    for variable in ("reflectance", *(plane.name for plane in spec.planes)):
        nodes[f"{spec.path}/{variable}_blocks"] = _block_record(base).document()
    return nodes


def overview_attributes(base: Grid, layout: Sequence[Document] = ()) -> Document:
    """`multiscales` of the root: the measurement's levels first, then `layout` (default: none).

    Readers that take the first entry for the finest one so begin with measured pixels.
    """
    entries = multiscales_layout(level_grids(base), resampling="average", folder=MEASUREMENT)
    return {
        "zarr_conventions": CONVENTIONS,
        "multiscales": {"layout": [*entries, *layout], "resampling_method": "average"},
        **spatial_attributes(base),
    }


def overview_with(attributes: Mapping[str, Any], spec: ProductSpec, base: Grid) -> Document:
    """The root's `multiscales` with an inferred product's finer levels added to it."""
    known = attributes.get("multiscales", overview_attributes(base)["multiscales"])
    finer = [grid for grid in spec.grids(base) if grid.gsd_m < base.gsd_m]
    if not finer or spec.attributes.get("inferred") is False:
        return {"multiscales": known}
    added = multiscales_layout(finer, resampling="average", folder=spec.path)
    ratio = finer[0].gsd_m / base.gsd_m
    added[0] |= {
        "derived_from": f"{MEASUREMENT}/{level_name(base.gsd_m)}",
        "transform": {"scale": [ratio, ratio], "translation": [0.0, 0.0]},
        "resampling_method": "super-resolution",
    }
    return {"multiscales": {**known, "layout": [*known["layout"], *added]}}


def _level_arrays(spec: CubeSpec, grid: Grid) -> dict[str, ArraySpec]:
    height, width = grid.shape
    bands = tuple(band.name for band in spec.bands)
    arrays = {
        "reflectance": ArraySpec(
            "uint16",
            ("time", "band", "y", "x"),
            (0, len(bands), height, width),
            (1, 1, spec.chunk_px, spec.chunk_px),
            NO_DATA_DN,
            attributes=_reflectance_attributes(bands, spec.level),
        ),
        "time": _vector("int64", "time", 0, 1, {"units": EPOCH, "calendar": "proleptic_gregorian"}),
        # 1 is the fill value: a slot that was claimed and abandoned counts as superseded.
        "superseded": _vector(
            "uint8", "time", 0, FLAGS_PER_CHUNK, {"long_name": "1: not to be used"}, fill=1
        ),
        **_space_arrays(grid),
    }
    if spec.with_scl:
        arrays["scl"] = ArraySpec(
            "uint8",
            ("time", "y", "x"),
            (0, height, width),
            (1, spec.chunk_px, spec.chunk_px),
            0,
            attributes={"long_name": "scene classification", **GEOREFERENCED},
        )
    return arrays


def _product_arrays(spec: ProductSpec, grid: Grid, block_px: int) -> dict[str, ArraySpec]:
    height, width = grid.shape
    arrays = {
        "reflectance": ArraySpec(
            "uint16",
            ("time", "band", "y", "x"),
            (0, len(spec.bands), height, width),
            (1, 1, block_px, block_px),
            NO_DATA_DN,
            attributes=_reflectance_attributes(spec.bands, spec.level),
        ),
        **_space_arrays(grid),
    }
    for plane in spec.planes:
        arrays[plane.name] = ArraySpec(
            "uint16",
            ("time", "y", "x"),
            (0, height, width),
            (1, block_px, block_px),
            NO_DATA_DN,
            attributes=plane.attributes(),
        )
    return arrays


def _block_record(base: Grid) -> ArraySpec:
    """Digest of each block that was computed, 0 where none was: the cache's own ledger."""
    rows, cols = (-(-size // BLOCK_PX) for size in base.shape)
    return ArraySpec(
        "uint64",
        ("time", "block_row", "block_col"),
        (0, rows, cols),
        (1, 1, 1),
        0,
        attributes={"long_name": "digest of the block's chunks, 0: not computed"},
    )


def _space_arrays(grid: Grid) -> dict[str, ArraySpec]:
    height, width = grid.shape
    axes = {
        name: _vector(
            "float64",
            name,
            size,
            size,
            {"standard_name": f"projection_{name}_coordinate", "units": "m"},
        )
        for name, size in (("y", height), ("x", width))
    }
    reference = ArraySpec(
        "int64", (), (), (), 0, compressed=False, attributes=grid_mapping_attributes(grid)
    )
    return {**axes, "spatial_ref": reference}


def _vector(
    dtype: str, dim: str, size: int, chunk: int, attributes: Document, *, fill: float = 0
) -> ArraySpec:
    return ArraySpec(dtype, (dim,), (size,), (chunk,), fill, attributes=attributes)


def _reflectance_attributes(bands: tuple[str, ...], level: str) -> Document:
    where = "toa" if level == "L1C" else "surface"
    return {
        "standard_name": f"{where}_bidirectional_reflectance",
        "units": "1",
        "scale_factor": SCALE_FACTOR,
        "add_offset": ADD_OFFSET,
        "_FillValue": NO_DATA_DN,
        **GEOREFERENCED,
        "bands": list(bands),
    }
