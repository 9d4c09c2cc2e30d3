"""Pages that are closed leave nothing behind in the server's memory."""

import asyncio
import gc
import re
import weakref
from pathlib import Path

import httpx
import websockets
from fastapi import FastAPI

from datacube.settings import Settings
from server.local import LocalServer
from tests.test_jobs_faults import wait_for
from webapp.explorer import Explorer
from webapp.page import mount_explorer

PULL = ('{"msgid":"1","msgtype":"PULL-DOC-REQ"}', "{}", "{}")


def page_alone(_settings: Settings) -> FastAPI:
    """An application with the page, which is let go a second after it was closed."""
    app = FastAPI()
    mount_explorer(app, api_url="/", unused_s=1.0)
    return app


def look_and_leave(url: str) -> None:
    """Ask for the document and never come back, as a crawler does."""
    assert httpx.get(f"{url}/explorer", timeout=60).status_code == 200


async def visit(url: str) -> None:
    """Open the page with its websocket, be shown it, and close it."""
    page = await asyncio.to_thread(httpx.get, f"{url}/explorer", timeout=60)
    (token,) = set(re.findall(r'"token":"([^"]+)"', page.text))
    async with websockets.connect(
        url.replace("http", "ws") + "/explorer/ws",
        origin=websockets.Origin(url),
        subprotocols=[websockets.Subprotocol(one) for one in ("bokeh", token)],
        max_size=None,
    ) as connection:
        await connection.recv()
        for part in PULL:
            await connection.send(part)
        assert "PULL-DOC-REPLY" in str([await connection.recv() for _ in range(3)])


def explorers() -> "weakref.WeakSet[Explorer]":
    """Those that are in this process's memory."""
    gc.collect()
    return weakref.WeakSet(one for one in gc.get_objects() if type(one) is Explorer)


def test_pages_that_are_closed_are_let_go(tmp_path: Path) -> None:
    before = list(explorers())
    with LocalServer(Settings(data=str(tmp_path), port=0), page_alone) as server:
        look_and_leave(server.url)
        asyncio.run(visit(server.url))
        wait_for(lambda: len(explorers()) <= len(before))
