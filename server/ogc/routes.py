"""Every route of the standards, to be included in the application."""

from typing import Any

from fastapi import APIRouter

from server.ogc import (
    edr,
    guidelines,
    landing,
    matrix_sets,
    process_list,
    stac_api,
    tilesets,
    wmts,
    zarr_keys,
)
from server.ogc.answers import PROBLEM

_TEXT = {"type": "string"}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "code": {**_TEXT, "description": "stable, for programs"},
        "detail": {**_TEXT, "description": "one line, for people"},
    },
}
_REASONS = {
    400: "the request cannot be read",
    401: "this takes a key; send one as 'Authorization: Bearer ...'",
    403: "the key has not the scope that this takes, or the page comes from elsewhere",
    404: "there is no such thing",
    409: "it contradicts what is committed",
    410: "it was replaced while it was read, and has been removed; ask again",
    413: "more than the operator allows in one request",
    415: "send the body as it is, without content-encoding",
    422: "a value breaks a rule; the detail names it",
    429: "too many jobs, or too many requests of this client; come back after Retry-After",
    431: "the request line and headers are too long",
    499: "the client has gone: what a log says of it, nobody hears it",
    500: "stored data are damaged",
    503: "too busy, or the store does not answer; come back after Retry-After",
    504: "drawing took too long",
    507: "no space left",
}
# What any operation may answer instead, each as an RFC 9457 document.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": reason, "content": {PROBLEM: {"schema": _PROBLEM}}}
    for status, reason in _REASONS.items()
}


def standard_routes() -> APIRouter:
    """The routes, in the order in which their addresses are matched."""
    router = APIRouter()
    standards = (landing, matrix_sets, tilesets, wmts, process_list, edr, stac_api, zarr_keys)
    for module in (*standards, guidelines):
        router.include_router(module.router)
    return router
