"""Whether a STAC document keeps to core 1.1 and to every extension that it names, offline.

By JSON schema where one can be had (see `schemas/README.md`), else by hand.
"""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pystac
from jsonschema import Draft7Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]
from referencing import Registry, Resource

Document = dict[str, Any]

SCHEMAS = Path(__file__).with_name("schemas")
SITE = "https://stac-extensions.github.io/"
GEOMETRY = "https://geojson.org/schema/Geometry.json"
# We never write PROJJSON, so that its schema may as well accept nothing.
PROJJSON = [f"https://proj.org/schemas/v{number}/projjson.schema.json" for number in (0.4, 0.7)]
COMMON_NAMES = {
    "coastal", "blue", "green", "red", "rededge", "rededge071", "rededge075", "rededge078", "nir",
    "nir08", "nir09", "cirrus", "swir16", "swir22",
}  # fmt: skip


def check_stac(document: Document) -> None:
    """Fail unless core and all extensions are satisfied."""
    # pystac resolves references with a class that jsonschema is about to drop.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pystac.read_dict({**document, "stac_extensions": []}).validate()
    assert document["stac_version"] == "1.1.0"
    faults = [
        f"{document['id']}: {fault}"
        for uri in document["stac_extensions"]
        for fault in faults_of(document, uri)
    ]
    assert not faults, "\n".join(faults)


def faults_of(document: Document, uri: str) -> Iterator[str]:
    """What an extension finds wrong."""
    name, version, last = uri.removeprefix(SITE).split("/")
    assert (uri.startswith(SITE), last) == (True, "schema.json")
    by_hand = BY_HAND.get((name, version))
    if by_hand is not None:
        yield from by_hand(document)
        return
    plain = json.loads(json.dumps(document))  # as a reader gets it: lists, not tuples
    for error in _validator(f"{name}-{version.removeprefix('v')}").iter_errors(plain):
        deepest = best_match([error])  # of alternatives, what ails the one that was meant
        yield f"{name} at {deepest.json_path}: {deepest.message[:300]}"


@lru_cache
def _validator(name: str) -> Draft7Validator:
    found = {}
    for path in SCHEMAS.glob("*.json"):
        extension, _, version = path.stem.rpartition("-")
        found[f"{SITE}{extension}/v{version}/schema.json"] = json.loads(path.read_text())
    geojson = files("pystac") / "validation/jsonschemas/geojson/Geometry.json"
    found[GEOMETRY] = json.loads(geojson.read_text())
    draft = "http://json-schema.org/draft-07/schema#"
    found |= {uri: {"$schema": draft, "not": {}} for uri in PROJJSON}
    registry: Registry[Any] = Registry().with_resources(
        [(uri, Resource.from_contents(schema)) for uri, schema in found.items()]
    )
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    return Draft7Validator(schema, registry=registry)


def _places(document: Document) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where fields of an extension may be: properties or summaries, assets, and bands of these."""
    tops = {key: document[key] for key in ("properties",) if key in document}
    tops |= {f"assets/{key}": asset for key, asset in document["assets"].items()}
    for name, place in tops.items():
        yield name, place
        for index, band in enumerate(place.get("bands", ())):
            yield f"{name}/bands/{index}", band


def _faults(
    document: Document, prefix: str, rules: Mapping[str, Callable[[Any], bool]]
) -> Iterator[str]:
    """Fields of a prefix that are unknown or of another kind; one at least must be there."""
    used = False
    for place, fields in _places(document):
        for key, value in fields.items():
            if key.startswith(f"{prefix}:"):
                used = True
                if key not in rules or not rules[key](value):
                    yield f"{prefix} at {place}: {key} = {value!r}"
    if not used:
        yield f"{prefix} is declared and not used in properties, assets or their bands"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_percent(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 100


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _eo(document: Document) -> Iterator[str]:
    yield from _faults(document, "eo", {
        "eo:cloud_cover": _is_percent,
        "eo:snow_cover": _is_percent,
        "eo:common_name": COMMON_NAMES.__contains__,
        "eo:center_wavelength": lambda value: _is_positive(value) and value < 20,  # micrometres
        "eo:full_width_half_max": lambda value: _is_positive(value) and value < 1,
    })  # fmt: skip


def _raster(document: Document) -> Iterator[str]:
    yield from _faults(document, "raster", {
        "raster:scale": _is_number,
        "raster:offset": _is_number,
        "raster:sampling": {"area", "point"}.__contains__,
        "raster:spatial_resolution": _is_positive,
    })  # fmt: skip


def _processing(document: Document) -> Iterator[str]:
    rules: dict[str, Callable[[Any], bool]] = {
        "processing:level": lambda value: isinstance(value, str),
        "processing:lineage": lambda value: isinstance(value, str),
        "processing:facility": lambda value: isinstance(value, str),
        "processing:version": lambda value: isinstance(value, str),
        "processing:datetime": lambda value: isinstance(value, str) and value.endswith("Z"),
        "processing:software": lambda value: (
            isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
        ),
    }  # fmt: skip
    if document["type"] == "Feature":
        yield from _faults(document, "processing", rules)
        return
    makers = [
        one for one in document.get("providers", ())
        if {"producer", "processor"} & set(one["roles"])
    ]  # fmt: skip
    if not any(key in rules for one in makers for key in one):
        yield "processing: no provider is a producer or processor and says how"
    for one in makers:
        for key, value in one.items():
            if key.startswith("processing:") and not rules.get(key, lambda _: False)(value):
                yield f"processing at providers: {key} = {value!r}"


def _render(document: Document) -> Iterator[str]:
    """Draft 7 of the extension's own schema, said in rules: of items, and of collections."""
    is_item = document["type"] == "Feature"
    renders = (document["properties"] if is_item else document).get("renders")
    if not isinstance(renders, dict) or not renders:
        yield "render: no renders where they belong"
        return
    for name, one in renders.items():
        for key, rule in RENDER_FIELDS.items():
            if key in one and not rule(one[key]):
                yield f"render {name}: {key} = {one[key]!r}"
        if not set(one.get("assets", ["?"])) <= set(document["assets"]):
            yield f"render {name}: assets {one.get('assets')} are not those of the document"
    maps = any("/web-map-links/" in uri for uri in document["stac_extensions"])
    named = [one["render"] for one in document["links"] if "render" in one]
    if is_item and maps and not named:
        yield "render: no link to a map names its render"
    yield from (f"render: a link names {name}" for name in named if name not in renders)


def _web_map_links(document: Document) -> Iterator[str]:
    kinds = {"xyz", "wms", "wmts", "tilejson", "pmtiles", "3d-tiles"}
    links = [one for one in document["links"] if one["rel"] in kinds]
    if not links:
        yield "web-map-links: declared, and there are none"
    for one in links:
        needed = {"wmts": "wmts:layer", "wms": "wms:layers"}.get(one["rel"])
        names = one.get(needed) if needed else "none needed"
        if not (_is_text(names) or _all(_is_text)(names)):
            yield f"web-map-links: {one['rel']} has no {needed}"
        dimensions = one.get(f"{one['rel']}:dimensions", {})
        if not all(isinstance(value, str) for value in dimensions.values()):
            yield f"web-map-links: dimensions {dimensions!r}"
        if ("{s}" in one["href"]) != ("href:servers" in one):
            yield f"web-map-links: {one['href']} and its servers do not fit"
        if one["rel"] == "xyz" and not all(f"{{{axis}}}" in one["href"] for axis in "zxy"):
            yield f"web-map-links: {one['href']} is no template"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _all(rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and bool(value) and all(map(rule, value))


def _is_span(value: Any) -> bool:
    return _all(_is_number)(value) and len(value) == 2 and value[0] < value[1]


RENDER_FIELDS: dict[str, Callable[[Any], bool]] = {
    "assets": _all(_is_text),
    "title": _is_text,
    "rescale": _all(_is_span),
    "nodata": lambda value: _is_number(value) or _is_text(value),
    "colormap_name": _is_text,
    "colormap": lambda value: isinstance(value, dict),
    "color_formula": _is_text,
    "resampling": _is_text,
    "expression": lambda value: isinstance(value, str | dict | list),
    "minmax_zoom": _all(_is_number),
    "bidx": _all(_is_number),
}
BY_HAND: dict[tuple[str, str], Callable[[Document], Iterator[str]]] = {
    ("eo", "v2.0.0"): _eo,
    ("raster", "v2.0.0"): _raster,
    ("processing", "v1.2.0"): _processing,
    ("render", "v2.0.0"): _render,
    ("web-map-links", "v1.2.0"): _web_map_links,
}
