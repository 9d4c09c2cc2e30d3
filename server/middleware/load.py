"""How many requests and how many websockets at once."""

from server.middleware.asgi import ASGIApp, Receive, Scope, Send, refuse


class LoadLimit:
    """Refuse what comes while all places are taken; health is always answered."""

    def __init__(
        self, app: ASGIApp, *, requests: int, websockets: int, exempt: frozenset[str]
    ) -> None:
        self._app = app
        self._most = {"http": requests, "websocket": websockets}
        self._exempt = exempt
        self.open = {"http": 0, "websocket": 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer while there is a place."""
        kind = scope["type"]
        if kind not in self._most or scope["path"] in self._exempt:
            await self._app(scope, receive, send)
            return
        if self.open[kind] >= self._most[kind]:
            status, code = (503, "Overloaded") if kind == "http" else (429, "TooManySessions")
            detail = f"{self.open[kind]} connections are open, the most there may be; come back"
            await refuse(scope, receive, send, (status, code, detail))
            return
        self.open[kind] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.open[kind] -= 1
