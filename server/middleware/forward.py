"""What a tile process passes on to the process that has the page and the jobs.

Both stay where they are kept in memory: sessions, watchers, workers. The way is a Unix socket that
nobody else can reach, so that what is said on it of the client is believed.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import websockets
from websockets.asyncio.client import ClientConnection, unix_connect

from server.errors import log
from server.middleware.asgi import ASGIApp, Receive, Scope, Send, header, refuse
from server.observability import request_id

# Of one connection, or said anew by whoever passes on.
NOT_PASSED = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
     "upgrade", "date", "server", "x-request-id", "x-forwarded-for", "x-forwarded-proto"}
)  # fmt: skip
HOMES = ("/static", "/jobs", "/processes", "/places")  # one process keeps the pace of questions
HOMES_OWN = frozenset({"/readyz", "/metrics"})
PLAN = re.compile(r"/collections/[^/]+/layers/sr/plan")
IDLE_S = 2.0  # less than the home's own patience with connections that nobody uses
NO_LIMIT = httpx.Timeout(None)  # events of a job come as long as it lasts
LARGEST_MESSAGE = 1024 * 1024
AWAY = (503, "Starting", "the page and the jobs are being started; come back in a moment")


class Forward:
    """Passes on what is below the page, jobs and processes; the rest is for this process."""

    def __init__(self, app: ASGIApp, *, home: Path, page: str) -> None:
        self._app = app
        self._home = home
        self._roots = (page, *HOMES)
        self._client: httpx.AsyncClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have it answered."""
        if scope["type"] == "lifespan":
            transport = httpx.AsyncHTTPTransport(
                uds=str(self._home), limits=httpx.Limits(keepalive_expiry=IDLE_S)
            )
            async with httpx.AsyncClient(transport=transport, timeout=NO_LIMIT) as self._client:
                await self._app(scope, receive, send)
        elif not self._is_homes(scope["path"]):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._pass_websocket(scope, receive, send)
        elif self._client is not None:
            await self._pass_request(self._client, scope, receive, send)

    def _is_homes(self, path: str) -> bool:
        if path in HOMES_OWN or PLAN.fullmatch(path):
            return True
        return any(path == root or path.startswith(root + "/") for root in self._roots)

    async def _pass_request(
        self, client: httpx.AsyncClient, scope: Scope, receive: Receive, send: Send
    ) -> None:
        url = httpx.URL("http://home").copy_with(raw_path=_target(scope))
        body = b"".join([piece async for piece in _body(receive)])
        request = client.build_request(scope["method"], url, headers=_passed(scope), content=body)
        try:
            response = await client.send(request, stream=True)
        except httpx.TransportError:
            log.info("the process of page and jobs does not answer")
            await refuse(scope, receive, send, AWAY)
            return

        async def answering() -> None:
            headers = [(key, value) for key, value in response.headers.raw
                       if key.decode().lower() not in NOT_PASSED]  # fmt: skip
            start = {"type": "http.response.start", "status": response.status_code}
            await send({**start, "headers": headers})
            async for piece in response.aiter_raw():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

        try:
            await _first_of(answering(), _gone(receive))
        finally:
            await response.aclose()

    async def _pass_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # that somebody wants to connect
        host, origin = header(scope, b"host"), header(scope, b"origin")
        own = ("host", "origin", "sec-websocket-")
        opening = unix_connect(
            str(self._home),
            uri=f"ws://{host}{_target(scope).decode('ascii')}",
            origin=websockets.Origin(origin),
            subprotocols=[websockets.Subprotocol(one) for one in scope["subprotocols"]] or None,
            additional_headers=[one for one in _passed(scope) if not one[0].startswith(own)],
            user_agent_header=None, compression=None, max_size=LARGEST_MESSAGE,
        )  # fmt: skip
        try:
            connection = await opening
        except websockets.InvalidStatus as refusal:
            said = (refusal.response.status_code, "NotConnected", "no websocket was opened")
            await refuse(scope, receive, send, said)
            return
        except (OSError, websockets.WebSocketException):
            await refuse(scope, receive, send, AWAY)
            return
        await send({"type": "websocket.accept", "subprotocol": connection.subprotocol})
        with suppress(websockets.ConnectionClosed):
            await _first_of(_upwards(connection, receive), _downwards(connection, send))
        await connection.close()


def _target(scope: Scope) -> bytes:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    return path + (b"?" + scope["query_string"] if scope["query_string"] else b"")


def _passed(scope: Scope) -> list[tuple[str, str]]:
    """Headers of the client, and who it is."""
    client = scope.get("client")
    given = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in scope["headers"]]
    ours = {"x-forwarded-for": client[0] if client else "", "x-request-id": request_id.get()}
    return [*((key, value) for key, value in given if key not in NOT_PASSED),
            *((key, value) for key, value in ours.items() if value)]  # fmt: skip


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    """A body, whose size another layer has bounded."""
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def _gone(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _upwards(connection: ClientConnection, receive: Receive) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        data = message.get("bytes")
        await connection.send(message["text"] if data is None else data)


async def _downwards(connection: ClientConnection, send: Send) -> None:
    async for data in connection:
        kind = "text" if isinstance(data, str) else "bytes"
        await send({"type": "websocket.send", kind: data})
    await send({"type": "websocket.close", "code": connection.close_code or 1000})


async def _first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Do all until one has ended, and end the others; raises what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    _raise_first(done)


def _raise_first(done: Iterable[asyncio.Future[None]]) -> None:
    for task in done:
        task.result()
