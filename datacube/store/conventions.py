"""Zarr v3 metadata documents, and the GeoZarr conventions written into them.

Documents are made by hand, as plain dictionaries, because the commit protocol publishes all
of them at once inside the root document instead of array by array.
Conventions (v0.1): `proj`, `spatial` and `multiscales` of the zarr-conventions project.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyproj import CRS

from datacube.grid import Grid, projection_attributes

ZSTD_LEVEL = 1  # a quarter of the time of level 3 for a tenth more bytes (measured)

Document = dict[str, Any]

_SOURCE = "https://raw.githubusercontent.com/zarr-conventions"
CONVENTIONS = [
    {
        "uuid": uuid,
        "name": name,
        "schema_url": f"{_SOURCE}/{repository}/refs/tags/v0.1/schema.json",
        "spec_url": f"https://github.com/zarr-conventions/{repository}/blob/v0.1/README.md",
        "description": description,
    }
    for uuid, name, repository, description in (
        (
            "d35379db-88df-4056-af3a-620245f8e347",
            "multiscales",
            "multiscales",
            "Multiscale layout of zarr datasets",
        ),
        (
            "f17cb550-5864-4468-aeb7-f3180cfb622f",
            "proj:",
            "geo-proj",
            "Coordinate reference system information for geospatial data",
        ),
        (
            "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
            "spatial:",
            "spatial",
            "Spatial coordinate information",
        ),
    )
]


@dataclass(frozen=True)
class ArraySpec:
    """One Zarr array: what its metadata document will say."""

    dtype: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    fill: float
    compressed: bool = True
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> Document:
        """The array's `zarr.json`."""
        codecs: list[Document] = [{"name": "bytes", "configuration": {"endian": "little"}}]
        if self.dtype in {"uint8", "bool"}:
            codecs = [{"name": "bytes"}]
        if self.compressed:
            configuration = {"level": ZSTD_LEVEL, "checksum": True}
            codecs.append({"name": "zstd", "configuration": configuration})
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": self.dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self.chunks)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": self.fill,
            "codecs": codecs,
            "attributes": dict(self.attributes),
            "dimension_names": list(self.dims),
            "storage_transformers": [],
        }


def group_document(attributes: Mapping[str, Any]) -> Document:
    """A group's `zarr.json`."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}


def level_name(gsd_m: float) -> str:
    """Name of the group that holds one resolution, after EOPF's habit: r10m, r2.5m."""
    return f"r{gsd_m:g}m"


def spatial_attributes(grid: Grid) -> Document:
    """`spatial:` and `proj:` attributes of one grid."""
    left, bottom, right, top = grid.bounds
    return {
        **projection_attributes(grid.crs),
        "spatial:dimensions": ["y", "x"],
        "spatial:shape": list(grid.shape),
        "spatial:transform": [float(value) for value in tuple(grid.transform)[:6]],
        "spatial:bbox": [left, bottom, right, top],
        "spatial:registration": "pixel",
    }


def multiscales_layout(
    levels: Sequence[Grid], *, resampling: str, folder: str = ""
) -> list[Document]:
    """Entries of a layout, finest first; `folder` leads from its group to that of the levels."""
    layout: list[Document] = []
    lead = f"{folder}/" if folder else ""
    for index, grid in enumerate(levels):
        asset = lead + level_name(grid.gsd_m)
        entry: Document = {"asset": asset, "transform": {"scale": [1.0, 1.0]}}
        if index:
            finer = levels[index - 1]
            ratio = grid.gsd_m / finer.gsd_m
            entry["derived_from"] = lead + level_name(finer.gsd_m)
            entry["transform"] = {"scale": [ratio, ratio], "translation": [0.0, 0.0]}
            entry["resampling_method"] = resampling
        entry["spatial:shape"] = list(grid.shape)
        entry["spatial:transform"] = [float(value) for value in tuple(grid.transform)[:6]]
        layout.append(entry)
    return layout


def multiscales_attributes(
    levels: Sequence[Grid], *, resampling: str, derived_from: str | None = None
) -> Document:
    """Attributes of a group whose children are `levels`, finest first.

    `derived_from` names, for the finest level, the coarser measurement it was inferred from
    (a path is relative to the group, so it is recorded beside the layout, not in it).
    """
    layout = multiscales_layout(levels, resampling=resampling)
    attributes: Document = {
        "zarr_conventions": CONVENTIONS,
        "multiscales": {"layout": layout, "resampling_method": resampling},
        **spatial_attributes(levels[0]),
    }
    if derived_from:
        attributes["srcube:inferred_from"] = derived_from
    return attributes


def grid_mapping_attributes(grid: Grid) -> Document:
    """CF attributes of the `spatial_ref` variable, as rioxarray and GDAL read them."""
    crs = CRS.from_user_input(grid.crs)
    transform = " ".join(repr(float(value)) for value in grid.transform.to_gdal())
    return {**crs.to_cf(), "spatial_ref": crs.to_wkt(), "GeoTransform": transform}
