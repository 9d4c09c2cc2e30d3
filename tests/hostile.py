"""Requests as their very bytes, and the table of those that mean no good.

Each case is a line of the table of bad inputs made a request: what is sent, and what has to come
back. `tests/test_safety_table.py` sends them to a server process.
"""

import http.client
import json
import select
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

PATIENCE_S = 30
TILES = "/collections/field/layers/lr/tiles/WebMercatorQuad"
SR_TILES = "/collections/field/layers/sr/tiles/WebMercatorQuad"
JOB = "/processes/super-resolve/execution"
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Place:
    """Where the field lies, in degrees, and the map tile in its middle."""

    bbox: tuple[float, float, float, float]
    tile: str

    @property
    def box(self) -> str:
        """The box as a query has it."""
        return ",".join(map(str, self.bbox))

    @property
    def polygon(self) -> str:
        """The box as WKT, quoted for a query."""
        west, south, east, north = self.bbox
        ring = [(west, south), (east, south), (east, north), (west, north), (west, south)]
        return quote(f"POLYGON(({','.join(f'{x} {y}' for x, y in ring)}))")


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 where the server hung up without a word."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document; empty where it is none."""
        found: dict[str, Any] = json.loads(self.body) if self.body[:1] == b"{" else {}
        return found if "code" in found else {}


@dataclass(frozen=True)
class Case:
    """One request: `path` may hold {box}, {polygon} and {tile}; `says` stands in the detail."""

    row: int
    name: str
    path: str
    status: int
    code: str = ""
    says: tuple[str, ...] = ()
    method: str = "GET"
    body: bytes | str | Iterable[bytes] = b""
    headers: tuple[tuple[str, str], ...] = ()
    cpu_s: float = 1.0

    @property
    def id(self) -> str:
        """Row and name."""
        return f"{self.row}-{self.name}"

    def filled(self, text: str, place: Place) -> str:
        """A text with its gaps filled."""
        gaps = {"{box}": place.box, "{polygon}": place.polygon, "{tile}": place.tile}
        for gap, value in gaps.items():
            text = text.replace(gap, value)
        return text


def ask(address: tuple[str, int], case: Case, place: Place) -> Answer:
    """Send a case as it is, nothing normalised, and hear the answer."""
    headers = {"Host": f"{address[0]}:{address[1]}", "Connection": "close"}
    body = case.body
    if isinstance(body, str):
        body = case.filled(body, place).encode()
    if isinstance(body, bytes) and body:
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    given = {name.lower() for name, _ in case.headers}
    lines = [f"{case.method} {case.filled(case.path, place)} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() not in given]
    lines += [f"{name}: {value}" for name, value in case.headers if value != "-"]
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    pieces = [body] if isinstance(body, bytes) else body
    return exchange(address, _joined(head, pieces), case.method)


def _joined(head: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield head
    yield from pieces


def exchange(address: tuple[str, int], pieces: Iterable[bytes], method: str = "GET") -> Answer:
    """What a server answers to these bytes; what it does not want to hear is not sent."""
    with socket.create_connection(address, timeout=PATIENCE_S) as connection:
        with suppress(OSError):  # it has hung up already: its answer may be there all the same
            for piece in pieces:
                connection.sendall(piece)
                if select.select([connection], [], [], 0)[0]:
                    break
        answer = http.client.HTTPResponse(connection, method=method)
        try:
            answer.begin()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, headers, answer.read())
        except (http.client.HTTPException, ConnectionError):
            return Answer()


def chunks(count: int) -> Iterator[bytes]:
    """So many pieces of a chunked body of a megabyte each, and no end."""
    piece = b"%x\r\n" % MEGABYTE + b" " * MEGABYTE + b"\r\n"
    for _ in range(count):
        yield piece


@dataclass(frozen=True)
class Chunked:
    """An endless body, anew for each time that it is sent."""

    megabytes: int

    def __iter__(self) -> Iterator[bytes]:
        return chunks(self.megabytes)
