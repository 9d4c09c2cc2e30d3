"""From a STAC item to what is needed of it: a scene, and one asset per band.

Catalogs name bands in their own ways (`B04`, `red`, `B04_10m`), so that a band is found by what
the asset says of itself first and by its key second, never by position.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from affine import Affine

from datacube.bands import CLASSES, SENTINEL2
from datacube.errors import InvalidInput
from datacube.grid import Grid
from datacube.scene import Scene, parse_rfc3339
from datacube.sources.naming import scene_id_of
from datacube.sources.radiometry import Calibration
from datacube.sources.raster import checked_grid
from datacube.sources.refusals import BandMissing
from datacube.stac.errors import ItemRejected
from datacube.stac.radiometry import calibration_of

Item = Mapping[str, Any]

MAX_ITEMS_BYTES = 64 * 1024 * 1024
MAX_ASSETS = 1000
NAMES = {
    "coastal": "B01",
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "rededge1": "B05",
    "rededge2": "B06",
    "rededge3": "B07",
    "nir": "B08",
    "nir08": "B8A",
    "nir09": "B09",
    "swir16": "B11",
    "swir22": "B12",
    "scl": CLASSES,
    **{band.common_name: name for name, band in SENTINEL2.items()},
}
RASTER_TYPES = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff")
GSD_M = {**{name: band.gsd_m for name, band in SENTINEL2.items()}, CLASSES: 20}


@dataclass(frozen=True)
class Asset:
    """One band of one item.

    `calibration` says what its numbers mean (of classes only the no-data number counts);
    `grid` is what the item states, None where it does not: then the file is to be asked.
    """

    band: str
    href: str
    calibration: Calibration
    gsd_m: float
    grid: Grid | None = None


@dataclass(frozen=True)
class StacScene:
    """A checked item: the scene, its assets by band, its box in degrees, its level (L1C, L2A)."""

    scene: Scene
    assets: Mapping[str, Asset]
    bbox: tuple[float, float, float, float]
    level: str
    item: Item


def read_item(item: Item, bands: Iterable[str], base: str = "") -> StacScene:
    """Check an item and find its `bands`; of `SCL`, if asked for, only where there is one.

    `base` is the address or path that relative hrefs start from. Raises ItemRejected with a
    JSON pointer, BandMissing or RadiometryUnknown.
    """
    _check(item)
    properties = item["properties"]
    scene = Scene(scene_id_of(item["id"]), moment_of(item), _kept(properties))
    level = _level(item)
    return StacScene(scene, item_assets(item, bands, base), _bbox(item), level, item)


def item_assets(item: Item, bands: Iterable[str], base: str = "") -> dict[str, Asset]:
    """The asset of each band, the one nearest to the band's own pixel size first.

    Raises BandMissing for a band that no asset has, or RadiometryUnknown.
    """
    found: dict[str, list[tuple[str, Item]]] = {}
    for key, asset in item["assets"].items():
        name = band_of(key, asset)
        if name:
            found.setdefault(name, []).append((key, asset))
    wanted = [name for name in bands if name != CLASSES or name in found]
    missing = [name for name in wanted if name not in found]
    if missing:
        raise BandMissing(
            f"{_named(item)} has no band {', '.join(missing)}; "
            f"it has {', '.join(sorted(found)) or 'none'}"
        )
    return {name: _asset(item, name, found[name], base) for name in wanted}


def band_of(key: str, asset: Item) -> str | None:
    """The Sentinel-2 band (or `SCL`) of an asset; None for overviews, metadata and the like."""
    kind = str(asset.get("type", "")).lower()
    if kind and not kind.startswith(RASTER_TYPES):
        return None
    described = asset.get("eo:bands") or asset.get("bands") or []
    if not isinstance(described, list) or len(described) > 1:
        return None
    stem = re.sub(r"[_-]\d\d?m$", "", key)
    names = [stem]
    if described and isinstance(described[0], Mapping):
        first = described[0]
        names.insert(0, str(first.get("name", "")))
        # "rededge" alone names three bands, so that a common name comes last.
        names += [str(first.get(name, "")) for name in ("common_name", "eo:common_name")]
    for name in names:
        upper = re.sub(r"^B(\d)$", r"B0\1", name.upper())
        if upper in GSD_M:
            return upper
        if name.lower() in NAMES:
            return NAMES[name.lower()]
    return None


def load_items(path: Path) -> list[Item]:
    """The items of a JSON file: one item, or a feature collection; raises ItemRejected."""
    try:
        if path.stat().st_size > MAX_ITEMS_BYTES:
            raise ItemRejected(f"{path.name} is larger than {MAX_ITEMS_BYTES} bytes")
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ItemRejected(f"{path.name} cannot be read as JSON: {error}") from error
    kind = document.get("type") if isinstance(document, dict) else type(document).__name__
    items = document.get("features") if kind == "FeatureCollection" else [document]
    if kind not in {"Feature", "FeatureCollection"} or not isinstance(items, list):
        raise ItemRejected(f"/type: need a STAC item or a collection of them, got {kind!r}")
    return items


def _check(item: Any) -> None:
    if not isinstance(item, Mapping) or item.get("type") != "Feature":
        raise ItemRejected("/type: need a STAC item (a GeoJSON Feature)")
    if not isinstance(item.get("id"), str) or not item["id"]:
        raise ItemRejected("/id: need a text")
    version = str(item.get("stac_version", ""))
    if not version.startswith("1."):
        raise ItemRejected(f"/stac_version: need 1.x, got {version[:20]!r} in {_named(item)}")
    for key in ("properties", "assets"):
        if not isinstance(item.get(key), Mapping):
            raise ItemRejected(f"/{key}: need an object in {_named(item)}")
    if len(item["assets"]) > MAX_ASSETS:
        raise ItemRejected(f"/assets: at most {MAX_ASSETS}, got {len(item['assets'])}")
    for key, asset in item["assets"].items():
        if not isinstance(asset, Mapping) or not isinstance(asset.get("href"), str):
            raise ItemRejected(f"/assets/{_pointer(key)}/href: need a text in {_named(item)}")
    if not isinstance(item.get("geometry"), Mapping):
        raise ItemRejected(f"/geometry: need a footprint in {_named(item)}")


def moment_of(item: Item) -> datetime:
    """When an item was sensed, in UTC; raises ItemRejected for what is no item or has no time."""
    _check(item)
    text = item["properties"].get("datetime") or item["properties"].get("start_datetime")
    if not isinstance(text, str):
        raise ItemRejected(f"/properties/datetime: need a time in {_named(item)}")
    try:
        return parse_rfc3339(text).astimezone(UTC)
    except InvalidInput as error:
        raise ItemRejected(f"/properties/datetime: {error}") from error


def _bbox(item: Item) -> tuple[float, float, float, float]:
    box = item.get("bbox")
    if isinstance(box, list) and len(box) == 6:
        box = [*box[:2], *box[3:5]]
    if not isinstance(box, list) or len(box) != 4:
        raise ItemRejected(f"/bbox: need four numbers in {_named(item)}")
    if not all(isinstance(edge, int | float) and abs(edge) <= 180 for edge in box):
        raise ItemRejected(f"/bbox: need degrees, got {str(box)[:80]} in {_named(item)}")
    west, south, east, north = (float(edge) for edge in box)
    if south >= north or abs(south) > 90 or abs(north) > 90:
        raise ItemRejected(f"/bbox: need south < north, got {box} in {_named(item)}")
    return west, south, east, north


def _level(item: Item) -> str:
    """Processing level, from what says it, or from the classification that only L2A has."""
    names = ("processing:level", "s2:product_type", "sentinel2:product_type", "product:type")
    said = [str(item["properties"].get(name, "")) for name in names]
    text = " ".join([*said, str(item.get("collection", "")), item["id"]]).upper()
    levels = {level for level in ("L1C", "L2A") if level in text or f"MSI{level[1:]}" in text}
    if len(levels) != 1 and not any(
        band_of(key, asset) == CLASSES for key, asset in item["assets"].items()
    ):
        raise ItemRejected(
            f"/properties/processing:level: {_named(item)} does not say whether it is L1C or L2A"
        )
    return levels.pop() if len(levels) == 1 else "L2A"


def _grid(item: Item, asset: Item) -> Grid | None:
    """The grid that item and asset state; None unless all of it is stated."""
    properties = item["properties"]
    stated = {
        key: asset.get(key, properties.get(key))
        for key in ("proj:code", "proj:epsg", "proj:transform", "proj:shape")
    }
    crs, epsg = stated["proj:code"], stated["proj:epsg"]
    crs = crs if isinstance(crs, str) else f"EPSG:{epsg}" if isinstance(epsg, int) else None
    numbers, shape = stated["proj:transform"], stated["proj:shape"]
    if not (crs and _are_numbers(numbers, 6) and _are_numbers(shape, 2)):
        return None
    place = f"{_named(item)}: its proj: fields"
    return checked_grid(crs, Affine(*numbers[:6]), (int(shape[0]), int(shape[1])), name=place)


def _are_numbers(values: Any, least: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) >= least
        and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    )


def _kept(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties worth keeping with the pixels; scalars only, so that no item bloats a cube."""
    return {
        key: value
        for key, value in properties.items()
        if isinstance(value, str | int | float | bool)
        and key != "datetime"
        and len(str(value)) <= 300
    }


def _asset(item: Item, band: str, candidates: list[tuple[str, Item]], base: str) -> Asset:
    key, asset = min(candidates, key=lambda one: abs(_gsd_m(one[0], one[1], band) - GSD_M[band]))
    href = asset["href"]
    if not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:|/", href) and base:
        href = urljoin(base, href) if "://" in base else str(Path(base) / href)
    calibration = Calibration() if band == CLASSES else calibration_of(item, asset)
    return Asset(band, href, calibration, _gsd_m(key, asset, band), _grid(item, asset))


def _gsd_m(key: str, asset: Item, band: str) -> float:
    """Pixel size as the asset, its transform, its raster band or its key states it."""
    bands = asset.get("raster:bands")
    raster = bands[0] if isinstance(bands, list) and bands else {}
    transform = asset.get("proj:transform")
    stated = [
        transform[0] if isinstance(transform, list) and transform else None,
        raster.get("spatial_resolution") if isinstance(raster, Mapping) else None,
        asset.get("gsd"),
    ]
    for value in stated:
        if isinstance(value, int | float) and 0 < value < 10_000:
            return float(value)
    found = re.search(r"[_-](\d\d?)m$", key)
    return float(found[1]) if found else float(GSD_M[band])


def _named(item: Item) -> str:
    return repr(str(item.get("id", ""))[:80])


def _pointer(key: str) -> str:
    return key[:80].replace("~", "~0").replace("/", "~1")
