"""Pages are sessions in memory: how many one client may have, and that others have theirs."""

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from datacube.settings import Settings
from server.middleware.asgi import Message, Receive, Scope, Send
from server.middleware.pages import UNUSED_S, PageLimit
from tests.conftest import serving

EACH, TOTAL = 3, 5
TOO_BIG = 1009


@dataclass
class Door:
    """A limit before an application that holds websockets open until they are let go."""

    now: float = 0.0
    held: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.limit = PageLimit(
            self._open, page="/explorer", each=EACH, total=TOTAL, clock=lambda: self.now
        )

    async def _open(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.held.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ask(self, client: str, path: str = "/explorer", kind: str = "http") -> int:
        """The status that a client is answered with; 1008 for a websocket that is refused."""
        heard: list[int] = []

        async def send(message: Message) -> None:
            if message["type"] != "http.response.body":
                heard.append(message.get("status") or message["code"])

        async def receive() -> Message:
            raise AssertionError("there is nothing to read")

        scope = {"type": kind, "path": path, "client": (client, 1), "http_version": "1.1"}
        await self.limit(scope, receive, send)
        return heard[0]


def test_documents_of_one_client_are_bounded_and_anothers_are_given() -> None:
    async def story() -> None:
        door = Door()
        assert [await door.ask("a") for _ in range(EACH + 1)] == [200] * EACH + [429]
        assert await door.ask("a", path="/collections") == 200
        assert [await door.ask("b") for _ in range(TOTAL - EACH)] == [200] * (TOTAL - EACH)
        assert await door.ask("c") == 429  # everybody's places are taken
        door.now = UNUSED_S + 1  # by now the sessions are collected
        assert await door.ask("a") == await door.ask("c") == 200

    asyncio.run(story())


def test_a_websocket_holds_the_place_of_its_document_as_long_as_it_is_open() -> None:
    async def story() -> None:
        door = Door()
        open_ones = []
        for _ in range(EACH):
            assert await door.ask("a") == 200
            open_ones.append(asyncio.create_task(door.ask("a", "/explorer/ws", "websocket")))
            await asyncio.sleep(0)
        door.now = 10 * UNUSED_S
        assert await door.ask("a") == 429
        assert await door.ask("a", "/explorer/ws", "websocket") == 1008
        assert await door.ask("b") == 200
        door.held.set()
        await asyncio.gather(*open_ones)
        assert await door.ask("a") == 429  # they may be resumed for a while
        door.now += UNUSED_S + 1
        assert await door.ask("a") == 200

    asyncio.run(story())


def page_from(url: str, local: str) -> httpx.Response:
    """The page as a client at another address of this machine gets it."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=local), timeout=60) as client:
        return client.get(url + "/explorer")


async def connect(url: str, local: str, token: str) -> ClientConnection:
    """A websocket of the page whose token is given; raises InvalidStatus where it is refused."""
    return await websockets.connect(
        url.replace("http", "ws") + "/explorer/ws",
        origin=websockets.Origin(url),
        local_addr=(local, 0),
        subprotocols=[websockets.Subprotocol(one) for one in ("bokeh", token)],
        open_timeout=60,
    )


def test_a_flood_of_websockets_stops_nobody_else(tmp_path: Path) -> None:
    """Clients are told apart by address: this machine has many of 127.0.0.0/8."""
    settings = Settings(data=str(tmp_path), port=0, limit_client_pages=EACH)
    with serving(settings) as url:
        tokens = [
            re.findall(r'"token":"([^"]+)"', page_from(url, local).text)[0]
            for local in ("127.0.0.1", "127.0.0.2")
        ]

        async def story() -> int:
            flood = await asyncio.gather(
                *(connect(url, "127.0.0.1", tokens[0]) for _ in range(10 * EACH)),
                return_exceptions=True,
            )
            other = await connect(url, "127.0.0.2", tokens[1])
            assert await other.recv()  # the server greets it
            refused = [one for one in flood if isinstance(one, websockets.InvalidStatus)]
            assert {one.response.status_code for one in refused} == {429}
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await send_too_much(other)
            assert closed.value.rcvd is None or closed.value.rcvd.code == TOO_BIG
            for one in flood:
                if isinstance(one, ClientConnection):
                    await one.close()
            return len(refused)

        assert asyncio.run(story()) == 9 * EACH
        assert page_from(url, "127.0.0.1").status_code == 429
        assert page_from(url, "127.0.0.3").status_code == 200
        assert httpx.get(url + "/collections").status_code == 200


async def send_too_much(connection: ClientConnection) -> None:
    """Send ten megabytes in one message, and listen until the server hangs up."""
    await connection.send("x" * 10_000_000)
    while True:
        await connection.recv()
