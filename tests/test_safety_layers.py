"""The layers around the application, one by one: what each refuses, and what it lets pass."""

import asyncio
import json
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacube.errors import InvalidInput
from datacube.settings import Settings
from server.keys import Caller, KeyRing, add_key
from server.middleware.access import BURST_S, Access, Buckets
from server.middleware.asgi import ASGIApp, Message, Receive, Scope, Send, with_headers
from server.middleware.body import BodyLimit
from server.middleware.headers import SecurityHeaders
from server.middleware.hosts import KnownHosts
from server.middleware.load import LoadLimit
from server.middleware.stack import anybody, host_names

VIEW, COMPUTE = frozenset({"view"}), frozenset({"view", "compute"})


@dataclass
class Heard:
    """What a client heard, and what of its body the application read."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    read: int = 0
    received: int = 0

    @property
    def code(self) -> str:
        document: dict[str, Any] = json.loads(self.body)
        return str(document["code"])


def ask(
    make: Any, path: str = "/", *, method: str = "GET", headers: Iterable[tuple[str, str]] = (),
    pieces: Iterable[bytes] = (b"",), kind: str = "http",
) -> Heard:  # fmt: skip
    """Ask an application through a layer; the body comes in pieces."""
    heard = Heard()
    coming = iter(pieces)

    async def receive() -> Message:
        piece = next(coming, None)
        heard.received += 1
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            heard.status = message["status"]
            heard.headers = {k.decode().lower(): v.decode() for k, v in message["headers"]}
        elif message["type"] == "http.response.body":
            heard.body += message["body"]
        elif message["type"] == "websocket.close":
            heard.status = message["code"]

    async def application(_scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            heard.read += len(message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    layer: ASGIApp = make(application)
    scope = {
        "type": kind, "path": path, "method": method, "http_version": "1.1",
        "headers": [(k.encode(), v.encode("utf-8")) for k, v in headers], "client": ("10.1.2.3", 5),
    }  # fmt: skip

    async def asked() -> None:
        await layer(scope, receive, send)

    asyncio.run(asked())
    return heard


def limited(app: ASGIApp) -> ASGIApp:
    return BodyLimit(app, limit_bytes=1000)


def test_a_body_within_the_limit_passes_whole() -> None:
    heard = ask(limited, method="POST", pieces=[b"x" * 400, b"y" * 600])
    assert (heard.status, heard.read) == (200, 1000)


def test_a_body_said_to_be_too_large_is_refused_unread() -> None:
    heard = ask(limited, headers=[("content-length", str(2 * 1024**3))])
    assert (heard.status, heard.code, heard.received) == (413, "BodyTooLarge", 0)
    assert heard.headers["connection"] == "close"


def test_an_endless_body_is_refused_as_soon_as_it_is_too_large() -> None:
    def endless() -> Iterable[bytes]:
        while True:
            yield b"z" * 300

    heard = ask(limited, method="POST", pieces=endless())
    assert (heard.status, heard.code) == (413, "BodyTooLarge")
    assert heard.received == 4  # 1200 bytes, the first number beyond 1000


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
def test_a_compressed_body_is_refused_unread(encoding: str) -> None:
    heard = ask(limited, headers=[("content-encoding", encoding)])
    assert (heard.status, heard.received) == (415, 0)


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "٣", "9" * 5000])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    assert ask(limited, headers=[("content-length", length)]).status in {400, 413}


def known(app: ASGIApp) -> ASGIApp:
    names = Settings(host="0.0.0.0", allowed_hosts=["maps.example"])  # noqa: S104
    return KnownHosts(app, host_names(names))


@pytest.mark.parametrize(
    "host", ["maps.example", "MAPS.example:8000", "127.0.0.1:1", "[::1]:80", "localhost"]
)
def test_known_hosts_are_answered(host: str) -> None:
    assert ask(known, headers=[("host", host)]).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "maps.example.evil.example", "maps.example/x", "maps.example@evil", "",
     "0.0.0.1", "maps.example:99999999", "maps.example\t", "[::1", "m\u0430ps.example"],
)  # fmt: skip
def test_other_hosts_are_not(host: str) -> None:
    heard = ask(known, headers=[("host", host)])
    assert (heard.status, heard.code) == (400, "UnknownHost")


def test_two_hosts_are_none() -> None:
    assert ask(known, headers=[("host", "localhost"), ("host", "localhost")]).status == 400


@pytest.fixture
def ring(tmp_path: Path) -> tuple[KeyRing, dict[str, str]]:
    path = tmp_path / "keys.json"
    keys = {name: add_key(path, name, scopes) for name, scopes in
            {"looker": VIEW, "worker": COMPUTE}.items()}  # fmt: skip
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any(key in path.read_text() for key in keys.values())
    return KeyRing.load(path), keys


@pytest.mark.parametrize(
    ("key", "anyone", "method", "path", "status"),
    [
        (None, VIEW, "GET", "/collections", 200),
        (None, VIEW, "POST", "/processes/super-resolve/execution", 401),
        (None, VIEW, "DELETE", "/jobs/1", 401),
        (None, COMPUTE, "POST", "/processes/super-resolve/execution", 200),
        (None, COMPUTE, "POST", "/processes/ingest/execution", 401),
        (None, frozenset(), "GET", "/collections", 401),
        (None, frozenset(), "GET", "/livez", 200),
        ("looker", frozenset(), "GET", "/collections", 200),
        ("looker", VIEW, "POST", "/processes/super-resolve/execution", 403),
        ("worker", VIEW, "POST", "/processes/super-resolve/execution", 200),
        ("worker", VIEW, "POST", "/processes/ingest/execution", 403),
        ("stranger", COMPUTE, "GET", "/collections", 401),
    ],
)  # fmt: skip
def test_a_key_opens_what_its_scopes_name(
    ring: tuple[KeyRing, dict[str, str]], key: str | None, anyone: frozenset[str], method: str,
    path: str, status: int,
) -> None:  # fmt: skip
    keys, texts = ring

    def guarded(app: ASGIApp) -> ASGIApp:
        caller = Caller("anybody", anyone)
        return Access(app, keys=keys, anybody=caller, exempt=frozenset({"/livez"}))

    text = texts.get(key or "", "not-a-key")
    for headers in ([("authorization", f"Bearer {text}")], [("x-api-key", text)]):
        heard = ask(guarded, path, method=method, headers=headers if key else [])
        assert heard.status == status
        assert ("www-authenticate" in heard.headers) == (status == 401)


def test_a_client_beyond_its_rate_is_told_when_to_come_back() -> None:
    made: list[Access] = []

    def guarded(app: ASGIApp) -> ASGIApp:
        if not made:
            made.append(
                Access(
                    app,
                    keys=KeyRing({}),
                    anybody=Caller("anybody", VIEW, 0.5),
                    exempt=frozenset(),
                )
            )
        made[0]._app = app
        return made[0]

    calls = [ask(guarded) for _ in range(7)]
    assert [one.status for one in calls] == [200] * 5 + [429] * 2
    assert 1 <= int(calls[-1].headers["retry-after"]) <= 2
    assert ask(guarded, method="POST").status == 401  # refused before it counts


@given(
    rate=st.floats(0.1, 50),
    pauses=st.lists(st.floats(0, 20), min_size=1, max_size=60),
)
def test_never_more_is_taken_than_the_rate_and_its_burst_allow(
    rate: float, pauses: list[float]
) -> None:
    now = 0.0
    buckets = Buckets(lambda: now)
    taken = 0
    for pause in pauses:
        now += pause
        wait_s = buckets.take("me", rate)
        taken += wait_s == 0
        assert 0 <= wait_s <= 1 / rate + 1e-9
    assert taken <= max(rate * BURST_S, 1) + rate * now + 1e-6


def test_without_a_key_one_may_compute_here_and_only_look_from_elsewhere() -> None:
    assert anybody(Settings(host="127.0.0.1")) == Caller("anybody", COMPUTE, None)
    assert anybody(Settings(host="localhost")).scopes == COMPUTE
    beyond = anybody(Settings(host="0.0.0.0"))  # noqa: S104
    assert beyond.scopes == VIEW
    assert beyond.per_second == 100
    assert anybody(Settings(host="::", anonymous="compute", limit_rate=0)).scopes == COMPUTE


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"a": {}}', '{"a": {"sha256": "00", "scopes": ["view"]}}',
     '{"a": {"sha256": "%s", "scopes": ["root"]}}' % ("0" * 64),
     '{"a": {"sha256": "%s", "scopes": "view"}}' % ("0" * 64),
     '{"a": {"sha256": "%s", "scopes": ["view"], "per_second": -1}}' % ("0" * 64)],
)  # fmt: skip
def test_a_file_of_keys_that_is_not_one_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(InvalidInput, match="srcube key"):
        KeyRing.load(path)


def test_a_name_has_one_key_and_scopes_are_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    add_key(path, "me", VIEW)
    with pytest.raises(InvalidInput, match="another name"):
        add_key(path, "me", COMPUTE)
    with pytest.raises(InvalidInput, match="root"):
        add_key(path, "you", frozenset({"root"}))


def test_the_page_may_run_its_scripts_and_nothing_else_may() -> None:
    def secured(app: ASGIApp) -> ASGIApp:
        return SecurityHeaders(app, page="/explorer")

    policies = {path: ask(secured, path).headers["content-security-policy"]
                for path in ("/explorer", "/explorer/assets/x.js", "/explorers", "/")}  # fmt: skip
    assert "script-src" in policies["/explorer"]
    assert policies["/explorer"] == policies["/explorer/assets/x.js"]
    assert "script-src" not in policies["/"]
    assert policies["/explorers"] == policies["/"]
    for policy in policies.values():
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "http" not in policy


def test_headers_of_a_shared_answer_do_not_grow() -> None:
    message = {"type": "http.response.start", "headers": [(b"a", b"1")]}
    once = with_headers(message, {b"b": b"2", b"a": b"9"})
    assert once["headers"] == [(b"a", b"1"), (b"b", b"2")]
    assert message["headers"] == [(b"a", b"1")]


@pytest.mark.parametrize(("kind", "status"), [("http", 503), ("websocket", 1008)])
def test_beyond_so_many_at_once_one_is_asked_to_come_back(kind: str, status: int) -> None:
    layer = LoadLimit(_nothing, requests=0, websockets=0, exempt=frozenset({"/livez"}))
    heard = ask(lambda _app: layer, kind=kind)
    assert heard.status == status
    assert kind == "websocket" or heard.headers["retry-after"]
    assert layer.open == {"http": 0, "websocket": 0}


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("it was to be refused")
