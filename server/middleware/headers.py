"""What a browser may do with an answer: nothing, but for the page, which needs its scripts."""

from collections.abc import Mapping, Sequence

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
STYLED = {"/guidelines", "/usecases"}  # pages that hold their own style and charts
COMMON: Mapping[bytes, bytes] = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"x-frame-options": b"DENY",
}


class SecurityHeaders:
    """Add them to every answer; `page` is the path below which the page's policy holds.

    `embed_origins` are sites that may show the page in a frame where it is asked for with
    `?embed=1`, which shows a map without the controls of the sidebar.
    """

    def __init__(self, app: ASGIApp, page: str, embed_origins: Sequence[str] = ()) -> None:
        self._app = app
        self._page = page
        ancestors = " ".join(embed_origins).encode("ascii")
        self._embedded = PAGE_POLICY.replace(
            b"frame-ancestors 'none'", b"frame-ancestors " + (ancestors or b"'none'")
        )
        self._framed = bool(embed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        on_page = path in {self._page, *STYLED} or path.startswith(self._page + "/")
        policy = PAGE_POLICY if on_page else API_POLICY
        headers = {**COMMON, b"content-security-policy": policy}
        if self._framed and path == self._page and _asks_to_embed(scope):
            headers[b"content-security-policy"] = self._embedded
            del headers[b"x-frame-options"]  # knows of no sites, and says less than the policy

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = with_headers(message, headers)
            await send(message)

        await self._app(scope, receive, sending)


def _asks_to_embed(scope: Scope) -> bool:
    return b"embed=1" in scope.get("query_string", b"").split(b"&")
