"""The proxy of the documentation, started as it stands there, before a real server."""

import asyncio
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import websockets

from datacube.settings import Settings
from server.keys import add_key
from tests.conftest import serving
from tests.test_jobs import Field, events_of, make_field
from tests.test_jobs_cluster import free_port
from tests.test_tiles import tile_path, version
from tests.tools import debian

PAGE = Path(__file__).resolve().parents[1] / "notebooks/docs/pages/behind_a_proxy.md"
NAME = "maps.example.org"
STARTS_IN_S = 20


@dataclass(frozen=True)
class Proxied:
    """A server, the proxy before it, and a key that may compute."""

    field: Field
    port: int
    key: str
    trusted: ssl.SSLContext

    def client(self, **headers: str) -> httpx.Client:
        """A client elsewhere, which knows the name only."""
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}", headers={"host": NAME, **headers},
            verify=self.trusted, timeout=60,
        )  # fmt: skip


def configuration(folder: Path, *, port: int, upstream: str) -> str:
    """The documentation's, with this machine's paths and ports in the place of its own."""
    found = re.search(r"```nginx\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found, "the documentation shows no configuration of nginx"
    text = found[1]
    changes = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "http://127.0.0.1:8000": upstream,
        "/var/cache/nginx/srcube": f"{folder}/cache",
        f"/etc/ssl/{NAME}.": f"{folder}/server.",
    }
    for shown, here in changes.items():
        assert shown in text, shown
        text = text.replace(shown, here)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    head = f"{user} daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}"
    return f"{head}\nhttp {{\naccess_log off;\n{temporary}{text}\n}}\n"


@contextmanager
def nginx(folder: Path, *, port: int, upstream: str) -> Iterator[None]:
    program = debian.nginx()
    if program is None:
        pytest.fail("no nginx on the PATH; install it: apt-get install nginx-light")
    names = f"subjectAltName=DNS:{NAME},IP:127.0.0.1"
    made = ("-keyout", str(folder / "server.key"), "-out", str(folder / "server.pem"))
    asked = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}")
    command = ["openssl", "req", "-x509", *asked, "-addext", names, *made]
    subprocess.run(command, check=True, capture_output=True)
    config = folder / "nginx.conf"
    config.write_text(configuration(folder, port=port, upstream=upstream))
    process = subprocess.Popen([program, "-c", config, "-p", folder])
    try:
        _wait_until_it_answers(port, process)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_it_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTS_IN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("nginx did not start")


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    root, folder = tmp_path_factory.mktemp("field"), tmp_path_factory.mktemp("nginx")
    keys = folder / "keys.json"
    key = add_key(keys, "colleague", frozenset({"view", "compute"}))
    settings = Settings(
        data=str(root), port=0, anonymous="view", keys_file=keys, allowed_hosts=[NAME]
    )
    port = free_port()
    with serving(settings) as url, nginx(folder, port=port, upstream=url):
        trusted = ssl.create_default_context(cafile=folder / "server.pem")
        yield Proxied(make_field(url, root), port, key, trusted)


def test_whole_tiles_are_kept_by_the_proxy_and_others_are_not(proxied: Proxied) -> None:
    url = proxied.field.url
    path, v = tile_path(url, 15, cube_id="field"), version(url, "lr", cube_id="field")
    with proxied.client() as client:
        said = [client.get(path, params={"v": v}).headers["x-cache"] for _ in range(3)]
        assert said == ["MISS", "HIT", "HIT"]
        assert client.get(path, params={"v": v}).content == httpx.get(url + path).content
        loose = [client.get(path).headers["x-cache"] for _ in range(2)]
        assert "HIT" not in loose
        tilejson = client.get("/collections/field/layers/lr/WebMercatorQuad/tilejson.json").json()
    assert tilejson["tiles"][0].startswith(f"https://{NAME}/collections/")


def test_strangers_may_look_and_colleagues_compute_and_hear_of_it(proxied: Proxied) -> None:
    body = {"inputs": {"collection": "field", "model": "bicubic-x2", "bbox": proxied.field.whole}}
    path = "/processes/super-resolve/execution"
    with proxied.client() as stranger:
        refused = stranger.post(path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (401, "KeyNeeded")
    with proxied.client(authorization=f"Bearer {proxied.key}") as colleague:
        job = colleague.post(path, json=body).raise_for_status().json()["jobID"]
        with colleague.stream("GET", f"/jobs/{job}/events") as response:
            told = [line for line in response.iter_lines() if line.startswith("event:")]
    assert told.count("event: block") == 12
    assert events_of(proxied.field.url, job)[-1][1]["status"] == "successful"


def test_a_body_beyond_the_limit_ends_at_the_proxy(proxied: Proxied) -> None:
    with proxied.client() as client:
        assert client.post("/search", content=b"x" * 2_000_000).status_code == 413


def test_the_page_opens_its_websocket_through_the_proxy(proxied: Proxied) -> None:
    with proxied.client() as client:
        page = client.get("/explorer").raise_for_status().text
    (token,) = set(re.findall(r'"token":"([^"]+)"', page))

    async def story() -> str:
        async with websockets.connect(
            f"wss://{NAME}/explorer/ws", host="127.0.0.1", port=proxied.port, ssl=proxied.trusted,
            origin=websockets.Origin(f"https://{NAME}"),
            subprotocols=[websockets.Subprotocol(one) for one in ("bokeh", token)],
        ) as connection:  # fmt: skip
            return str(await connection.recv())

    assert "ACK" in asyncio.run(story())
