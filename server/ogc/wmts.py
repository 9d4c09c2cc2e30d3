"""WMTS 1.0 capabilities of a cube, for desktop programs: RESTful templates, no KVP.

A layer made by models is listed once for each model, as `layer.model`. Dates are the dimension
`Time`, which the templates hand on as the `datetime` of a tile request.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from morecantile import TileMatrixSet

from datacube import Cube
from server.layers import View, layers_of, model_of
from server.ogc.answers import base_url
from server.ogc.tilesets import limits, offered
from server.services import Services, services_of
from server.tile_answers import MEDIA
from server.tiles import default_scene_slot

router = APIRouter(tags=["tiles"])

XML = "application/xml"
_WMTS = "http://www.opengis.net/wmts/1.0"
_OWS = "http://www.opengis.net/ows/1.1"
_XLINK = "http://www.w3.org/1999/xlink"
NAMESPACES = {"": _WMTS, "ows": _OWS, "xlink": _XLINK}
TILE_PX = "256"
FORMATS = ("png", "webp", "jpeg")


@router.get(
    "/collections/{cube_id}/WMTSCapabilities.xml",
    response_class=Response,
    responses={200: {"content": {XML: {"schema": {"type": "string"}}}}},
)
def wmts_capabilities(
    request: Request, services: Annotated[Services, Depends(services_of)], cube_id: str
) -> Response:
    """All layers of a cube as a Web Map Tile Service."""
    cube = services.catalog.open(cube_id)
    return Response(
        capabilities(base_url(request), cube_id, cube),
        media_type=XML,
        headers={"cache-control": "no-cache"},
    )


def capabilities(base: str, cube_id: str, cube: Cube) -> bytes:
    """The document; a cube without scenes has no layers yet."""
    for prefix, uri in NAMESPACES.items():
        ET.register_namespace(prefix, uri)
    path = f"{base}/collections/{cube_id}"
    root = ET.Element(f"{{{_WMTS}}}Capabilities", version="1.0.0")
    about = _ows(root, "ServiceIdentification")
    _ows(about, "Title", str(cube.attributes["title"]))
    _ows(about, "Abstract", str(cube.attributes["notice"] or cube.attributes["description"]))
    _ows(about, "ServiceType", "OGC WMTS")
    _ows(about, "ServiceTypeVersion", "1.0.0")
    contents = _wmts(root, "Contents")
    sets = offered(cube)
    for view in views(cube):
        _layer(contents, path, view, sets)
    for tms in sets:
        _matrix_set(contents, tms)
    _wmts(root, "ServiceMetadataURL", {f"{{{_XLINK}}}href": f"{path}/WMTSCapabilities.xml"})
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def views(cube: Cube) -> list[View]:
    """Every layer at the default date, once for each model that can make it of this cube."""
    if not cube.scenes:
        return []
    slot = default_scene_slot(cube)
    return [
        View(cube, layer, slot, model_of(layer, name))
        for layer in layers_of(cube)
        for name in ((layer.models_for(cube) if layer.by_model else ()) or (None,))
    ]


def _layer(contents: ET.Element, path: str, view: View, sets: list[TileMatrixSet]) -> None:
    entry = _wmts(contents, "Layer")
    model = view.model.card if view.model else None
    title = f"{view.layer.title}, by {model.title}" if model else view.layer.title
    _ows(entry, "Title", title)
    west, south, east, north = view.cube.grid.lonlat_bounds()
    box = _ows(entry, "WGS84BoundingBox")
    _ows(box, "LowerCorner", f"{west} {south}")
    _ows(box, "UpperCorner", f"{east} {north}")
    _ows(entry, "Identifier", f"{view.layer.id}.{model.id}" if model else view.layer.id)
    style = _wmts(entry, "Style", {"isDefault": "true"})
    _ows(style, "Identifier", "default")
    for name in FORMATS:
        _wmts(entry, "Format", text=MEDIA[name])
    _times(entry, view)
    for tms in sets:
        _limited(entry, view, tms)
    asked = {"v": view.version} | ({"model": model.id} if model else {})
    template = f"{path}/layers/{view.layer.id}/tiles/{{TileMatrixSet}}"
    for name in FORMATS:
        query = f"{urlencode({**asked, 'format': name})}&datetime={{Time}}"
        address = f"{template}/{{TileMatrix}}/{{TileCol}}/{{TileRow}}?{query}"
        attributes = {"format": MEDIA[name], "resourceType": "tile", "template": address}
        _wmts(entry, "ResourceURL", attributes)


def _times(entry: ET.Element, view: View) -> None:
    """Dates are written with their seconds, so that each names one scene."""
    dimension = _wmts(entry, "Dimension")
    _ows(dimension, "Identifier", "Time")
    stamps = {one.slot: one.scene.stamp for one in view.cube.scenes}
    _wmts(dimension, "Default", text=stamps[view.slot])
    for stamp in stamps.values():
        _wmts(dimension, "Value", text=stamp)


def _limited(entry: ET.Element, view: View, tms: TileMatrixSet) -> None:
    linked = _wmts(entry, "TileMatrixSetLink")
    _wmts(linked, "TileMatrixSet", text=str(tms.id))
    every = _wmts(linked, "TileMatrixSetLimits")
    for level in limits(tms, view):
        one = _wmts(every, "TileMatrixLimits")
        _wmts(one, "TileMatrix", text=str(level["tileMatrix"]))
        for name in ("MinTileRow", "MaxTileRow", "MinTileCol", "MaxTileCol"):
            _wmts(one, name, text=str(level[name[0].lower() + name[1:]]))


def _matrix_set(contents: ET.Element, tms: TileMatrixSet) -> None:
    entry = _wmts(contents, "TileMatrixSet")
    _ows(entry, "Identifier", tms.id)
    authority = tms.crs.to_epsg()
    code = f"EPSG::{authority}" if authority else "OGC:1.3:CRS84"
    _ows(entry, "SupportedCRS", f"urn:ogc:def:crs:{code}")
    for matrix in tms.tileMatrices:
        one = _wmts(entry, "TileMatrix")
        _ows(one, "Identifier", matrix.id)
        _wmts(one, "ScaleDenominator", text=repr(matrix.scaleDenominator))
        x, y = matrix.pointOfOrigin
        _wmts(one, "TopLeftCorner", text=f"{x!r} {y!r}")
        _wmts(one, "TileWidth", text=TILE_PX)
        _wmts(one, "TileHeight", text=TILE_PX)
        _wmts(one, "MatrixWidth", text=str(matrix.matrixWidth))
        _wmts(one, "MatrixHeight", text=str(matrix.matrixHeight))


def _ows(parent: ET.Element, name: str, text: str | None = None) -> ET.Element:
    element = ET.SubElement(parent, f"{{{_OWS}}}{name}")
    element.text = text
    return element


def _wmts(
    parent: ET.Element, name: str, attributes: Mapping[str, str] | None = None, text: str = ""
) -> ET.Element:
    element = ET.SubElement(parent, f"{{{_WMTS}}}{name}", dict(attributes or {}))
    element.text = text or None
    return element
