"""Scenes of cubes and of products as STAC items of this service.

An entry is what is known of an item without making its document; searches filter and sort
entries, and make documents of the page they answer with only. `datacube.stac.describe` says what
stands in a document; here its links and hrefs become addresses of this service.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode

import shapely
from shapely.geometry import shape

from datacube import Catalog, Cube, Grid, Product
from datacube.cube import CommittedScene
from datacube.errors import NotFound
from datacube.stac.describe import (
    flat_name,
    product_collection,
    product_item,
    scene_item,
)
from datacube.stac.footprint import footprint_of
from datacube.store.conventions import level_name
from server.layers import LAYERS, TRUE_COLOUR, TRUTH, Layer, layers_of, version_of
from server.ogc.answers import GEOJSON, Document, link, templated
from server.ogc.shelf import UNREADABLE
from sr_engine.registry import find_model, models

RENDER = "https://stac-extensions.github.io/render/v2.0.0/schema.json"
WEB_MAP_LINKS = "https://stac-extensions.github.io/web-map-links/v1.2.0/schema.json"


@dataclass(frozen=True)
class Holding:
    """A collection of items: a cube, or one of its products."""

    id: str
    cube_id: str
    cube: Cube
    product: Product | None = None

    @property
    def grid(self) -> Grid:
        """The finest grid."""
        return self.product.levels[0] if self.product else self.cube.grid

    def entries(self) -> Iterator["Entry"]:
        """Its items; of a product, those of which a block was computed."""
        slots = None
        if self.product is not None:
            records = self.cube.storage.inside(f"{self.product.path}/reflectance_blocks/c")
            slots = set(records.folders())
        for one in self.cube.scenes:
            if slots is None or str(one.slot) in slots:
                yield Entry(self, one)


@dataclass(frozen=True)
class Entry:
    """One item, before its document is made."""

    holding: Holding
    one: CommittedScene

    @property
    def id(self) -> str:
        """The item's id: the scene's, and the product's where it is of one."""
        product = self.holding.product
        return self.one.scene.scene_id + (f"-{flat_name(product.path)}" if product else "")

    @property
    def key(self) -> tuple[str, str, str]:
        """What items are sorted by: time, collection, id."""
        return self.one.scene.stamp, self.holding.id, self.id

    @property
    def ground(self) -> shapely.Geometry:
        """Its footprint in degrees."""
        return _ground(self.holding.grid)

    def document(self, base: str) -> Document:
        """The item."""
        holding = self.holding
        where = f"{base}/collections/{holding.cube_id}/zarr"
        if holding.product is None:
            item = scene_item(holding.cube_id, holding.cube, self.one, base=where)
        else:
            item = product_item(holding.cube_id, holding.product, self.one, base=where)
        item["links"] = [*self._links(base), *self._map_links(base)]
        if drawn := renders(holding):
            item["stac_extensions"] = [*item["stac_extensions"], RENDER, WEB_MAP_LINKS]
            item["properties"]["renders"] = drawn
        return item

    def _links(self, base: str) -> list[Document]:
        collection = f"{base}/collections/{self.holding.id}"
        found = [
            link("self", f"{collection}/items/{self.id}", GEOJSON),
            link("root", f"{base}/"),
            link("parent", collection),
            link("collection", collection),
        ]
        if self.holding.product is not None:
            measured = f"{base}/collections/{self.holding.cube_id}"
            source = f"{measured}/items/{self.one.scene.scene_id}"
            found.append(link("derived_from", source, GEOJSON))
        return found

    def _map_links(self, base: str) -> list[Document]:
        """Templates of map tiles at this date, which Leaflet and QGIS take as they are."""
        path = f"{base}/collections/{self.holding.cube_id}"
        shown = shown_by(self.holding)
        by_name = {
            "wmts:layer": [".".join([layer.id, *asked.values()]) for layer, asked in shown],
            "wmts:dimensions": {"Time": self.one.scene.stamp},
        }
        capabilities = link("wmts", f"{path}/WMTSCapabilities.xml", "application/xml")
        found = [capabilities | by_name] if shown else []
        for layer, asked in shown:
            model = find_model(asked["model"]) if "model" in asked else None
            version = version_of(self.holding.cube, layer, model)
            stamp = {"datetime": self.one.scene.stamp, "v": version}
            query = urlencode(asked | stamp)
            tiles = f"{path}/layers/{layer.id}/tiles/WebMercatorQuad/{{z}}/{{x}}/{{y}}?{query}"
            found.append(templated("xyz", tiles, "image/webp", layer.title) | {"render": layer.id})
        return found


def holdings_of(catalog: Catalog, cube_id: str) -> Iterator[Holding]:
    """A cube and its products."""
    cube = catalog.open(cube_id)
    yield Holding(cube_id, cube_id, cube)
    for path in cube.root.commit.products:
        name = f"{cube_id}-{flat_name(path)}"
        yield Holding(name, cube_id, cube, Product.open(cube, path))


def find_holding(catalog: Catalog, collection_id: str) -> Holding:
    """The collection of this id; raises NotFound, or why a cube it may be of cannot be read."""
    broken: Exception | None = None
    for cube_id in catalog.ids():
        if not may_hold(cube_id, collection_id):
            continue
        try:
            for holding in holdings_of(catalog, cube_id):
                if holding.id == collection_id:
                    return holding
        except UNREADABLE as error:  # another cube may have a name that begins like this one's
            broken = error
    if broken is not None:
        raise broken
    raise NotFound(f"no collection {collection_id[:80]!r}; /collections lists those there are")


def may_hold(cube_id: str, collection_id: str) -> bool:
    """Whether a collection of this id would be the cube, or a product of it."""
    return collection_id == cube_id or collection_id.startswith(f"{cube_id}-")


def product_document(base: str, holding: Holding) -> Document:
    """A product as a collection. It has no layers of its own: those of its cube show it."""
    if holding.product is None:
        raise TypeError(f"{holding.id} is a cube, which has a document of its own")
    path = f"{base}/collections/{holding.id}"
    measured = f"{base}/collections/{holding.cube_id}"
    document = product_collection(holding.cube_id, holding.product)
    address = f"{measured}/zarr/{holding.product.path}/{level_name(holding.grid.gsd_m)}"
    document["assets"]["product"]["href"] = address
    return document | {
        "title": f"{document['title']}: {holding.product.path}",
        "scenes": [],
        "layers": [],
        "links": [
            link("self", path),
            link("root", f"{base}/"),
            link("parent", f"{base}/"),
            link("items", f"{path}/items", GEOJSON),
            link("derived_from", measured),
        ],
    }


def shown_by(holding: Holding) -> list[tuple[Layer, dict[str, str]]]:
    """The layers that show a holding, each with what to ask of its tiles."""
    if holding.product is None:
        kinds = {"measured", "classes"}
        return [(layer, {}) for layer in layers_of(holding.cube) if layer.kind in kinds]
    if holding.product.path == TRUTH:
        return [(LAYERS[TRUTH], {})]
    card = holding.product.attributes.get("model_card") or {}
    maker = models().get(str(card.get("id")))
    return [
        (layer, {"model": maker.card.id})
        for layer in LAYERS.values()
        if maker
        and maker.card.id in layer.models_for(holding.cube)
        and layer.variable in holding.product.variables
    ]


def renders(holding: Holding) -> dict[str, Document]:
    """How each layer is drawn, in the words of the render extension."""
    finest = level_name(holding.grid.gsd_m)
    found = {}
    for layer, asked in shown_by(holding):
        render: Document = {"title": layer.title, "assets": [finest], "resampling": "bilinear"}
        if layer.kind != "classes":
            span = [layer.low, layer.high]
            render["rescale"] = [span] * (len(TRUE_COLOUR) if layer.banded else 1)
        if layer.colormap:
            render["colormap_name"] = layer.colormap
        found[layer.id] = render | {"srcube:layer": layer.id, **asked}
    return found


@lru_cache(maxsize=256)
def _ground(grid: Grid) -> shapely.Geometry:
    return shape(footprint_of(grid)[1])
