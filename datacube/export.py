"""Scenes of a cube, or of a product, as files for other programs: COG or NetCDF.

A file says in its tags what its numbers mean, where they come from and what made them; whoever
meets it alone can tell a measured pixel from an inferred one.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacube.bands import CLASSES
from datacube.cog import SUFFIXES, RasterSpec, write_cog
from datacube.cube import CommittedScene, Cube
from datacube.errors import InvalidInput, NotFound
from datacube.export_netcdf import write_netcdf
from datacube.grid import Grid
from datacube.layer import REFLECTANCE, Layer, provenance, sentence_of
from datacube.product import Product
from datacube.provenance import TAG
from datacube.sources.naming import Interval
from datacube.stac.describe import file_item, plane_asset
from datacube.store.layout import MEASUREMENT
from datacube.window import Window

Bbox = tuple[float, float, float, float]
FORMATS = ("cog", "netcdf")
STAMP = "%Y%m%dT%H%M%S"


@dataclass(frozen=True)
class Request:
    """What to export: `measurement` or the path of a product, when, and where (degrees).

    `planes` asks for what a product keeps beside its reflectance too.
    """

    product: str = MEASUREMENT
    interval: Interval | None = None
    bbox: Bbox | None = None
    format: str = "cog"
    planes: bool = False

    def __post_init__(self) -> None:
        if self.planes and self.product == MEASUREMENT:
            raise InvalidInput("the measurement has no planes; choose a --product, as info lists")
        if self.format not in FORMATS:
            raise InvalidInput(f"need a format of {' or '.join(FORMATS)}, got {self.format!r}")


def export(cube_id: str, cube: Cube, out: Path, request: Request) -> list[Path]:
    """Write what is asked for, and a STAC item beside each file; returns the files.

    One scene goes to a file, several to a folder, or to one NetCDF file; planes of a product to
    files of their own beside each. Raises NotFound where no scene is left, or no block of the
    product was computed there.
    """
    product = None
    if request.product != MEASUREMENT:
        product = Product.open(cube, request.product)
    box = request.bbox
    window = cube.grid.window_of(lonlat_bbox=box) if box else Window(0, 0, *cube.grid.shape)
    planes = product.variables if product and request.planes else ()
    named = tuple(name for name in planes if name != REFLECTANCE)
    layer = Layer(cube_id, cube, product, window, named)
    scenes = _chosen(layer, request)
    if request.format == "netcdf":
        return [write_netcdf(layer, scenes, out)]
    if out.suffix.lower() in SUFFIXES:
        if len(scenes) > 1:
            raise InvalidInput(
                f"{len(scenes)} scenes are asked for and one file is named; choose one with "
                f"--datetime {scenes[0].scene.stamp}, or name a folder"
            )
        return [_write_scene(layer, scenes[0], out)]
    if out.suffix:
        raise InvalidInput(f"need a folder or a name that ends in .tif, got {out.name!r}")
    return [_write_scene(layer, one, out / f"{_stamp(one)}.tif") for one in scenes]


def _chosen(layer: Layer, request: Request) -> list[CommittedScene]:
    interval = request.interval
    scenes = [
        one for one in layer.cube.scenes if interval is None or interval.holds(one.scene.datetime)
    ]
    if not scenes:
        stamps = [one.scene.stamp for one in layer.cube.scenes]
        held = f"holds {stamps[0]} to {stamps[-1]}" if stamps else "is empty"
        raise NotFound(f"no scene at the time asked for; the cube {held}")
    there = [one for one in scenes if layer.coverage(one.slot)[0]]
    if not there:
        raise NotFound(
            f"nothing of {request.product} was computed there and then; compute it first, "
            "or choose another --datetime or --bbox"
        )
    return there


def tags_of(layer: Layer, one: CommittedScene, facts: Mapping[str, Any]) -> dict[str, str]:
    """Tags of a file of a layer; `facts` is its provenance."""
    return {
        "datetime": one.scene.stamp,
        TAG: json.dumps(facts, sort_keys=True),
        "TIFFTAG_SOFTWARE": facts["software"],
        "TIFFTAG_IMAGEDESCRIPTION": sentence_of(layer, one),
        "TIFFTAG_COPYRIGHT": facts["attribution"] or "",
    }


def plane_spec(layer: Layer, name: str, tags: Mapping[str, str]) -> RasterSpec:
    """How a plane of a product stands in a file: its scale and units, or its flags."""
    attributes = layer.plane_attributes(name)
    flags = attributes.get("flag_meanings")
    told = {"long_name": attributes["long_name"]} | ({"flag_meanings": flags} if flags else {})
    return RasterSpec(
        layer.grid,
        (name,),
        scale=attributes.get("scale_factor", 1.0),
        offset=attributes.get("add_offset", 0.0),
        units=attributes.get("units", "1"),
        physical=not flags,
        tags={**tags, **told},
    )


def _write_scene(layer: Layer, one: CommittedScene, path: Path) -> Path:
    facts = provenance(layer, one)
    tags = tags_of(layer, one, facts)
    write_cog(path, RasterSpec(layer.grid, layer.bands, tags=tags), layer.reader(one.slot))
    assets: dict[str, tuple[str, Grid, Iterable[str]]] = {
        "data": (f"./{path.name}", layer.grid, layer.bands)
    }
    if layer.product is None and layer.cube.has_scl:
        classes = path.with_name(f"{path.stem}_{CLASSES}.tif")
        _write_classes(layer, one, classes, tags)
        assets["scl"] = (f"./{classes.name}", layer.grid, ())
    properties = {
        **{key: value for key, value in one.scene.properties.items() if key != "datetime"},
        "processing:level": facts["processing_level"],
        "processing:lineage": sentence_of(layer, one),
        "srcube:provenance": facts,
    }
    item = file_item(path.stem, one.scene, assets, properties)
    for name in layer.planes:
        plane = path.with_name(f"{path.stem}_{name}.tif")
        write_cog(plane, plane_spec(layer, name, tags), layer.reader(one.slot, name))
        attributes = layer.plane_attributes(name)
        item["assets"][name] = plane_asset(f"./{plane.name}", layer.grid, attributes)
    path.with_suffix(".json").write_text(json.dumps(item, indent=2), "utf-8")
    return path


def _write_classes(layer: Layer, one: CommittedScene, path: Path, tags: dict[str, str]) -> None:
    window = layer.window

    def read(part: Window) -> NDArray[np.uint8]:
        row, col = part.row + window.row, part.col + window.col
        place = Window(row, col, part.height, part.width)
        return layer.cube.window_scl(one.slot, place)[np.newaxis]

    spec = RasterSpec(layer.grid, (CLASSES,), "uint8", physical=False, tags=tags)
    write_cog(path, spec, read)


def _stamp(one: CommittedScene) -> str:
    return one.scene.datetime.strftime(STAMP)
