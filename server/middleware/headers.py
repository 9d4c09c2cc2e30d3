"""What a browser may do with an answer: nothing, but for the page, which needs its scripts."""

from collections.abc import Mapping

from server.middleware.asgi import ASGIApp, Message, Receive, Scope, Send, with_headers

# A document of the API is data; `style-src` is for the plain pages that show it to a person.
API_POLICY = b"default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"
# Panel makes its models in inline scripts and blob modules; nothing comes from elsewhere.
PAGE_POLICY = (
    b"default-src 'none'; script-src 'self' 'unsafe-inline' blob:; "
    b"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    b"connect-src 'self' blob:; manifest-src 'self'; worker-src 'self' blob:; "
    b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
GUIDELINES = "/guidelines"  # a page that holds its own style and charts
COMMON: Mapping[bytes, bytes] = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"x-frame-options": b"DENY",
}


class SecurityHeaders:
    """Add them to every answer; `page` is the path below which the page's policy holds."""

    def __init__(self, app: ASGIApp, page: str) -> None:
        self._app = app
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        on_page = path in {self._page, GUIDELINES} or path.startswith(self._page + "/")
        policy = PAGE_POLICY if on_page else API_POLICY
        headers = {**COMMON, b"content-security-policy": policy}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = with_headers(message, headers)
            await send(message)

        await self._app(scope, receive, sending)
