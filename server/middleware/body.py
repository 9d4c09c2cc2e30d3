"""How large a request body may be, said or unsaid, and that it comes as it is."""

from contextlib import suppress

from server.middleware.asgi import ASGIApp, Message, Receive, Scope, Send, header, refuse


class _TooLong(Exception):
    """The body has grown beyond the limit while it was read."""


class BodyLimit:
    """Refuse bodies beyond a limit and compressed ones, before or while they arrive."""

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app = app
        self._limit = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer requests whose body is no larger than allowed."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = header(scope, b"content-length")
        if header(scope, b"content-encoding") not in {"", "identity"}:
            said = (415, "EncodedBody", "send the body as it is, without content-encoding")
            await refuse(scope, receive, send, said)
        elif length and not length.isdecimal():
            await refuse(scope, receive, send, (400, "BadLength", "content-length is no number"))
        elif length and int(length[:20]) > self._limit:
            await self._refuse(scope, receive, send, f"{length[:20]} bytes")
        else:
            await self._counted(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen, begun = 0, False

        async def counting() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise _TooLong
            return message

        async def unless_too_long(message: Message) -> None:
            nonlocal begun
            if seen <= self._limit or begun:
                begun = True
                await send(message)

        # Whoever reads the body may make an answer of his own of what is raised: it is not sent.
        with suppress(_TooLong):
            await self._app(scope, counting, unless_too_long)
        if seen > self._limit and not begun:
            await self._refuse(scope, receive, send, f"more than {self._limit} bytes")

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, got: str) -> None:
        detail = f"need a body of at most {self._limit} bytes, got {got}"
        await refuse(scope, receive, send, (413, "BodyTooLarge", detail))
