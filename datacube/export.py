"""Scenes of a cube, or of a product, as files for other programs: COG or NetCDF.

A file says in its tags what its numbers mean, where they come from and what made them; whoever
meets it alone can tell a measured pixel from an inferred one.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from datacube.bands import CLASSES
from datacube.cog import SUFFIXES, RasterSpec, write_cog
from datacube.cube import CommittedScene, Cube
from datacube.errors import InvalidInput, NotFound
from datacube.grid import Grid
from datacube.product import Product
from datacube.provenance import TAG, scene_record, software_record
from datacube.scene import ADD_OFFSET, NO_DATA_DN, SCALE_FACTOR
from datacube.sources.naming import Interval
from datacube.stac.describe import file_item
from datacube.store.layout import BLOCK_PX, MEASUREMENT
from datacube.window import Window

Bbox = tuple[float, float, float, float]
FORMATS = ("cog", "netcdf")
STAMP = "%Y%m%dT%H%M%S"
NETCDF_SUFFIX = ".nc"


@dataclass(frozen=True)
class Request:
    """What to export: `measurement` or the path of a product, when, and where (degrees)."""

    product: str = MEASUREMENT
    interval: Interval | None = None
    bbox: Bbox | None = None
    format: str = "cog"

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise InvalidInput(f"need a format of {' or '.join(FORMATS)}, got {self.format!r}")


@dataclass(frozen=True)
class Layer:
    """The pixels to export: of the measurement, or of a product, in one window of its grid."""

    cube_id: str
    cube: Cube
    product: Product | None
    window: Window  # on the measured grid

    @property
    def factor(self) -> int:
        """How much finer than the measurement."""
        return self.product.factor if self.product else 1

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in order."""
        return self.product.bands if self.product else tuple(one.name for one in self.cube.bands)

    @property
    def grid(self) -> Grid:
        """The grid of the file."""
        whole = self.product.levels[0] if self.product else self.cube.grid
        return whole.cropped(self.window.scaled(self.factor))

    def reader(self, slot: int) -> Callable[[Window], NDArray[np.uint16]]:
        """What reads (band, y, x) of a window of `grid`."""
        left, top = self.window.col * self.factor, self.window.row * self.factor

        def read(window: Window) -> NDArray[np.uint16]:
            place = Window(window.row + top, window.col + left, window.height, window.width)
            if self.product is None:
                return self.cube.window_dn(slot, self.bands, place)
            return product_window_dn(self.product, slot, place)

        return read

    def coverage(self, slot: int) -> tuple[int, int]:
        """Blocks that are there and blocks that the window touches."""
        if self.product is None:
            return 1, 1
        cells = list(self.window.cells(BLOCK_PX))
        return sum(self.product.has_block(slot, cell) for cell in cells), len(cells)


def export(cube_id: str, cube: Cube, out: Path, request: Request) -> list[Path]:
    """Write what is asked for, and a STAC item beside each file; returns the files.

    One scene goes to a file, several to a folder, or to one NetCDF file. Raises NotFound where
    no scene is left, or no block of the product was computed there.
    """
    product = None
    if request.product != MEASUREMENT:
        product = Product.open(cube, request.product)
    box = request.bbox
    window = cube.grid.window_of(lonlat_bbox=box) if box else Window(0, 0, *cube.grid.shape)
    layer = Layer(cube_id, cube, product, window)
    scenes = _chosen(layer, request)
    if request.format == "netcdf":
        return [_write_netcdf(layer, scenes, out)]
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


def product_window_dn(product: Product, slot: int, window: Window) -> NDArray[np.uint16]:
    """Numbers (band, y, x) of a window of a product's finest grid; 0 where not computed."""
    out = np.full((len(product.bands), window.height, window.width), NO_DATA_DN, np.uint16)
    size = BLOCK_PX * product.factor
    for row, col in window.cells(size):
        dn = product.read_block(slot, (row, col))
        if dn is None:
            continue
        place = Window(row * size, col * size, *dn.shape[1:])
        top, left = max(place.row, window.row), max(place.col, window.col)
        bottom = min(place.row + place.height, window.row + window.height)
        right = min(place.col + place.width, window.col + window.width)
        shared = Window(top, left, bottom - top, right - left)
        target, source = _from(shared, window), _from(shared, place)
        out[:, *target.slices] = dn[:, *source.slices]
    return out


def provenance(layer: Layer, one: CommittedScene) -> dict[str, Any]:
    """Where the pixels of a file come from, as JSON holds it."""
    cube, product = layer.cube, layer.product
    done, touched = layer.coverage(one.slot)
    found: dict[str, Any] = {
        **((product.attributes.get("provenance") or {}) if product else {}),
        **software_record(),
        "cube": layer.cube_id,
        "cube_uid": cube.root.commit.uid,
        "generation": cube.generation,
        "scene": one.scene.scene_id,
        "product": product.path if product else MEASUREMENT,
        "inferred": bool(product and product.attributes.get("inferred")),
        "simulated": bool(cube.attributes.get("simulated")),
        "georeference": cube.attributes.get("georeference"),
        "processing_level": cube.attributes.get("processing:level"),
        "notice": cube.attributes.get("notice"),
        "attribution": cube.attributes.get("attribution"),
        "scene_properties": dict(one.scene.properties),
    }
    dates = product.attributes.get("dates", {}).get(one.scene.stamp) if product else None
    found["inputs"] = [
        scene_record(cube, each)
        for each in cube.scenes
        if each.scene.stamp in (dates or [one.scene.stamp])
    ]
    window = layer.window
    found["window"] = [window.row, window.col, window.height, window.width]
    if product:
        found["blocks_computed"], found["blocks_touched"] = done, touched
        found["model_card"] = product.attributes.get("model_card")
    return found


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


def _write_scene(layer: Layer, one: CommittedScene, path: Path) -> Path:
    facts = provenance(layer, one)
    tags = {
        "datetime": one.scene.stamp,
        TAG: json.dumps(facts, sort_keys=True),
        "TIFFTAG_SOFTWARE": facts["software"],
        "TIFFTAG_IMAGEDESCRIPTION": _sentence(layer, one),
        "TIFFTAG_COPYRIGHT": facts["attribution"] or "",
    }
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
        "processing:lineage": _sentence(layer, one),
        "srcube:provenance": facts,
    }
    item = file_item(path.stem, one.scene, assets, properties)
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


def _write_netcdf(layer: Layer, scenes: list[CommittedScene], out: Path) -> Path:
    if out.suffix.lower() != NETCDF_SUFFIX:
        raise InvalidInput(f"need a name that ends in {NETCDF_SUFFIX}, got {out.name!r}")
    whole: xr.Dataset = layer.product.dataset() if layer.product else layer.cube.dataset()
    rows, cols = layer.window.scaled(layer.factor).slices
    wanted = {one.slot for one in scenes}
    times = [index for index, one in enumerate(layer.cube.scenes) if one.slot in wanted]
    dataset = _by_band(whole.isel(time=times, y=rows, x=cols), layer.bands)
    facts = [provenance(layer, one) for one in scenes]
    dataset.attrs = {
        "Conventions": "CF-1.11",
        "title": layer.cube.attributes["title"],
        "source": layer.cube.attributes["attribution"],
        "history": "; ".join(_sentence(layer, one) for one in scenes),
        "srcube_provenance": json.dumps(facts, sort_keys=True),
    }
    placed = {"zlib": True, "grid_mapping": "spatial_ref"}
    numbers = {"dtype": "uint16", "scale_factor": SCALE_FACTOR, "add_offset": ADD_OFFSET,
               "_FillValue": NO_DATA_DN, **placed}  # fmt: skip
    encoding = dict.fromkeys(layer.bands, numbers) | (
        {CLASSES: {"dtype": "uint8", **placed}} if CLASSES in dataset else {}
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    try:
        dataset.to_netcdf(partial, format="NETCDF4", encoding=encoding)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return out


def _by_band(dataset: xr.Dataset, bands: tuple[str, ...]) -> xr.Dataset:
    """One variable for each band, as most programs that read NetCDF expect it."""
    planes = {name: dataset["reflectance"].sel(band=name, drop=True) for name in bands}
    if "scl" in dataset:
        planes[CLASSES] = dataset["scl"]
    found = xr.Dataset(planes)
    if "scene_id" in dataset:
        found["scene_id"] = dataset["scene_id"].astype(str)
    for name, variable in found.variables.items():
        variable.encoding = {}
        for key in ("grid_mapping", "coordinates", "bands"):
            variable.attrs.pop(key, None)
        if name in bands:
            variable.attrs |= {"long_name": f"reflectance, {name}", "units": "1"}
    return found


def _sentence(layer: Layer, one: CommittedScene) -> str:
    made = f"{layer.product.path} of " if layer.product else ""
    inferred = layer.product and layer.product.attributes.get("inferred")
    kind = "inferred, not measured; " if inferred else ""
    notice = layer.cube.attributes.get("notice")
    return f"{kind}{made}scene {one.scene.scene_id} of cube {layer.cube_id}" + (
        f"; {notice}" if notice else ""
    )


def _stamp(one: CommittedScene) -> str:
    return one.scene.datetime.strftime(STAMP)


def _from(window: Window, origin: Window) -> Window:
    return Window(window.row - origin.row, window.col - origin.col, window.height, window.width)
