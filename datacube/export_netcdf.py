"""Scenes as one NetCDF file: a variable for each band, in the cube's own encoding."""

import json
from pathlib import Path
from typing import Any

import xarray as xr

from datacube.bands import CLASSES
from datacube.cube import CommittedScene
from datacube.errors import InvalidInput
from datacube.layer import Layer, provenance, sentence_of
from datacube.scene import ADD_OFFSET, NO_DATA_DN, SCALE_FACTOR

SUFFIX = ".nc"
PLACED = {"zlib": True, "grid_mapping": "spatial_ref"}


def write_netcdf(layer: Layer, scenes: list[CommittedScene], out: Path) -> Path:
    """Write the scenes of a layer; the file appears whole or not at all.

    Raises InvalidInput for a name of another kind of file.
    """
    if out.suffix.lower() != SUFFIX:
        raise InvalidInput(f"need a name that ends in {SUFFIX}, got {out.name!r}")
    whole: xr.Dataset = layer.product.dataset() if layer.product else layer.cube.dataset()
    rows, cols = layer.window.scaled(layer.factor).slices
    wanted = {one.slot for one in scenes}
    times = [index for index, one in enumerate(layer.cube.scenes) if one.slot in wanted]
    dataset = _by_band(whole.isel(time=times, y=rows, x=cols), layer)
    facts = [provenance(layer, one) for one in scenes]
    dataset.attrs = {
        "Conventions": "CF-1.11",
        "title": layer.cube.attributes["title"],
        "source": layer.cube.attributes["attribution"],
        "history": "; ".join(sentence_of(layer, one) for one in scenes),
        "srcube_provenance": json.dumps(facts, sort_keys=True),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    try:
        dataset.to_netcdf(partial, format="NETCDF4", encoding=_encoding(layer, dataset))
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return out


def _by_band(dataset: xr.Dataset, layer: Layer) -> xr.Dataset:
    """One variable for each band, as most programs that read NetCDF expect it."""
    planes = {name: dataset["reflectance"].sel(band=name, drop=True) for name in layer.bands}
    planes |= {name: dataset[name] for name in layer.planes}
    if "scl" in dataset:
        planes[CLASSES] = dataset["scl"]
    found = xr.Dataset(planes)
    if "scene_id" in dataset:
        found["scene_id"] = dataset["scene_id"].astype(str)
    for name, variable in found.variables.items():
        variable.encoding = {}
        for key in ("grid_mapping", "coordinates", "bands"):
            variable.attrs.pop(key, None)
        if name in layer.bands:
            variable.attrs |= {"long_name": f"reflectance, {name}", "units": "1"}
    return found


def _encoding(layer: Layer, dataset: xr.Dataset) -> dict[Any, dict[str, Any]]:
    """How each variable is stored: as in the cube."""
    numbers = {"dtype": "uint16", "_FillValue": NO_DATA_DN, **PLACED}
    scaled = {"scale_factor": SCALE_FACTOR, "add_offset": ADD_OFFSET, **numbers}
    encoding: dict[Any, dict[str, Any]] = dict.fromkeys(layer.bands, scaled)
    for name in layer.planes:
        attributes = layer.plane_attributes(name)
        scale = {"scale_factor", "add_offset"} & set(attributes)
        encoding[name] = {**{key: attributes[key] for key in scale}, **numbers}
    if CLASSES in dataset:
        encoding[CLASSES] = {"dtype": "uint8", **PLACED}
    return encoding
