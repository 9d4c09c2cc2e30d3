"""The whole server, as a client meets it that means no good or asks too much."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import websockets

from datacube.settings import Settings
from server.keys import add_key
from tests.conftest import serving
from tests.test_jobs import Field, make_field
from tests.test_tiles import TMS

MOST_WAITING = 3


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """A cube on a server with a short queue of drawings and few places for pages."""
    root = tmp_path_factory.mktemp("safety")
    settings = Settings(data=str(root), port=0, limit_waiting=MOST_WAITING, limit_websockets=2)
    with serving(settings) as url:
        yield make_field(url, root)


def raw(url: str, data: bytes) -> bytes:
    """What the server answers to these very bytes, until it hangs up."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has hung up already, which is what is asked here
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


def execution(url: str) -> str:
    return url + "/processes/super-resolve/execution"


@pytest.mark.parametrize("path", ["/", "/collections", "/collections/none", "/livez", "/explorer"])
def test_every_answer_has_security_headers_and_an_id(field: Field, path: str) -> None:
    answer = httpx.get(field.url + path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert len(answer.headers["x-request-id"]) == 32
    assert "server" not in answer.headers


def test_an_id_that_was_given_is_kept_unless_it_is_none(field: Field) -> None:
    for given, kept in (("abc-DEF_123", True), ("short", False), ("a b\tc" * 5, False)):
        answer = httpx.get(field.url + "/livez", headers={"x-request-id": given})
        assert (answer.headers["x-request-id"] == given) == kept


@pytest.mark.parametrize("path", ["/collections", "/jobs", "/livez", "/models", "/processes"])
def test_a_parameter_that_nobody_knows_is_refused_by_name(field: Field, path: str) -> None:
    answer = httpx.get(field.url + path, params={"expresion": "B04**9"})
    assert answer.status_code == 422
    assert "expresion" in answer.json()["detail"]


def test_floods_of_parameters_and_of_headers_are_refused(field: Field) -> None:
    many = httpx.get(field.url + "/collections", params=[("f", "json")] * 900)
    assert many.status_code == 422
    long = httpx.get(field.url + "/collections?f=" + "j" * 20_000)
    assert long.status_code == 422
    for request in (
        b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: " + b"y" * 64_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"y" * 3_000_000,  # which never ends
    ):
        answer = raw(field.url, request)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431"), answer[:200]


@pytest.mark.parametrize("request_", [b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET"])
def test_what_is_not_http_is_refused_or_hung_up_on(field: Field, request_: bytes) -> None:
    answer = raw(field.url, request_)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


def test_a_client_that_never_ends_its_head_is_hung_up_on(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.protocol.HEAD_S", 0.3)
    host, port = field.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: ")
        heard = b""
        with suppress(ConnectionResetError):  # an orderly end is as good
            heard = connection.recv(100)
        assert heard == b""
    assert httpx.get(field.url + "/livez").status_code == 200


def test_bodies_beyond_the_limit_are_refused(field: Field) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 65536

    large = httpx.post(execution(field.url), content=b" " * 1_100_000)
    assert large.status_code == 413
    chunked = httpx.post(execution(field.url), content=endless(),
                         headers={"content-type": "application/json"})  # fmt: skip
    assert chunked.status_code == 413
    packed = httpx.post(execution(field.url), content=b"x", headers={"content-encoding": "gzip"})
    assert packed.status_code == 415


@pytest.mark.parametrize(
    "body",
    ["[" * 100_000, "{", "null", "[]", '"x"', '{"inputs": 7}', '{"inputs": {"bbox": [1]}}',
     '{"inputs": {"collection": "field", "bbox": [NaN, 0, 1, 1]}}',
     '{"inputs": {"collection": "field", "bbox": [0, 0, Infinity, 1]}}',
     '{"inputs": {"collection": "field", "bbox": [1e400, 0, 1, 1]}}', b"\xff{}"],
)  # fmt: skip
def test_bodies_that_make_no_sense_are_refused_in_one_line(field: Field, body: str | bytes) -> None:
    answer = httpx.post(execution(field.url), content=body,
                        headers={"content-type": "application/json"})  # fmt: skip
    assert answer.status_code in {400, 422}
    assert "\n" not in answer.json()["detail"]


@pytest.mark.parametrize(
    "name",
    ["..%2fzzmark", "%2e%2e%2fzzmark", "..%5czzmark", "zzmark%00", "zzmark" + "a" * 5000,
     "zzm%E2%84%80rk", "%ff%fezzmark", "~zzmark", "zzmark.zarr", "-zzmark"],
)  # fmt: skip
def test_ids_that_are_none_touch_no_file(field: Field, name: str) -> None:
    touched: list[object] = []
    watching = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event in {"open", "os.listdir", "os.scandir"}:
            touched.extend(one for one in arguments if "zzm" in str(one))

    sys.addaudithook(hook)
    for path in (f"/collections/{name}", f"/jobs/{name}", f"/models/{name}",
                 f"/collections/field/layers/{name}/tiles/WebMercatorQuad/3/4/4"):  # fmt: skip
        answer = httpx.get(field.url + path)
        assert answer.status_code in {404, 422}, answer.text
        assert str(field.root) not in answer.text
    watching = False
    assert touched == []


def test_a_strange_host_is_not_answered(field: Field) -> None:
    for host in ("evil.example", "127.0.0.1:80@evil.example"):
        answer = httpx.get(field.url + "/collections", headers={"host": host})
        assert answer.status_code == 400
        assert answer.json()["code"] == "UnknownHost"


def test_pages_of_other_origins_may_not_read_or_compute(field: Field) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in httpx.get(field.url + "/", headers=headers).headers
    preflight = httpx.options(execution(field.url), headers=headers)
    assert preflight.status_code == 405
    simple = httpx.post(execution(field.url), content=json.dumps(
        {"inputs": {"collection": "field", "bbox": field.whole}}),
        headers={"content-type": "text/plain"})  # fmt: skip
    assert simple.status_code == 422


def test_an_origin_that_was_named_may_read_and_no_more(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path), port=0, cors_origins=["https://maps.example"])
    with serving(settings) as url:
        headers = {"origin": "https://maps.example", "access-control-request-method": "POST"}
        answer = httpx.get(url + "/collections", headers=headers)
        assert answer.headers["access-control-allow-origin"] == "https://maps.example"
        assert "access-control-allow-credentials" not in answer.headers
        assert httpx.options(execution(url), headers=headers).status_code == 400


def test_read_only_without_a_key_where_the_operator_says_so(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "worker", frozenset({"view", "compute"}))
    root = tmp_path / "data"
    settings = Settings(data=str(root), port=0, anonymous="view", keys_file=keys)
    with serving(settings) as url:
        field = make_field(url, root)
        assert field.tile(layer="lr", model="").status_code in {200, 422}
        refused = field.start(field.corner)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        body = {"inputs": {"collection": "field", "bbox": field.corner, "model": "bicubic-x2"}}
        headers = {"authorization": f"Bearer {key}"}
        job = httpx.post(execution(url), json=body, headers=headers)
        assert job.status_code == 201
        assert httpx.get(url + "/jobs").json()["jobs"] == []  # they are the key's
        listed = httpx.get(url + "/jobs", headers=headers).json()["jobs"]
        assert [one["jobID"] for one in listed] == [job.json()["jobID"]]


def test_a_burst_of_tiles_is_answered_rightly_or_asked_to_come_back(field: Field) -> None:
    west, south, east, north = field.whole
    tiles = [(tile, low) for tile in TMS.tiles(west, south, east, north, zooms=[16])
             for low in range(3)]  # fmt: skip
    base = "/collections/field/layers/lr/tiles/WebMercatorQuad"
    paths = [f"{base}/{t.z}/{t.x}/{t.y}?format=png&rescale=-0.{low},0.5" for t, low in tiles]

    async def burst() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=len(paths))
        async with httpx.AsyncClient(base_url=field.url, limits=limits, timeout=60) as client:
            health = asyncio.create_task(client.get("/livez"))
            answers = await asyncio.gather(*map(client.get, paths))
            assert (await health).status_code == 200
            return answers

    answers = asyncio.run(burst())
    assert {answer.status_code for answer in answers} <= {200, 204, 503}
    for answer, path in zip(answers, paths, strict=True):
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) > 0
            assert answer.json()["code"] == "Overloaded"
        else:
            alone = httpx.get(field.url + path)
            assert (alone.status_code, alone.content) == (answer.status_code, answer.content)


def test_pages_elsewhere_open_no_websocket(field: Field) -> None:
    address = field.url.replace("http", "ws") + "/explorer/ws"
    port = field.url.rsplit(":", 1)[1]
    origins = ["http://evil.example", "null", f"http://evil.example:{port}", "http://127.0.0.1",
               f"http://127.0.0.1:{port}.example", f"ftp://127.0.0.1:{port}", None]  # fmt: skip

    async def is_foreign(origin: str | None) -> bool:
        named = websockets.Origin(origin) if origin else None
        try:
            async with websockets.connect(address, origin=named):
                return False
        except websockets.InvalidStatus as refusal:
            return b"ForeignOrigin" in (refusal.response.body or b"")

    async def story() -> list[bool]:
        return [await is_foreign(origin) for origin in (*origins, field.url)]

    assert asyncio.run(story()) == [True] * len(origins) + [False]


def test_gdal_in_a_server_has_no_driver_that_follows_a_file_elsewhere() -> None:
    program = (
        "from server.gdal import pin_gdal, refuse_open_drivers; import rasterio;"
        "pin_gdal(); refuse_open_drivers();"
        "print(sorted(rasterio.Env().__enter__().drivers()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert "'GTiff'" in done.stdout
    assert "'WMS'" not in done.stdout
    assert "'VRT'" not in done.stdout


def test_a_server_without_a_place_for_jobs_shows_tiles_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    root = tmp_path / "data"
    settings = Settings(data=str(root), port=0, jobs_db=tmp_path / "file" / "jobs.sqlite3")
    with serving(settings) as url:
        field = make_field(url, root)
        ready = httpx.get(url + "/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"] == {"catalog": True, "jobs": False, "workers": True}
        assert httpx.get(url + "/collections/field").status_code == 200
        refused = field.start(field.corner)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert str(tmp_path) not in refused.text
