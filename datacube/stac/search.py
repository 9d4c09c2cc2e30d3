"""Ask a STAC API for scenes, through pystac-client and over our own checked connection."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from pystac.link import Link
from pystac_client import ItemSearch
from pystac_client.stac_api_io import StacApiIO

from datacube.errors import InvalidInput, SrcubeError
from datacube.lonlat import Bbox, check_bbox
from datacube.scene import rfc3339
from datacube.sources.naming import Interval
from datacube.sources.plan import Refusal
from datacube.stac.catalogs import StacCatalog
from datacube.stac.errors import ItemRejected, Unreachable
from datacube.stac.fetch import Fetcher
from datacube.stac.hrefs import shown
from datacube.stac.items import Item, moment_of

MAX_PAGES = 100
PAGE_ITEMS = 100
QUERY_CONFORMANCE = "item-search#query"


@dataclass(frozen=True)
class Query:
    """What to look for: a box in degrees, a time, and the most cloud in percent."""

    bbox: Bbox
    interval: Interval
    max_cloud: float | None = None

    def __post_init__(self) -> None:
        check_bbox(self.bbox)
        if self.max_cloud is not None and not 0 <= self.max_cloud <= 100:
            raise InvalidInput(f"need a cloud cover of 0 to 100 percent, got {self.max_cloud}")


@dataclass(frozen=True)
class Found:
    """Items by time, and what was refused of the answer."""

    items: tuple[Item, ...]
    refusals: tuple[Refusal, ...] = ()


def search(catalog: StacCatalog, query: Query, fetcher: Fetcher) -> Found:
    """Every item of the catalog's collection that answers the query; each id once.

    The cloud cover is judged here as well, because not every API knows that question. Raises
    Unreachable where the API does not answer, or answers without end.
    """
    io = CheckedApiIO(fetcher)
    address, method, can_query = _search_endpoint(io, catalog.url)
    asks_cloud = can_query and query.max_cloud is not None
    found = ItemSearch(
        address,
        method=method,
        stac_io=io,
        limit=PAGE_ITEMS,
        collections=[catalog.collection],
        bbox=list(query.bbox),
        datetime=f"{rfc3339(query.interval.start)}/{rfc3339(query.interval.end)}",
        query={"eo:cloud_cover": {"lte": query.max_cloud}} if asks_cloud else None,
    )
    items: dict[str, Item] = {}
    refusals: list[Refusal] = []
    for page in found.pages_as_dicts():
        for item in page["features"]:
            try:
                moment = moment_of(item)
            except SrcubeError as error:
                refusals.append(Refusal(_name(item), str(error), error.code))
                continue
            if query.interval.holds(moment) and _is_clear(item, query.max_cloud):
                items.setdefault(item["id"], item)
    return Found(tuple(sorted(items.values(), key=moment_of)), tuple(refusals))


def parse_bbox(text: str) -> Bbox:
    """A box from `W,S,E,N` in degrees; raises InvalidInput."""
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidInput(f"need a bbox as W,S,E,N in degrees, got {text[:80]!r}") from error
    return check_bbox((west, south, east, north))


class CheckedApiIO(StacApiIO):
    """pystac-client's way to the network, replaced by ours; it never opens a file.

    Pages are bounded in number, and a page that brings nothing new ends the search with an
    error: a server that links its pages in a circle would keep us for ever.
    """

    def __init__(self, fetcher: Fetcher) -> None:
        super().__init__(max_retries=None)
        self._fetcher = fetcher

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        """The text behind an href or a link."""
        if isinstance(source, Link):
            return super().read_text(source, *args, **kwargs)
        return self.request(str(source), *args, **kwargs)

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,  # noqa: ARG002 (a catalog may not set headers)
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """The text of an answer; raises what `Fetcher` does."""
        if (method or "GET").upper() == "POST":
            reply = self._fetcher.post_json(href, parameters or {})
        else:
            reply = self._fetcher.get(_with_parameters(href, parameters or {}))
        return reply.data.decode("utf-8", errors="replace")

    def read_object(self, href: Any, **options: Any) -> dict[str, Any]:
        """A JSON object; raises Unreachable for any other answer."""
        address = href.href if isinstance(href, Link) else str(href)
        try:
            document = json.loads(self.read_text(href, **options))
        except (ValueError, RecursionError) as error:
            if isinstance(error, SrcubeError):
                raise
            raise Unreachable(f"{shown(address)} did not answer with JSON") from error
        if not isinstance(document, dict):
            raise Unreachable(f"{shown(address)} did not answer with a JSON object")
        return document

    def get_pages(
        self, url: str, method: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Pages of a search, each with a list of `features`."""
        page = self.read_object(url, method=method, parameters=parameters)
        seen: set[str] = set()
        for _ in range(MAX_PAGES):
            features = page.get("features")
            if not isinstance(features, list):
                raise Unreachable(f"{shown(url)} did not answer with a list of items")
            if not features:
                return
            names = {_name(item) for item in features}
            if names <= seen:
                raise Unreachable(f"{shown(url)} repeats its pages without end")
            seen |= names
            yield page
            link = _next_link(page)
            if link is None:
                return
            page = self.read_object(link, parameters=parameters)
        raise Unreachable(
            f"{shown(url)} has more than {MAX_PAGES} pages; ask for a shorter time or smaller box"
        )


def _search_endpoint(io: CheckedApiIO, root: str) -> tuple[str, str, bool]:
    """Address and method of the search, and whether it takes a question about properties."""
    document = io.read_object(root)
    links = [link for link in _links(document) if link.get("rel") == "search"]
    if not links:
        raise Unreachable(f"{shown(root)} is no STAC API: it names no search")
    methods = {str(link.get("method", "GET")).upper(): str(link.get("href")) for link in links}
    method = "POST" if "POST" in methods else "GET"
    conforms = document.get("conformsTo")
    classes = conforms if isinstance(conforms, list) else []
    can_query = any(str(name).endswith(QUERY_CONFORMANCE) for name in classes)
    return methods.get(method, next(iter(methods.values()))), method, can_query


def _next_link(page: Mapping[str, Any]) -> Link | None:
    found = next((link for link in _links(page) if link.get("rel") == "next"), None)
    if found is None:
        return None
    if not isinstance(found.get("href"), str):
        raise ItemRejected("/links: the link to the next page has no href")
    return Link.from_dict(dict(found))


def _links(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    links = document.get("links")
    return [link for link in links if isinstance(link, Mapping)] if isinstance(links, list) else []


def _with_parameters(href: str, parameters: Mapping[str, Any]) -> str:
    """An address with more of a query; lists joined by commas, objects as JSON, as APIs expect."""
    parts = urlsplit(href)
    texts = {
        key: ",".join(map(str, value))
        if isinstance(value, list | tuple)
        else json.dumps(value)
        if isinstance(value, dict)
        else str(value)
        for key, value in parameters.items()
    }
    query = "&".join(part for part in (parts.query, urlencode(texts)) if part)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


def _is_clear(item: Item, max_cloud: float | None) -> bool:
    cover = item["properties"].get("eo:cloud_cover")
    if max_cloud is None:
        return True
    return isinstance(cover, int | float) and cover <= max_cloud


def _name(item: Any) -> str:
    return str(item.get("id", ""))[:128] if isinstance(item, Mapping) else ""
