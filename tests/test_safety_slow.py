"""Clients that are slow, stall or leave hold a connection and nothing else, and not for long."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from datacube.settings import Settings
from server import tiles
from server.layers import View
from server.reader import Frame
from tests.conftest import serving
from tests.test_jobs import Field, make_field
from tests.test_observability import numbers
from tests.test_tiles import TMS

OTHERS = 40
STALLED = 30


@pytest.fixture(name="field", scope="module")
def fixture_field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    root = tmp_path_factory.mktemp("slow")
    with serving(Settings(data=str(root), port=0)) as url:
        yield make_field(url, root)


def connected(url: str, data: bytes, *, room: int = 0) -> socket.socket:
    """A connection on which this was sent; `room` is how much its system takes unread."""
    host, port = url.removeprefix("http://").split(":")
    found = socket.socket()
    if room:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    found.settimeout(60)
    found.connect((host, int(port)))
    found.sendall(data)
    return found


def get(path: str) -> bytes:
    """A request for a path, all of it."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def hung_up_after(connection: socket.socket, drip: bytes = b"") -> float:
    """Seconds until the server hangs up, to which a byte is sent now and then."""
    began, sent = time.monotonic(), 0
    connection.settimeout(0.1)
    while time.monotonic() - began < 90:
        with suppress(TimeoutError):
            try:
                if connection.recv(65536) == b"":
                    return time.monotonic() - began
            except ConnectionError:
                return time.monotonic() - began
        with suppress(OSError):  # it has just hung up, which the next look finds
            sent += connection.send(drip[sent : sent + 1])
    raise TimeoutError("the server did not hang up")


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def tile_path(field: Field, low: int) -> str:
    """The tile in the middle, stretched so that no other request is the same."""
    west, south, east, north = field.whole
    tile = TMS.tile((west + east) / 2, (south + north) / 2, 15)
    base = f"/collections/{field.id}/layers/lr/tiles/WebMercatorQuad"
    return f"{base}/{tile.z}/{tile.x}/{tile.y}?rescale=-0.{low},0.5"


def others_are_answered(field: Field) -> bool:
    """Whether clients beside them get their tiles, every one."""
    with httpx.Client(base_url=field.url, timeout=60) as client:
        found = [client.get(tile_path(field, low)).status_code for low in range(1, OTHERS + 1)]
    return found == [200] * OTHERS


def test_a_head_that_stalls_or_drips_is_hung_up_on_after_five_seconds(field: Field) -> None:
    """The real five seconds, from the first byte on, whatever comes in between."""
    with ExitStack() as stack:
        stalled = [stack.enter_context(connected(field.url, b"GET / HTTP/1.1\r\nHost:"))
                   for _ in range(STALLED)]  # fmt: skip
        dripping = stack.enter_context(connected(field.url, b"GET / HTTP/1.1\r\n"))
        assert 4 < hung_up_after(dripping, b"x-slow: " + b"y" * 1000) < 20
        for one in stalled:
            assert hung_up_after(one) < 20


def test_others_are_answered_beside_heads_and_bodies_that_stall(field: Field) -> None:
    post = b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with ExitStack() as stack:
        for _ in range(STALLED):
            stack.enter_context(connected(field.url, b"GET / HTTP/1.1\r\nHost:"))
            stack.enter_context(connected(field.url, post + b"Content-Length: 100\r\n\r\n{"))
        assert others_are_answered(field)


@pytest.mark.parametrize(
    "patience_s", [0.5, pytest.param(None, marks=pytest.mark.long, id="as it is")]
)
def test_a_body_that_stalls_is_hung_up_on(
    field: Field, patience_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if patience_s is not None:
        monkeypatch.setattr("server.protocol.BODY_IDLE_S", patience_s)
    head = b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    for coming in (b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{"):
        with connected(field.url, head + coming) as one:
            waited = hung_up_after(one)
            assert 0.9 * (patience_s or 60) < waited < (patience_s or 60) + 15


def large_path(field: Field) -> str:
    """An answer of ten megabytes, more than any system keeps for a connection."""
    west, south, east, north = field.whole
    query = f"bbox={west},{south},{(west + east) / 2},{north}&parameter-name=lr.B04&f=GeoJSON"
    return f"/collections/{field.id}/cube?{query}"


def heard_by(connection: socket.socket, *, pause_s: float = 0) -> bytes:
    """All that still comes, taken in pieces with pauses in between."""
    heard = []
    with suppress(ConnectionError):
        while piece := connection.recv(65536):
            heard.append(piece)
            time.sleep(pause_s)
    return b"".join(heard)


def test_who_reads_nothing_is_hung_up_on_and_stops_nobody(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.protocol.WRITE_IDLE_S", 1.0)
    whole = httpx.get(field.url + large_path(field), timeout=60).content
    assert len(whole) > 8_000_000
    with ExitStack() as stack:
        unread = [
            stack.enter_context(connected(field.url, get(large_path(field)), room=2048))
            for _ in range(5)
        ]
        assert others_are_answered(field)
        for one in unread:
            assert one.recv(10, socket.MSG_PEEK).startswith(b"HTTP/1.1 2")  # it has begun
        time.sleep(3)
        for one in unread:
            assert len(heard_by(one)) < len(whole)


def test_who_reads_slowly_gets_all_of_it(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """In several times the time in which nothing at all may be taken."""
    monkeypatch.setattr("server.protocol.WRITE_IDLE_S", 1.0)
    whole = httpx.get(field.url + large_path(field), timeout=60).content
    ask = get(large_path(field)).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with connected(field.url, ask) as one:
        began = time.monotonic()
        assert heard_by(one, pause_s=0.02).partition(b"\r\n\r\n")[2] == whole
    assert time.monotonic() - began > 2.5


def test_a_client_that_leaves_frees_its_place_and_nothing_is_drawn_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One place to draw: it is taken for long, three wait and leave, and the one drawn for too."""
    go_on, drawn = threading.Event(), []
    draw = tiles.draw

    def slowly(view: View, query: tiles.TileQuery, frame: Frame) -> tuple[bytes, bool] | None:
        drawn.append(query.rescale)
        go_on.wait(60)
        return draw(view, query, frame)

    monkeypatch.setattr(tiles, "draw", slowly)
    settings = Settings(data=str(tmp_path), port=0, limit_renders=1, limit_render_s=60)
    with serving(settings) as url:
        field = make_field(url, tmp_path)

        def count(what: str) -> float:
            return numbers(url)[f"srcube_renders_{what}"]

        first = connected(url, get(tile_path(field, 1)))
        wait_until(lambda: count("drawing") == 1)
        leaving = [connected(url, get(tile_path(field, low))) for low in (2, 3, 4)]
        wait_until(lambda: count("waiting") == 3)
        for one in leaving:
            one.close()
        wait_until(lambda: count("waiting") == 0)
        assert count("drawing") == 1  # a thread cannot be stopped: its place is taken until then
        first.close()
        go_on.set()
        wait_until(lambda: count("drawing") == 0)
        assert drawn == ["-0.1,0.5"]
        assert httpx.get(url + tile_path(field, 5), timeout=60).status_code == 200
        assert drawn == ["-0.1,0.5", "-0.5,0.5"]
