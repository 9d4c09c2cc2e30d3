"""One table from what went wrong to what the client is told (RFC 9457, problem+json).

No path, no traceback and no text of a foreign exception leaves the server.
"""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from datacube.errors import (
    Conflict,
    Damaged,
    Gone,
    InvalidInput,
    NotFound,
    OutOfSpace,
    SrcubeError,
    Unavailable,
)
from datacube.stac.errors import Unreachable
from server.admission import ClientGone, DeadlineExceeded, Overloaded
from server.errors import JobFailed, NotAllowed, TooLarge, TooMany, UpstreamSilent, log

__all__ = ["STATUS", "TooLarge", "TooMany", "install_handlers", "log", "problem"]

STATUS: dict[type[SrcubeError], int] = {
    InvalidInput: 422,
    NotFound: 404,
    NotAllowed: 403,
    Conflict: 409,
    Gone: 410,
    TooLarge: 413,
    TooMany: 429,
    ClientGone: 499,
    Overloaded: 503,
    DeadlineExceeded: 504,
    Damaged: 500,
    Unavailable: 503,
    Unreachable: 503,
    UpstreamSilent: 503,
    OutOfSpace: 507,
}
OPERATORS_MATTER = {
    500: "stored data are damaged; the operator has the details",
    503: "the store does not answer just now; try again soon",
    507: "the server has no space left for this; the operator has to make some",
}
RETRY_AFTER_S = 5


def install_handlers(app: FastAPI) -> None:
    """Answer every error of the application as a problem document."""
    app.add_exception_handler(SrcubeError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def problem(status: int, code: str, detail: str, uri: str = "about:blank") -> JSONResponse:
    """A problem document, `uri` its type; errors are never cached."""
    headers = {"cache-control": "no-store"}
    if status in {429, 503, 504}:
        headers["retry-after"] = str(RETRY_AFTER_S)
    body = {"type": uri, "title": code, "status": status, "code": code, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def _ours(_request: Request, error: Exception) -> JSONResponse:
    code, uri = getattr(error, "code", "Error"), getattr(error, "uri", "about:blank")
    if isinstance(error, JobFailed):  # whose message everybody may read, and was logged before
        return problem(_status_of_reason(code), code, str(error), uri)
    status = _status_of(type(error))
    # What is asked, or a server elsewhere: no fault of ours, and the text names nothing of ours.
    if isinstance(error, Overloaded | DeadlineExceeded | UpstreamSilent):
        log.info("%s", code)
        return problem(status, code, str(error))
    if status >= 500:  # the message may name a place in the store: it is for the operator
        log.error("%s", code, exc_info=error)
        return problem(status, code, OPERATORS_MATTER[status])
    return problem(status, code, str(error), uri)


def reason_of(error: Exception) -> str:
    """What anybody may be told of an error, in the words it is answered with."""
    if not isinstance(error, SrcubeError):
        return OPERATORS_MATTER[500]
    return OPERATORS_MATTER.get(_status_of(type(error)), str(error))


def _status_of(kind: type[Exception]) -> int:
    return next((STATUS[one] for one in kind.__mro__ if one in STATUS), 500)


def _status_of_reason(code: str) -> int:
    """What an error of this code is answered with; 500 for what no error of ours is called."""
    known: list[type[SrcubeError]] = [SrcubeError]
    for kind in known:
        known += kind.__subclasses__()
    return next((_status_of(kind) for kind in known if kind.code == code), 500)


async def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    first: Any = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    if first["type"] == "json_invalid":
        return problem(422, "InvalidInput", f"need a body in JSON: {first['ctx']['error']}"[:200])
    where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    got = str(first.get("input"))[:60]
    return problem(422, "InvalidInput", f"{where}: {first['msg']}, got {got!r}")


async def _http(_request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    names = {404: "NotFound", 405: "MethodNotAllowed"}
    details = {404: "there is nothing at this address; see /openapi.json for what there is"}
    return problem(status, names.get(status, "Error"), details.get(status, "request refused"))


async def _unexpected(_request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected error", exc_info=error)
    return problem(500, "Internal", "an error of ours; it has been logged")
