"""Parts that several STAC documents have: bands, pixels, axes of a cube, who made it."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from datacube.bands import SENTINEL2
from datacube.cube import Cube
from datacube.grid import Grid
from datacube.scene import ADD_OFFSET, NO_DATA_DN, SCALE_FACTOR
from datacube.stac.footprint import reference_system_of

Document = dict[str, Any]

STAC_VERSION = "1.1.0"
_EXTENSIONS = "https://stac-extensions.github.io/"
PROJECTION = f"{_EXTENSIONS}projection/v2.0.0/schema.json"
EO = f"{_EXTENSIONS}eo/v2.0.0/schema.json"
RASTER = f"{_EXTENSIONS}raster/v2.0.0/schema.json"
DATACUBE = f"{_EXTENSIONS}datacube/v2.2.0/schema.json"
PROCESSING = f"{_EXTENSIONS}processing/v1.2.0/schema.json"
MLM = f"{_EXTENSIONS}mlm/v1.4.0/schema.json"

PREFIXES = {"proj", "eo", "raster", "cube", "processing"}  # of what items have of the above
KEPT = {  # of properties under these prefixes that come from elsewhere
    "eo:cloud_cover", "eo:snow_cover", "processing:level", "processing:lineage",
    "processing:facility",
}  # fmt: skip

ZARR = "application/vnd.zarr; version=3"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def band_documents(names: Iterable[str]) -> list[Document]:
    """Bands as STAC 1.1 has them, with the cube's encoding; micrometres, as eo wants them."""
    found = []
    for name in names:
        band = SENTINEL2.get(name)
        document: Document = {"name": name}
        if band:
            common = "rededge" if band.common_name.startswith("rededge") else band.common_name
            document |= {
                "eo:common_name": common,
                "eo:center_wavelength": round(band.wavelength_nm / 1000, 5),
                "eo:full_width_half_max": round(band.bandwidth_nm / 1000, 5),
            }
        found.append(document)
    return found


def understood(properties: Mapping[str, Any]) -> Document:
    """Properties without those that a catalog's older extensions had under the same prefixes."""
    return {
        key: value
        for key, value in properties.items()
        if key in KEPT or key.partition(":")[0] not in PREFIXES
    }


def providers(cube: Cube) -> list[Document]:
    """Who made the numbers, and what took them in: the processing extension asks for both."""
    level = {"processing:level": cube.attributes.get("processing:level", "L2A")}
    software = {"processing:software": {"srcube": version("srcube")}}
    ours: Document = {"name": "srcube", "roles": ["processor"], **level, **software}
    if cube.attributes.get("simulated"):
        return [ours | {"roles": ["producer", "processor"]}]
    esa = {"name": "European Space Agency", "roles": ["producer", "licensor"],
           "url": "https://sentinels.copernicus.eu"}  # fmt: skip
    return [esa, ours]


def dimensions(grid: Grid, stamps: list[str], bands: list[str]) -> Document:
    """Axes of a cube in the words of the datacube extension."""
    left, bottom, right, top = grid.bounds
    system = reference_system_of(grid.crs)
    half = grid.gsd_m / 2  # extents are of pixel centres, which is where the coordinates are
    along = {"type": "spatial", "reference_system": system, "step": grid.gsd_m}
    return {
        "x": {**along, "axis": "x", "extent": [left + half, right - half]},
        "y": {**along, "axis": "y", "extent": [bottom + half, top - half]},
        "time": {
            "type": "temporal",
            "extent": [stamps[0], stamps[-1]] if stamps else [None, None],
            **({"values": stamps} if stamps else {}),
        },
        "band": {"type": "bands", "values": bands},
    }


def pixels(grid: Grid, names: Iterable[str]) -> Document:
    """What an asset says of its reflectance."""
    encoding = {"raster:scale": SCALE_FACTOR, "raster:offset": ADD_OFFSET}
    return {
        "bands": band_documents(names),
        "data_type": "uint16",
        "nodata": NO_DATA_DN,
        "unit": "1",
        **encoding,
        **place_of(grid),
    }


def place_of(grid: Grid) -> Document:
    """Where an asset's pixels lie."""
    return {
        "gsd": grid.gsd_m,
        "proj:shape": list(grid.shape),
        "proj:transform": [float(value) for value in tuple(grid.transform)[:6]],
        "proj:bbox": list(grid.bounds),
    }
