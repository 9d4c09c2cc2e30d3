"""How many pages one client may have open, and all together.

A page is a session in the memory of this process: it begins when its document is asked for, lives
on while its websocket is open, and is collected soon after. Counted are open websockets and
documents handed out so recently that their sessions may still be there.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from server.middleware.asgi import ASGIApp, Receive, Scope, Send, refuse

UNUSED_S = 20.0  # a session is collected 15 s after it was last used; it is looked for every 5 s


@dataclass(eq=False)
class _Held:
    """What one client has in hand, and since when it has the rest (monotonic seconds)."""

    open: int = 0
    loose: deque[float] = field(default_factory=deque)

    def pages(self, now: float) -> int:
        """How many sessions it may have."""
        while self.loose and self.loose[0] <= now - UNUSED_S:
            self.loose.popleft()
        return self.open + len(self.loose)


class PageLimit:
    """Refuse pages beyond a number for each client, and beyond another for everybody."""

    def __init__(
        self, app: ASGIApp, *, page: str, each: int, total: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._app = app
        self._page = page
        self._each, self._total = each, total
        self._clock = clock
        self._held: dict[str, _Held] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer while there is a place for this client."""
        is_socket = scope["type"] == "websocket"
        if not (is_socket or (scope["type"] == "http" and scope["path"] == self._page)):
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        held = self._held_by(client[0] if client else "unknown")
        if is_socket and held.loose:
            held.loose.popleft()  # the websocket of a document that was counted
        everybody = sum(one.pages(self._clock()) for one in self._held.values())
        if held.pages(self._clock()) >= self._each or everybody >= self._total:
            detail = "as many pages are open as there may be; close some, or come back"
            await refuse(scope, receive, send, (429, "TooManySessions", detail))
            return
        held.open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            held.open -= 1
            held.loose.append(self._clock())

    def _held_by(self, name: str) -> _Held:
        """What a client holds; those that hold nothing any more are forgotten."""
        now = self._clock()
        self._held = {who: held for who, held in self._held.items() if held.pages(now)}
        return self._held.setdefault(name, _Held())
