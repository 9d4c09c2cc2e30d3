"""A page as the server knows it: a document, the session behind it, and its websocket.

What a browser tells Panel is told in the same messages, so that a visitor of a benchmark costs the
server what one with a browser does. A message is three texts: header, metadata, content.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect  # comes with uvicorn[standard]
from websockets.typing import Origin, Subprotocol

PAGE = "/explorer"
PATIENCE_S = 60.0
READY = {  # that all of the document is drawn; what Python says before that is lost
    "kind": "MessageSent",
    "msg_type": "bokeh_event",
    "msg_data": {"type": "event", "name": "document_ready", "values": {"type": "map"}},
}
TOKEN = re.compile(r'"token":"([^"]+)"')


@dataclass(eq=False)
class PageLine:
    """An open page: `tell` it what the browser found, `shown` is what it answered last."""

    socket: ClientConnection
    model: str = ""
    shown: dict[str, Any] = field(default_factory=dict)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)
    _count: int = 0
    _listening: "asyncio.Task[None] | None" = None

    @classmethod
    @asynccontextmanager
    async def opened(cls, client: httpx.AsyncClient) -> AsyncIterator[Self]:
        """Ask for the document and open its websocket; close it in the end.

        Raises RuntimeError for a document without a session, and what the clients raise.
        """
        answer = (await client.get(PAGE)).raise_for_status()
        found = TOKEN.search(answer.text)
        if not found:
            raise RuntimeError("the page's document names no session")
        host = str(client.base_url).rstrip("/")
        async with connect(
            f"{host.replace('http', 'ws', 1)}{PAGE}/ws",
            origin=Origin(host), max_size=None, open_timeout=PATIENCE_S,
            subprotocols=[Subprotocol("bokeh"), Subprotocol(found[1])],
        ) as socket:  # fmt: skip
            line = cls(socket)
            await line._take_document()
            line._listening = asyncio.create_task(line._listen())
            try:
                yield line
            finally:
                line._listening.cancel()

    async def tell(self, **values: Any) -> None:
        """Set parameters of the map, as the browser does; raises what the line has ended with."""
        if self._listening and self._listening.done():
            self._listening.result()
        events = [
            {"kind": "ModelChanged", "model": {"id": self.model}, "attr": name, "new": told(value)}
            for name, value in values.items()
        ]
        await self._send("PATCH-DOC", {"events": events})

    async def choice(self) -> dict[str, Any]:
        """What the page shows, once Python has said so; raises TimeoutError if it does not."""
        await asyncio.wait_for(self._answered.wait(), PATIENCE_S)
        return self.shown

    async def _take_document(self) -> None:
        await self._receive()  # the greeting
        await self._send("PULL-DOC-REQ", {})
        kind: str = ""
        content: Any = {}
        while kind != "PULL-DOC-REPLY":
            kind, content = await self._receive()
        self.model = next(_ids_where(content, lambda values: "assets_url" in values))
        await self._send("PATCH-DOC", {"events": [READY]})

    async def _listen(self) -> None:
        while True:
            kind, content = await self._receive()
            if kind == "ERROR":
                raise RuntimeError(f"the page's session failed: {content}")
            for event in content.get("events", ()):
                if event.get("model", {}).get("id") == self.model and event["attr"] == "shown":
                    self.shown = heard(event["new"])
                    self._answered.set()

    async def _send(self, kind: str, content: Any) -> None:
        self._count += 1
        for part in ({"msgid": str(self._count), "msgtype": kind}, {}, content):
            await self.socket.send(json.dumps(part))

    async def _receive(self) -> tuple[str, Any]:
        header, _metadata, content = [json.loads(await self.socket.recv()) for _ in range(3)]
        for _ in range(2 * header.get("num_buffers", 0)):
            await self.socket.recv()
        return header["msgtype"], content


def told(value: Any) -> Any:
    """A value as Bokeh sends it: a plain object would be taken for a reference."""
    if isinstance(value, dict):
        return {"type": "map", "entries": [[key, told(one)] for key, one in value.items()]}
    return [told(one) for one in value] if isinstance(value, list) else value


def heard(value: Any) -> Any:
    """A value that was sent so, as it was."""
    if isinstance(value, dict):
        return {key: heard(one) for key, one in value.get("entries", ())}
    return [heard(one) for one in value] if isinstance(value, list) else value


def _ids_where(part: Any, wanted: Callable[[dict[str, Any]], bool]) -> Any:
    """Ids of the objects of a document whose attributes are wanted."""
    if isinstance(part, dict):
        if wanted(part.get("attributes") or {}):
            yield part["id"]
        for one in part.values():
            yield from _ids_where(one, wanted)
    elif isinstance(part, list):
        for one in part:
            yield from _ids_where(one, wanted)
