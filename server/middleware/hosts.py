"""Answer only to the names this server goes by.

A page elsewhere whose name was made to point here (DNS rebinding) comes with that name. A
websocket is opened by our own pages alone: browsers let any page try.
"""

import re

from server.middleware.asgi import ASGIApp, Receive, Scope, Send, header, refuse

_HOST = re.compile(r"(?P<name>[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?")


class KnownHosts:
    """Refuse any other Host header, and any malformed one."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer to the known names."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        stated = [value for key, value in scope["headers"] if key == b"host"]
        found = _HOST.fullmatch(header(scope, b"host").lower())
        if len(stated) == 1 and found and found["name"] in self._names:
            if scope["type"] == "websocket" and not _is_from(found[0], header(scope, b"origin")):
                detail = "a page of another origin may not open a websocket here"
                await refuse(scope, receive, send, (403, "ForeignOrigin", detail))
                return
            await self._app(scope, receive, send)
            return
        detail = (
            "this server does not go by the name in the Host header; its operator can add names "
            "in SRCUBE_ALLOWED_HOSTS"
        )
        await refuse(scope, receive, send, (400, "UnknownHost", detail))


def _is_from(host: str, origin: str) -> bool:
    """Whether a page comes from this very host and port; bokeh-fastapi does not look at that."""
    scheme, _, rest = origin.lower().partition("://")
    return scheme in {"http", "https"} and rest == host
