"""Answer only to the names this server goes by.

A page elsewhere whose name was made to point here (DNS rebinding) comes with that name.
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
            await self._app(scope, receive, send)
            return
        detail = (
            "this server does not go by the name in the Host header; its operator can add names "
            "in SRCUBE_ALLOWED_HOSTS"
        )
        await refuse(scope, receive, send, (400, "UnknownHost", detail))
