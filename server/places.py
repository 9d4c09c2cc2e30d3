"""Places by name, through a gazetteer that the operator has registered, of Nominatim's interface.

A visitor types a name and never an address. It is asked by the checked client, of the registered
host alone, bounded in bytes and seconds, one question at a time and no faster than the operator
says; answers are kept for a while. What comes back is read strictly: names are plain text.
"""

import json
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import quote_plus

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from datacube.errors import InvalidInput, NotFound, SrcubeError
from datacube.stac.errors import Absent
from datacube.stac.fetch import Fetcher, Limits
from server.admission import RenderLimits, RenderQueue
from server.clients import gone
from server.errors import UpstreamSilent
from server.registry import Gazetteer, Registry

router = APIRouter(tags=["places"])
Document = dict[str, Any]

MOST_PLACES = 8
LONGEST_NAME = 200
KEPT, KEPT_S = 256, 3600.0  # answers, and for how long
WAITING = 8  # questions; one is under way
REMOTE = Limits(idle_s=5, connect_s=5, patience_s=5, attempts=1, redirects=1, max_bytes=256 * 1024)


class PlaceQuery(BaseModel):
    """What may be asked for; anything else is refused by name."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[str, Field(min_length=2, max_length=100, description="a name: Bolzano")]
    lang: Annotated[Literal["en", "de"], Field(description="of the names that come back")] = "en"

    @property
    def name(self) -> str:
        """The name in one line, without what is no text; raises InvalidInput for none."""
        text = " ".join("".join(one if one.isprintable() else " " for one in self.q).split())
        if len(text) < 2:
            raise InvalidInput("need a name of two letters or more in q")
        return text


@dataclass(frozen=True)
class Place:
    """Something with a name: where it is in degrees, and its box (west, south, east, north)."""

    name: str
    kind: str
    lon: float
    lat: float
    bbox: tuple[float, float, float, float] | None

    def document(self) -> Document:
        """As a GeoJSON feature (RFC 7946)."""
        geometry = {"type": "Point", "coordinates": [self.lon, self.lat]}
        properties = {"name": self.name, "kind": self.kind}
        found: Document = {"type": "Feature", "geometry": geometry, "properties": properties}
        return found | ({"bbox": list(self.bbox)} if self.bbox else {})


class Places:
    """The gazetteer, if one is registered: its answers of late, and who waits for one."""

    def __init__(
        self, gazetteer: Gazetteer | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.gazetteer = gazetteer
        self.queue = RenderQueue(RenderLimits(1, WAITING, 3 * REMOTE.idle_s))
        self._fetcher = Fetcher(gazetteer.policy, REMOTE) if gazetteer else None
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, tuple[Place, ...]]] = OrderedDict()
        self._lock = threading.Lock()
        self._next = 0.0

    def kept(self, name: str, lang: str) -> tuple[Place, ...] | None:
        """The answer of a little while ago, None where there is none."""
        with self._lock:
            until, found = self._kept.get((name, lang), (0.0, ()))
        return found if self._clock() < until else None

    def find(self, name: str, lang: str) -> tuple[Place, ...]:
        """Ask the gazetteer; raises NotFound where there is none, UpstreamSilent if it fails."""
        if self.gazetteer is None or self._fetcher is None:
            raise NotFound("no gazetteer is registered here: places are not found by name")
        time.sleep(max(0.0, self._next - self._clock()))  # one question at a time, on its thread
        try:
            reply = self._fetcher.get(self.gazetteer.href(quote_plus(name), MOST_PLACES, lang))
            found = read_places(reply.data)
        except Absent:
            found = ()
        except SrcubeError as error:
            raise UpstreamSilent("the gazetteer does not answer just now") from error
        finally:
            self._next = self._clock() + self.gazetteer.pause_s
        with self._lock:
            self._kept[name, lang] = (self._clock() + KEPT_S, found)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    def close(self) -> None:
        """End the thread and the connections."""
        self.queue.close()
        if self._fetcher:
            self._fetcher.close()


def load_places(registry: Registry) -> Places:
    """The gazetteer of a registry, or what says that there is none."""
    return Places(registry.places)


def read_places(data: bytes) -> tuple[Place, ...]:
    """The places of an answer, those that can be read; raises UpstreamSilent for another thing."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UpstreamSilent("the gazetteer did not answer with JSON") from error
    if not isinstance(found, list):
        raise UpstreamSilent("the gazetteer did not answer with a list of places")
    read = [_place(one) for one in found[:MOST_PLACES] if isinstance(one, dict)]
    places = tuple(one for one in read if one is not None)
    if found and not places:
        raise UpstreamSilent("the gazetteer answered with places that cannot be read")
    return places


def _place(entry: Mapping[str, Any]) -> Place | None:
    """One place of jsonv2; numbers may be written as text. None for what is none."""
    at = _numbers([entry.get("lat"), entry.get("lon")])
    name = entry.get("display_name")
    if at is None or not isinstance(name, str) or not _within(*at):
        return None
    box = entry.get("boundingbox")
    edges = _numbers(box) if isinstance(box, list) and len(box) == 4 else None
    bbox = None
    if edges is not None:
        south, north, west, east = edges
        if west <= east and south <= north and _within(south, west) and _within(north, east):
            bbox = (west, south, east, north)
    kind = entry.get("type")
    return Place(_text(name), _text(kind) if isinstance(kind, str) else "", at[1], at[0], bbox)


def _numbers(values: list[Any]) -> list[float] | None:
    try:
        found = [float(value) for value in values if isinstance(value, str | int | float)]
    except (ValueError, OverflowError):
        return None
    return found if len(found) == len(values) and all(map(math.isfinite, found)) else None


def _within(lat: float, lon: float) -> bool:
    return -90 <= lat <= 90 and -180 <= lon <= 180


def _text(text: str) -> str:
    """One line of plain text, not endless."""
    line = "".join(one if one.isprintable() else " " for one in text[: 4 * LONGEST_NAME])
    return " ".join(line.split())[:LONGEST_NAME]


async def places_of(request: Request) -> Places:
    """The places of the application that answers a request."""
    found: Places = request.app.state.places
    return found


Places_ = Annotated[Places, Depends(places_of)]


@router.get("/gazetteer")
def about_gazetteer(places: Places_) -> Document:
    """Whether places are found by name here, and whom that is owed to; the address is not told."""
    one = places.gazetteer
    return {
        "registered": one is not None,
        "title": one.title if one else None,
        "attribution": one.attribution if one else None,
    }


@router.get("/places")
async def find_places(
    request: Request, places: Places_, query: Annotated[PlaceQuery, Query()]
) -> Document:
    """Places of a name as GeoJSON, the likeliest first; 404 where no gazetteer is registered."""
    name, lang = query.name, query.lang
    kept = places.kept(name, lang)
    if kept is not None:
        return _collection(kept, places)
    found, _ = await places.queue.run((name, lang), lambda: places.find(name, lang), gone(request))
    return _collection(found, places)


def _collection(found: tuple[Place, ...], places: Places) -> Document:
    attribution = places.gazetteer.attribution if places.gazetteer else ""
    return {
        "type": "FeatureCollection",
        "features": [one.document() for one in found],
        "attribution": attribution,
    }
