"""The landing page, which is the root of the STAC catalog too, and what it conforms to."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from datacube.stac.describe import STAC_VERSION
from server.ogc.answers import (
    GEOJSON,
    HTML,
    HTML_TOO,
    OPENAPI,
    Document,
    Format,
    answer,
    base_url,
    link,
    page,
)

router = APIRouter(tags=["landing"])
EXPLORER_PATH = "/explorer"

_OGC = "http://www.opengis.net/spec"
_STAC = "https://api.stacspec.org/v1.0.0"
_REL = "http://www.opengis.net/def/rel/ogc/1.0"
PROCESSES, JOBS = f"{_REL}/processes", f"{_REL}/job-list"
CONFORMING = f"{_REL}/conformance"  # as Processes calls it
TILING_SCHEMES = f"{_REL}/tiling-schemes"

# Only classes with tests, which tests/test_ogc_common.py lists by class. One rule of them is not
# kept: a value that breaks a rule is answered with 422, where OGC asks for 400. Not among them are
# OpenAPI 3.0, for the description is written in 3.1, and html and callback of Processes. Its core
# has a server take inputs by reference: here from within the address (`data:`), and from those
# hosts alone that the operator names, by default none.
CONFORMANCE = (
    f"{_OGC}/ogcapi-common-1/1.0/conf/core",
    f"{_OGC}/ogcapi-common-1/1.0/conf/landing-page",
    f"{_OGC}/ogcapi-common-1/1.0/conf/json",
    f"{_OGC}/ogcapi-common-1/1.0/conf/html",
    f"{_OGC}/ogcapi-common-2/1.0/conf/collections",
    f"{_OGC}/ogcapi-tiles-1/1.0/conf/core",
    f"{_OGC}/ogcapi-tiles-1/1.0/conf/tileset",
    f"{_OGC}/ogcapi-tiles-1/1.0/conf/tilesets-list",
    f"{_OGC}/ogcapi-tiles-1/1.0/conf/geodata-tilesets",
    f"{_OGC}/ogcapi-tiles-1/1.0/conf/png",
    f"{_OGC}/ogcapi-tiles-1/1.0/conf/jpeg",
    f"{_OGC}/tms/2.0/conf/tilematrixset",
    f"{_OGC}/tms/2.0/conf/json-tilematrixset",
    f"{_OGC}/ogcapi-processes-1/1.0/conf/core",
    f"{_OGC}/ogcapi-processes-1/1.0/conf/ogc-process-description",
    f"{_OGC}/ogcapi-processes-1/1.0/conf/json",
    f"{_OGC}/ogcapi-processes-1/1.0/conf/job-list",
    f"{_OGC}/ogcapi-processes-1/1.0/conf/dismiss",
    f"{_OGC}/ogcapi-edr-1/1.1/conf/core",
    f"{_OGC}/ogcapi-edr-1/1.1/conf/collections",
    f"{_OGC}/ogcapi-edr-1/1.1/conf/json",
    f"{_OGC}/ogcapi-edr-1/1.1/conf/geojson",
    f"{_OGC}/ogcapi-edr-1/1.1/conf/covjson",
    f"{_OGC}/ogcapi-features-1/1.0/conf/core",
    f"{_OGC}/ogcapi-features-1/1.0/conf/geojson",
    f"{_STAC}/core",
    f"{_STAC}/collections",
    f"{_STAC}/ogcapi-features",
    f"{_STAC}/item-search",
)


@router.get("/", responses=HTML_TOO)
def landing(request: Request, f: Format = None) -> Response:
    """Where everything else is; a browser that did not ask for this page goes on to the map."""
    base = base_url(request)
    document: Document = {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": "srcube",
        "title": "srcube",
        "description": "Sentinel-2 cubes, and what models of super-resolution make of them: map "
        "tiles, coverages, jobs and a catalog.",
        "conformsTo": list(CONFORMANCE),
        "links": landing_links(base),
    }
    onwards = f'<meta http-equiv="refresh" content="0; url={EXPLORER_PATH}">'
    return answer(request, document, f, head="" if f else onwards)


def landing_links(base: str) -> list[Document]:
    """Links to the parts of the service."""
    return [
        link("self", f"{base}/", title="This page"),
        link("alternate", f"{base}/?f=html", HTML, "This page as HTML"),
        link("root", f"{base}/"),
        link("describedby", f"{base}{EXPLORER_PATH}", HTML, "The map"),
        link("service-desc", f"{base}/api", OPENAPI, "The interface, OpenAPI"),
        link("service-doc", f"{base}/api.html", HTML, "The interface, for people"),
        link("conformance", f"{base}/conformance", title="Standards that are kept"),
        link("data", f"{base}/collections", title="Cubes and products"),
        link("search", f"{base}/search", GEOJSON, "Search") | {"method": "GET"},
        link("search", f"{base}/search", GEOJSON, "Search") | {"method": "POST"},
        link(CONFORMING, f"{base}/conformance"),
        link(PROCESSES, f"{base}/processes", title="Processes"),
        link(JOBS, f"{base}/jobs", title="Jobs of one's own"),
        link(TILING_SCHEMES, f"{base}/tileMatrixSets", title="Tile matrix sets"),
    ]


@router.get("/conformance", responses=HTML_TOO)
def conformance(request: Request, f: Format = None) -> Response:
    """The conformance classes that tests hold this service to."""
    return answer(request, {"title": "Conformance", "conformsTo": list(CONFORMANCE)}, f)


@router.get("/api", responses={200: {"content": {OPENAPI: {}}}})
def description(request: Request) -> Response:
    """The interface under the media type that names its version."""
    return JSONResponse(request.app.openapi(), media_type=OPENAPI)


@router.get("/api.html", response_class=HTMLResponse)
def operations(request: Request) -> Response:
    """Every operation in one line each, without script and without anything remote."""
    paths = request.app.openapi()["paths"]
    listed = {
        f"{method.upper()} {path}": found.get("description") or found.get("summary", "")
        for path, methods in paths.items()
        for method, found in methods.items()
    }
    return HTMLResponse(page({"title": "srcube: the interface", "operations": listed}))
