"""STAC API 1.0 over cubes and products: items of a collection, and search over all."""

from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from datacube.errors import NotFound
from server.ogc.answers import GEOJSON, Document, base_url, link
from server.ogc.shelf import Shelf
from server.ogc.stac_items import Entry, find_holding
from server.ogc.stac_search import Page, PageQuery, SearchBody, SearchQuery, search
from server.services import Services, services_of
from server.strict_json import StrictRoute

router = APIRouter(tags=["catalog"], route_class=StrictRoute)
Services_ = Annotated[Services, Depends(services_of)]
FEATURES: dict[int | str, Document] = {200: {"content": {GEOJSON: {"schema": {"type": "object"}}}}}


@router.get("/search", response_class=Response, responses=FEATURES)
def search_by_query(
    request: Request, services: Services_, query: Annotated[SearchQuery, Query()]
) -> Response:
    """Find items by place, time, collection or id; the latest come first."""
    shelf = Shelf()
    found = search(services.catalog, query.body(), shelf)
    return _page(request, found, _next_by_get(request, found.token), shelf)


@router.post("/search", response_class=Response, responses=FEATURES)
def search_by_body(request: Request, services: Services_, body: SearchBody) -> Response:
    """Find items by place, time, collection or id; the latest come first."""
    shelf = Shelf()
    found = search(services.catalog, body, shelf)
    following: Document | None = None
    if found.token is not None:
        href = link("next", f"{base_url(request)}/search", GEOJSON)
        following = href | {"method": "POST", "body": {"token": found.token}, "merge": True}
    return _page(request, found, following, shelf)


@router.get("/collections/{cube_id}/items", response_class=Response, responses=FEATURES)
def items(
    request: Request, services: Services_, cube_id: str, query: Annotated[PageQuery, Query()]
) -> Response:
    """The items of one collection: scenes of a cube, or those a product was computed for."""
    holding = find_holding(services.catalog, cube_id)
    body = query.body().model_copy(update={"collections": [holding.id]})
    shelf = Shelf()
    found = search(services.catalog, body, shelf)
    return _page(request, found, _next_by_get(request, found.token), shelf)


@router.get("/collections/{cube_id}/items/{item_id}", response_class=Response, responses=FEATURES)
def item(request: Request, services: Services_, cube_id: str, item_id: str) -> Response:
    """One item."""
    for entry in find_holding(services.catalog, cube_id).entries():
        if entry.id == item_id:
            return JSONResponse(entry.document(base_url(request)), media_type=GEOJSON)
    raise NotFound(f"no item {item_id[:80]!r} in this collection")


def _next_by_get(request: Request, token: str | None) -> Document | None:
    if token is None:
        return None
    asked = {key: value for key, value in request.query_params.items() if key != "token"}
    path = f"{base_url(request)}{request.url.path}"
    return link("next", f"{path}?{urlencode({**asked, 'token': token})}", GEOJSON)


def _documents(entry: Entry, base: str) -> list[Document]:
    return [entry.document(base)]


def _page(request: Request, found: Page, following: Document | None, shelf: Shelf) -> Response:
    base = base_url(request)
    features = [
        document
        for entry in found.entries
        for document in shelf.told(entry.holding.cube_id, partial(_documents, entry, base))
    ]
    links = [link("root", f"{base}/"), link("self", str(request.url), GEOJSON)]
    document = {
        "type": "FeatureCollection",
        "features": features,
        "numberMatched": found.matched,
        "numberReturned": len(features),
        "links": [*links, *([following] if following else [])],
        **({"unavailable": shelf.unavailable} if shelf.broken else {}),
    }
    return JSONResponse(document, media_type=GEOJSON, headers={"cache-control": "no-cache"})
