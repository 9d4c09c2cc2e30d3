"""Which items a search means, a page at a time.

A page ends with a token that names the last item it gave; the next one starts after it, whatever
was committed in between.
"""

import base64
import binascii
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, Self

import shapely
from pydantic import BaseModel, ConfigDict, Field
from shapely.errors import ShapelyError
from shapely.geometry import shape

from datacube import Catalog
from datacube.errors import InvalidInput
from datacube.sources.naming import parse_interval
from server.ogc.edr_query import MAX_VERTICES, numbers
from server.ogc.shelf import Shelf
from server.ogc.stac_items import Entry, holdings_of, may_hold
from server.strict_json import Number

MAX_ITEMS = 250  # on one page
DEFAULT_ITEMS = 10
MAX_NAMES = 200

Limit = Annotated[int, Field(ge=1, le=10_000, description=f"at most {MAX_ITEMS} are given")]
Token = Annotated[str, Field(max_length=600)]
Name = Annotated[str, Field(max_length=300)]
Moment = Annotated[str, Field(max_length=80)]
Kinds = Literal["Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"]


class Geometry(BaseModel):
    """A GeoJSON geometry."""

    model_config = ConfigDict(extra="ignore")

    type: Kinds
    coordinates: list[Any]


class SearchBody(BaseModel):
    """What a search may say; anything else is refused by name."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    collections: Annotated[list[Name] | None, Field(max_length=MAX_NAMES)] = None
    ids: Annotated[list[Name] | None, Field(max_length=MAX_NAMES)] = None
    bbox: Annotated[list[Number] | None, Field(min_length=4, max_length=6)] = None
    intersects: Geometry | None = None
    moment: Annotated[Moment | None, Field(alias="datetime")] = None
    limit: Limit = DEFAULT_ITEMS
    token: Token | None = None

    def ground(self) -> shapely.Geometry | None:
        """The ground asked for in degrees, None for anywhere."""
        if self.bbox is not None and self.intersects is not None:
            raise InvalidInput("need bbox or intersects, got both")
        if self.intersects is not None:
            return _geometry(self.intersects)
        return None if self.bbox is None else _box(self.bbox)


class PageQuery(BaseModel):
    """What may be asked of the items of one collection."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    bbox: Annotated[str | None, Field(max_length=200)] = None
    moment: Annotated[Moment | None, Field(alias="datetime")] = None
    limit: Limit = DEFAULT_ITEMS
    token: Token | None = None

    def body(self) -> SearchBody:
        """The same in the form of a search."""
        return SearchBody(
            bbox=None if self.bbox is None else numbers(self.bbox),
            moment=self.moment,
            limit=self.limit,
            token=self.token,
        )


class SearchQuery(PageQuery):
    """What a search by GET may say: lists are separated by commas."""

    collections: Annotated[str | None, Field(max_length=10_000)] = None
    ids: Annotated[str | None, Field(max_length=10_000)] = None
    intersects: Annotated[str | None, Field(max_length=40_000, description="GeoJSON")] = None

    def body(self) -> SearchBody:
        """The same in the form of a body."""
        found = super().body()
        lists = {
            name: text.split(",")[:MAX_NAMES]
            for name, text in (("collections", self.collections), ("ids", self.ids))
            if text is not None
        }
        return found.model_copy(update={**lists, "intersects": _parsed(self.intersects)})


@dataclass(frozen=True)
class Page:
    """Some items of a search, how many it has in all, and where to go on."""

    entries: tuple[Entry, ...]
    matched: int
    token: str | None

    @classmethod
    def of(cls, found: Sequence[Entry], body: SearchBody) -> Self:
        """The page that a token asks for, of entries in any order; the latest come first."""
        ordered = sorted(found, key=lambda entry: entry.key, reverse=True)
        rest = ordered
        if body.token is not None:
            last = _decoded(body.token)
            rest = [entry for entry in ordered if entry.key < last]
        size = min(body.limit, MAX_ITEMS)
        more = len(rest) > size
        return cls(tuple(rest[:size]), len(ordered), _encoded(rest[size - 1]) if more else None)


def search(catalog: Catalog, body: SearchBody, shelf: Shelf) -> Page:
    """The page of all items that answer a search; unknown collections and ids match nothing.

    Cubes that cannot be read are named on the shelf, as far as the search may mean them.
    """
    ground = body.ground()
    interval = parse_interval(body.moment) if body.moment is not None else None
    wanted = body.collections

    def matching(cube_id: str) -> Iterator[Entry]:
        for holding in holdings_of(catalog, cube_id):
            if wanted is None or holding.id in wanted:
                for entry in holding.entries():
                    if (
                        (body.ids is None or entry.id in body.ids)
                        and (interval is None or interval.holds(entry.one.scene.datetime))
                        and (ground is None or bool(shapely.intersects(ground, entry.ground)))
                    ):
                        yield entry

    found: list[Entry] = []
    for cube_id in catalog.ids():
        if wanted is None or any(may_hold(cube_id, name) for name in wanted):
            found += shelf.told(cube_id, partial(matching, cube_id))
    return Page.of(found, body)


def _box(edges: Sequence[float]) -> shapely.Geometry:
    """A box; one whose west is greater than its east lies across the antimeridian."""
    if len(edges) not in {4, 6} or not all(math.isfinite(edge) for edge in edges):
        raise InvalidInput(f"need a bbox of 4 or 6 finite numbers, got {list(edges)[:6]}")
    half = len(edges) // 2
    west, south, east, north = edges[0], edges[1], edges[half], edges[half + 1]
    if not (min(west, east) >= -180 and max(west, east) <= 180 and -90 <= south <= north <= 90):
        raise InvalidInput(
            f"need longitudes within -180..180 and -90 <= south <= north <= 90, got {list(edges)}"
        )
    if west <= east:
        return shapely.box(west, south, east, north)
    return shapely.union(
        shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)
    )


def _parsed(text: str | None) -> Geometry | None:
    if text is None:
        return None
    try:
        return Geometry.model_validate(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"need intersects as GeoJSON, got {text[:60]!r}") from error


def _geometry(given: Geometry) -> shapely.Geometry:
    try:
        found = shape({"type": given.type, "coordinates": given.coordinates})
    except (ValueError, TypeError, LookupError, AttributeError, ShapelyError) as error:
        raise InvalidInput(f"need GeoJSON coordinates of a {given.type}") from error
    count = int(shapely.get_num_coordinates(found))
    if not 1 <= count <= MAX_VERTICES or not found.is_valid:
        raise InvalidInput(f"need a valid {given.type} of 1 to {MAX_VERTICES} places, got {count}")
    return found


def _encoded(entry: Entry) -> str:
    return base64.urlsafe_b64encode(json.dumps(entry.key).encode()).decode().rstrip("=")


def _decoded(token: str) -> tuple[str, str, str]:
    try:
        stamp, collection, item = json.loads(
            base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        )
        return str(stamp), str(collection), str(item)
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise InvalidInput("need a token as a page gave it, got another") from error
