"""Places by name: only the registered gazetteer is asked, slowly, and plain text comes back."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from datacube.errors import InvalidInput
from datacube.settings import Settings
from server.app import create_app
from server.errors import UpstreamSilent
from server.places import LONGEST_NAME, MOST_PLACES, REMOTE, Places, read_places
from server.registry import Gazetteer, Registry
from tests.test_overlays import TileServer


def place(name: str = "Bolzano - Bozen", **changes: Any) -> dict[str, Any]:
    """One answer of Nominatim, whose numbers are texts."""
    usual = {"lat": "46.4983", "lon": "11.3548", "display_name": name, "type": "city",
             "boundingbox": ["46.4546", "46.5303", "11.2936", "11.4100"]}  # fmt: skip
    return usual | changes


@pytest.fixture(name="elsewhere")
def fixture_elsewhere() -> Iterator[TileServer]:
    body = json.dumps([place()]).encode()
    with TileServer(media="application/json", body=body).serving() as server:
        yield server


@pytest.fixture(name="client")
def fixture_client(elsewhere: TileServer, tmp_path: Path) -> Iterator[TestClient]:
    path = registry(tmp_path, elsewhere.url + "/search", "pause_s = 0")
    settings = Settings(data=str(tmp_path / "cubes"), registry=path)
    with TestClient(create_app(settings), base_url="http://localhost") as running:
        yield running


def registry(folder: Path, address: str, *more: str) -> Path:
    path = folder / "registry.toml"
    words = ["[places]", f'address = "{address}"', 'title = "A gazetteer"',
             'attribution = "Somebody, ODbL"', *more]  # fmt: skip
    path.write_text("\n".join(words) + "\n")
    return path


def test_a_name_is_asked_of_the_gazetteer_and_comes_back_as_geojson(
    client: TestClient, elsewhere: TileServer
) -> None:
    found = client.get("/places", params={"q": " bolzano &  Söll/../x?y=1 ", "lang": "de"}).json()
    (feature,) = found["features"]
    assert found["type"] == "FeatureCollection"
    assert found["attribution"] == "Somebody, ODbL"
    assert feature["geometry"] == {"type": "Point", "coordinates": [11.3548, 46.4983]}
    assert feature["bbox"] == [11.2936, 46.4546, 11.41, 46.5303]
    assert feature["properties"] == {"name": "Bolzano - Bozen", "kind": "city"}
    (asked,) = elsewhere.asked
    assert urlsplit(asked).path == "/search"
    assert parse_qs(urlsplit(asked).query) == {
        "format": ["jsonv2"], "limit": [str(MOST_PLACES)], "accept-language": ["de"],
        "q": ["bolzano & Söll/../x?y=1"],
    }  # fmt: skip


def test_an_answer_is_kept_for_a_while(client: TestClient, elsewhere: TileServer) -> None:
    for _ in range(3):
        assert client.get("/places", params={"q": "bolzano"}).status_code == 200
    assert len(elsewhere.asked) == 1
    client.get("/places", params={"q": "bolzano", "lang": "de"})
    assert len(elsewhere.asked) == 2


def test_whether_there_is_a_gazetteer_is_told_and_no_address(
    client: TestClient, elsewhere: TileServer, tmp_path: Path
) -> None:
    told = client.get("/gazetteer")
    assert told.json() == {
        "registered": True, "title": "A gazetteer", "attribution": "Somebody, ODbL"
    }  # fmt: skip
    assert urlsplit(elsewhere.url).netloc not in told.text
    settings = Settings(data=str(tmp_path / "cubes"))
    with TestClient(create_app(settings), base_url="http://localhost") as bare:
        assert not bare.get("/gazetteer").json()["registered"]
        answer = bare.get("/places", params={"q": "bolzano"})
        assert (answer.status_code, answer.json()["code"]) == (404, "NotFound")
        assert "gazetteer" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [({}, "q"), ({"q": "a"}, "q"), ({"q": "a" * 101}, "q"), ({"q": "\x00\x01\x02"}, "two letters"),
     ({"q": "bolzano", "lang": "xx"}, "lang"), ({"q": "bolzano", "url": "http://a"}, "url")],
)  # fmt: skip
def test_what_is_no_question_is_refused_and_not_passed_on(
    client: TestClient, elsewhere: TileServer, asked: dict[str, str], said: str
) -> None:
    answer = client.get("/places", params=asked)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert elsewhere.asked == []


HOSTILE = {
    "not json": b"<html>come back later</html>",
    "no list": b'{"error": "rate limit"}',
    "no places": b'[{"lat": "north"}, {"lat": 1}, 7, null]',
    "deep": b"[" * 100_000,
    "outside": json.dumps([place(lat="91")]).encode(),
    "not finite": json.dumps([place(lat="nan"), place(lon="1e999")]).encode(),
    "too large": b"[" + b" " * REMOTE.max_bytes + b"]",
    "not text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_an_answer_that_is_none_is_a_silent_gazetteer(
    client: TestClient, elsewhere: TileServer, body: bytes
) -> None:
    elsewhere.body = body
    answer = client.get("/places", params={"q": "bolzano"})
    assert (answer.status_code, answer.json()["code"]) == (503, "UpstreamSilent")
    elsewhere.body = json.dumps([place()]).encode()
    assert client.get("/places", params={"q": "bolzano"}).status_code == 200  # not kept


def test_a_redirect_to_elsewhere_is_not_followed(client: TestClient, elsewhere: TileServer) -> None:
    with TileServer(media="application/json", body=b"[]").serving() as inside:
        elsewhere.status, elsewhere.location = 302, inside.url + "/secret"
        answer = client.get("/places", params={"q": "bolzano"})
        assert answer.status_code == 503
        assert inside.asked == []
        assert urlsplit(inside.url).netloc not in answer.text
    elsewhere.status = 500
    assert client.get("/places", params={"q": "bolzano"}).status_code == 503


def test_nothing_found_is_an_empty_collection(client: TestClient, elsewhere: TileServer) -> None:
    elsewhere.body = b"[]"
    assert client.get("/places", params={"q": "atlantis"}).json()["features"] == []


def test_names_come_as_one_line_of_plain_text_and_not_endless(
    client: TestClient, elsewhere: TileServer
) -> None:
    elsewhere.body = json.dumps([
        place("<img src=x onerror=alert(1)>\n\x1b[31m\u202e evil"), place("x" * 5000, type=7),
        *[place()] * 50,
    ]).encode()  # fmt: skip
    found = client.get("/places", params={"q": "bolzano"}).json()["features"]
    assert len(found) == MOST_PLACES
    assert found[0]["properties"]["name"] == "<img src=x onerror=alert(1)> [31m evil"
    assert found[1]["properties"] == {"name": "x" * LONGEST_NAME, "kind": ""}


def test_questions_keep_the_pace_that_the_operator_says(elsewhere: TileServer) -> None:
    places = Places(Gazetteer(address=elsewhere.url + "/search", pause_s=0.2))
    began = time.monotonic()
    for name in ("one", "two", "three"):
        places.find(name, "en")
    places.close()
    assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize(
    "address",
    ["ftp://example.org/", "https://a.org/s?q=", "https://user@a.org/s", "nominatim"],
)
def test_an_address_that_could_never_be_asked_is_refused_at_the_start(
    tmp_path: Path, address: str
) -> None:
    with pytest.raises(InvalidInput):
        Registry.load(registry(tmp_path, address))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["lat", "lon", "display_name", "type", "boundingbox", "x"]), inner),
    max_leaves=12,
)  # fmt: skip


@given(value=json_values)
def test_whatever_json_comes_it_is_places_on_earth_or_a_silent_gazetteer(value: Any) -> None:
    try:
        found = read_places(json.dumps(value).encode())
    except UpstreamSilent:
        return
    for one in found:
        assert abs(one.lat) <= 90
        assert abs(one.lon) <= 180
        assert one.name.isprintable()
