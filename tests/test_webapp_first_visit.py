"""What a browser fetches on a first visit: early, once, short, and to be kept."""

import gzip
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Request
from starlette.testclient import TestClient

from tests.browser import Visitor, chromium
from webapp.hints import module_names
from webapp.static_files import FOREVER, KeptFiles, version_of
from webapp.swipe_map import ASSETS

pytestmark = pytest.mark.filterwarnings("ignore:.*HTTPServerRequest.*:DeprecationWarning")


@pytest.fixture(name="browser", scope="module")
def fixture_browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def test_a_first_visit_fetches_each_thing_once_and_tiles_before_python_has_answered(
    browser: Browser, live_server: str
) -> None:
    context = browser.new_context(viewport={"width": 1000, "height": 640})
    visitor = Visitor(context.new_page(), live_server, returning=False)
    asked: list[Request] = []
    said: list[tuple[str, int]] = []
    warned: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request))  # noqa: PLW0108
    visitor.page.on("console", lambda line: warned.append(line.text))
    visitor.page.on(
        "websocket",
        lambda socket: socket.on("framesent", lambda words: said.append((str(words), len(asked)))),
    )
    visitor.open()
    fetched = Counter(one.url for one in asked if one.resource_type != "document")
    tiles = [one for one in fetched if "/tiles/" in one]
    assert len(tiles) > 10
    # Blocks that were computed meanwhile are drawn anew; nothing else may be asked for again.
    twice = {url for url, n in fetched.items() if n > 1 and "/layers/sr/" not in url}
    assert {url for url in twice if "favicon" not in url} == set()
    told = next(count for words, count in said if '"attr":"collections"' in words)
    assert [one for one in asked[:told] if "/tiles/" in one.url]
    assert not [line for line in warned if "preload" in line]
    assert visitor.complaints == []
    context.close()


def test_the_document_names_every_module_and_their_addresses_are_kept(live_server: str) -> None:
    page = httpx.get(f"{live_server}/explorer", timeout=60).text
    named = re.findall(r'<link rel="modulepreload" href="([^"]+)"', page)
    ours = [one for one in named if one.startswith("explorer/assets/")]
    assert [one.split("/", 3)[3] for one in ours] == module_names()
    for address in [*named, *re.findall(r'<script [^>]*src="([^"]+)"', page)]:
        answer = httpx.get(f"{live_server}/{address}", headers={"accept-encoding": "gzip"})
        assert answer.status_code == 200
        versioned = "?" in address or address in ours  # one of Panel's names only its major version
        assert answer.headers["cache-control"] == (FOREVER if versioned else "no-cache")
        assert len(answer.content) < 1000 or answer.headers["content-encoding"] == "gzip"


def test_a_version_is_another_whenever_a_file_is(tmp_path: Path) -> None:
    copy = shutil.copytree(ASSETS, tmp_path / "assets")
    assert version_of(copy) == version_of(ASSETS)
    (copy / "dom.js").write_text("// nothing\n")
    assert version_of(copy) != version_of(ASSETS)


def test_files_are_short_for_who_takes_gzip_and_whole_for_others(tmp_path: Path) -> None:
    text = b"let there = 'light';\n" * 400
    (tmp_path / "a.js").write_bytes(text)
    app = FastAPI()
    app.mount("/kept", KeptFiles(tmp_path))
    with TestClient(app, headers={"accept-encoding": "identity"}) as client:
        plain = client.get("/kept/a.js")
        assert (plain.content, plain.headers["cache-control"]) == (text, "no-cache")
        assert client.get("/kept/a.js?v=1").headers["cache-control"] == FOREVER
        part = client.get("/kept/a.js", headers={"range": "bytes=0-3", "accept-encoding": "gzip"})
        assert (part.status_code, part.content) == (206, text[:4])
        with client.stream("GET", "/kept/a.js", headers={"accept-encoding": "gzip"}) as short:
            raw = b"".join(short.iter_raw())
        assert gzip.decompress(raw) == text
        assert len(raw) < len(text) / 10
        again = client.get("/kept/a.js", headers={"if-none-match": short.headers["etag"]})
        assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache")
        assert client.get("/kept/none.js").status_code == 404
