"""A name for every request, one log line and a count at its end, and no answer without a status."""

import logging
import re
import time
import uuid

from server.metrics import Metrics
from server.middleware.asgi import (
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
    header,
    refuse,
    with_headers,
)
from server.observability import request_id

_GIVEN = re.compile(r"[A-Za-z0-9_-]{8,64}")
CLOSED_REQUEST = 499  # counted where the client left before an answer began
access_log = logging.getLogger("srcube.access")
log = logging.getLogger("srcube.server")


class RequestContext:
    """The outermost layer: what happens in all others is told under the request's id."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer under an id, and tell how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = header(scope, b"x-request-id")
        name = given if _GIVEN.fullmatch(given) else uuid.uuid4().hex
        token, began, status = request_id.set(name), time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = with_headers(message, {b"x-request-id": name.encode()})
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:  # the outermost handler
            log.exception("unexpected error")
            if not status:
                said = (500, "Internal", "an error of ours; it has been logged")
                await refuse(scope, receive, sending, said)
        finally:
            self._note(scope, status or CLOSED_REQUEST, time.perf_counter() - began)
            request_id.reset(token)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        # The pattern, not the address: there are few of them, and nobody outside chooses them.
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.requests.labels(scope["method"], route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        self._metrics.answered()
        facts = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "seconds": round(seconds, 4),
            "client": scope.get("state", {}).get("caller", ""),
        }
        access_log.info("answered", extra={"facts": facts})
