"""Map tiles and TileJSON of every layer.

`draw` is where a tile is drawn: route -> view.read (server.reader) -> render.
TiTiler's factory class, matrix sets and TileJSON model are used; its tile route is not, because
reading and rendering through it costs several times more than the work itself.
"""

import math
from dataclasses import replace
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import numpy as np
from attrs import define
from fastapi import Depends, Query, Request, Response
from morecantile import TileMatrixSet
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from rio_tiler.colormap import cmap
from titiler.core.factory import BaseFactory
from titiler.core.models.mapbox import TileJSON

from datacube import Cube
from datacube.errors import InvalidInput, NotFound
from datacube.scene import parse_rfc3339
from server.expressions import MAX_LENGTH, Formula, find_index, parse
from server.layers import TRUE_COLOUR, Layer, View, find_layer, model_of
from server.ogc.matrix_sets import matrix_set
from server.reader import Frame, Pixels
from server.render import class_rgba, encode, flag_rgba, index_rgba, picture
from server.services import Services, services_of
from server.tile_answers import MEDIA, Address, Drawing, address_of, answer_tile
from server.tile_data import DATA_MEDIA, encode_values, values_of

INDEX_RANGE = (-1.0, 1.0)
INDEX_COLOURS = "rdylgn"
STANDARD_PIXEL_M = 0.28e-3  # what a scale denominator refers to, by OGC 17-083r4


class TileQuery(BaseModel):
    """What may be asked of a tile; anything else is refused by name."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    moment: Annotated[str | None, Field(alias="datetime", max_length=40)] = None
    model: Annotated[str | None, Field(max_length=80)] = None
    bands: Annotated[str | None, Field(max_length=40, description="one, or three: B04,B03,B02")] = (
        None
    )
    rescale: Annotated[str | None, Field(max_length=40, description="low,high: 0,0.3")] = None
    resampling: Literal["nearest", "bilinear"] = "bilinear"
    format: Literal["webp", "png", "jpeg", "tif", "npy"] = "webp"
    index: Annotated[str | None, Field(max_length=20, description="NDVI, of spyndex")] = None
    expression: Annotated[
        str | None, Field(max_length=MAX_LENGTH, description="(B08-B04)/(B08+B04)")
    ] = None
    colormap: Annotated[str | None, Field(max_length=40, description="see /colorMaps")] = None
    v: Annotated[str | None, Field(max_length=40, description="version, to cache it")] = None

    def stretch(self) -> tuple[float, float] | None:
        """The range asked for; raises InvalidInput unless it is two finite, rising numbers."""
        if self.rescale is None:
            return None
        try:
            low, high = (float(part) for part in self.rescale.split(","))
        except ValueError as error:
            raise InvalidInput(f"need rescale=low,high, got {self.rescale!r}") from error
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InvalidInput(f"need two finite numbers low < high, got rescale={self.rescale}")
        return low, high


def band_choice(view: View, text: str | None) -> tuple[str, ...]:
    """Bands to draw: those asked for, else true colour, else the first of the cube."""
    known = [band.name for band in view.cube.bands]
    default = TRUE_COLOUR if set(TRUE_COLOUR) <= set(known) else tuple(known[:1])
    names = tuple(text.split(",")) if text is not None else default
    if len(names) not in {1, 3} or not set(names) <= set(known):
        raise InvalidInput(f"need one band or three of {', '.join(known)}, got bands={text}")
    return names


def find_view(cube: Cube, layer_id: str, query: TileQuery) -> View:
    """The layer, date and model that a request names; the defaults where it names none."""
    layer = find_layer(cube, layer_id)
    if query.moment is None:
        chosen = default_scene_slot(cube)
    else:
        chosen = cube.scene_at(parse_rfc3339(query.moment)).slot
    return View(cube, layer, chosen, model_of(layer, query.model))


def default_scene_slot(cube: Cube) -> int:
    """Slot of the scene to show first: the clearest, the latest among equals."""
    if not cube.scenes:
        raise NotFound("the cube holds no scenes yet")
    preferred = cube.attributes.get("default_datetime")
    for one in cube.scenes:
        if one.scene.stamp == preferred:
            return one.slot
    return min(reversed(cube.scenes), key=lambda one: one.scene.cloud_cover or 0.0).slot


@define(kw_only=True)
class CubeTilerFactory(BaseFactory):
    """Registers the tile routes of all layers, below `/collections/{cube_id}/layers/{layer}`."""

    def register_routes(self) -> None:
        """Called by the base class when the factory is made."""
        base = "/collections/{cube_id}/layers/{layer_id}"
        for size in ("@2x", ""):  # the longer pattern first: {y} would match its suffix too
            self.router.get(
                base + "/tiles/{tms_id}/{z}/{x}/{y}" + size,
                summary=f"A map tile of {512 if size else 256} pixels",
                response_class=Response,
                responses={
                    200: {"content": {media: {} for media in MEDIA.values()}},
                    204: {"description": "inside the matrix, but there is nothing to show"},
                    304: {"description": "not modified"},
                },
            )(tile_2x if size else tile)
        self.router.get(base + "/{tms_id}/tilejson.json", response_model_exclude_none=True)(
            tilejson
        )


TileQuery_ = Annotated[TileQuery, Query()]
Services_ = Annotated[Services, Depends(services_of)]
Address_ = Annotated[Address, Depends(address_of)]


async def tile(
    request: Request, services: Services_, query: TileQuery_, address: Address_
) -> Response:
    """Draw a tile of one layer, 256 pixels wide."""
    return await answer_tile(
        request, services, (address, 256), lambda cube: drawing_of(cube, address.layer_id, query)
    )


async def tile_2x(
    request: Request, services: Services_, query: TileQuery_, address: Address_
) -> Response:
    """Draw a tile of one layer, 512 pixels wide."""
    return await answer_tile(
        request, services, (address, 512), lambda cube: drawing_of(cube, address.layer_id, query)
    )


def draw(view: View, query: TileQuery, frame: Frame) -> tuple[bytes, bool] | None:
    """An encoded tile and whether it is final; None where there is nothing to show."""
    formula = formula_of(view, query)
    bands = formula.bands if formula else band_choice(view, query.bands)
    pixels = view.read(bands, frame, query.resampling)
    if pixels is None or not pixels.valid.any():
        return None
    if formula is None and query.format not in DATA_MEDIA:
        return encode(_image(view, query, pixels), query.format), pixels.complete
    values = values_of(view, pixels)
    if formula is not None:
        values = formula.of(dict(zip(bands, values, strict=True)))[np.newaxis]
        bands = (formula.text,)
    if query.format in DATA_MEDIA:
        return encode_values(values, bands, frame, query.format), pixels.complete
    low, high = query.stretch() or INDEX_RANGE
    image = index_rgba(values[0], (low, high), colormap_of(query) or INDEX_COLOURS)
    return encode(image, query.format), pixels.complete


def _image(view: View, query: TileQuery, pixels: Pixels) -> NDArray[np.uint8]:
    if view.layer.kind == "classes":
        return class_rgba(pixels)
    if view.layer.flagged:
        return flag_rgba(pixels)
    stretch = view.stretch(query.stretch())
    colormap = colormap_of(query)
    if colormap is not None and pixels.dn.shape[-1] != 1:
        raise InvalidInput("need one band for a colormap, got three; name one with bands")
    return picture(pixels, replace(stretch, colormap=colormap) if colormap else stretch)


def formula_of(view: View, query: TileQuery) -> Formula | None:
    """The index or expression asked for, None where bands are to be shown as they are."""
    if query.index is None and query.expression is None:
        return None
    if query.bands is not None or (query.index is not None and query.expression is not None):
        raise InvalidInput("need one of bands, index and expression, got several")
    if not view.layer.banded:
        raise InvalidInput(f"layer {view.layer.id} has no bands to compute with")
    names = tuple(band.name for band in view.cube.bands)
    if query.index is not None:
        return find_index(query.index, names)
    return parse(str(query.expression), names)


def colormap_of(query: TileQuery) -> str | None:
    """The colour map asked for; raises InvalidInput for a name that is none."""
    if query.colormap is not None and query.colormap not in cmap.list():
        raise InvalidInput(f"no colormap {query.colormap!r}; /colorMaps lists those there are")
    return query.colormap


def finest_zoom(tms: TileMatrixSet, view: View) -> int:
    """The level to offer at most: two beyond the one whose pixels are as small as the layer's."""
    finest = view.cube.grid.gsd_m / view.factor
    zooms = (
        zoom for zoom, matrix in enumerate(tms.tileMatrices)
        if matrix.scaleDenominator * STANDARD_PIXEL_M <= finest
    )  # fmt: skip
    return min(next(zooms, tms.maxzoom) + 2, tms.maxzoom)


def drawing_of(cube: Cube, layer_id: str, query: TileQuery) -> Drawing:
    """The layer that a request names, as something to draw."""
    view = find_view(cube, layer_id, query)
    model = view.model.card.id if view.model else ""
    return Drawing(
        view.layer.id, MEDIA[query.format], view.version, query.v,
        (view.slot, model, style_of(query)), lambda frame: draw(view, query, frame),
    )  # fmt: skip


def style_of(query: TileQuery) -> tuple[str | None, ...]:
    """How pixels are to be drawn, for the tag of a tile."""
    return (
        query.bands, query.rescale, query.resampling, query.format, query.index,
        query.expression, query.colormap,
    )  # fmt: skip


def tilejson(
    request: Request, services: Services_, query: TileQuery_, cube_id: str, layer_id: str,
    tms_id: str,
) -> TileJSON:  # fmt: skip
    """TileJSON 3.0 of one layer, with a template that may be kept for ever."""
    view = find_view(services.catalog.open(cube_id), layer_id, query)
    place = (cube_id, view.layer, matrix_set(tms_id))
    return tilejson_document(str(request.base_url), place, view, query, view.version)


def tilejson_document(
    base: str, place: tuple[str, Layer, TileMatrixSet], view: View, query: TileQuery, version: str
) -> TileJSON:
    """TileJSON of a layer's tiles that are asked for as `query` says; `view` tells how fine."""
    cube_id, layer, tms = place
    cube = view.cube
    asked: dict[str, Any] = query.model_dump(by_alias=True, exclude_none=True)
    asked["v"] = version
    path = f"{base}collections/{cube_id}/layers/{layer.id}/tiles/{tms.id}/"
    return TileJSON(
        tilejson="3.0.0",
        name=f"{cube.attributes['title']}: {layer.title}",
        attribution=cube.attributes["attribution"],
        tiles=[path + "{z}/{x}/{y}?" + urlencode(asked)],
        bounds=list(cube.grid.lonlat_bounds()),
        minzoom=tms.minzoom,
        maxzoom=finest_zoom(tms, view),
    )
