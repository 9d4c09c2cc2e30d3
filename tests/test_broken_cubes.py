"""One cube that cannot be read costs nobody the others: it is named where all are listed."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from datacube.errors import Unavailable
from datacube.settings import Settings
from datacube.store.storage import LocalStorage
from tests.conftest import serving
from tests.scenes import new_cube, pixels, scene
from tests.test_store_hostile import FORGERIES, forge

DAMAGE = "stored data are damaged; the operator has the details"
Document = dict[str, Any]


@dataclass(frozen=True)
class Shop:
    """A server of `good-one`, of `good`, which is damaged, and of `newer`, of a later format."""

    url: str
    root: Path

    def get(self, path: str, **query: Any) -> httpx.Response:
        """What a path gives."""
        return httpx.get(self.url + path, params=query, timeout=30)


def damage(root: Path, cube_id: str) -> None:
    """Flip a bit in the middle of a cube's root document."""
    path = root / f"{cube_id}.zarr/zarr.json"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture(name="shop")
def fixture_shop(tmp_path: Path) -> Iterator[Shop]:
    for name in ("good", "good-one", "field"):
        new_cube(tmp_path, cube_id=name).append(scene(1), pixels(1))
    damage(tmp_path, "good")
    forge(tmp_path, FORGERIES["codec"][0])  # as a later version may pack it
    (tmp_path / "field.zarr").rename(tmp_path / "newer.zarr")
    with serving(Settings(data=str(tmp_path), port=0)) as url:
        yield Shop(url, tmp_path)


def test_a_list_names_what_cannot_be_read_and_shows_the_rest(shop: Shop) -> None:
    document = shop.get("/collections").json()
    assert [one["id"] for one in document["collections"]] == ["good-one"]
    damaged, newer = document["unavailable"]
    assert damaged == {"id": "good", "code": "ChunkCorrupt", "reason": DAMAGE}
    assert (newer["id"], newer["code"]) == ("newer", "InvalidInput")
    assert "blosc" in newer["reason"]
    assert str(shop.root) not in str(document)
    page = shop.get("/collections", f="html").text
    assert all(text in page for text in ("good-one", "newer", DAMAGE))


def test_searches_find_what_can_be_read_and_tell_what_cannot(shop: Shop) -> None:
    found = shop.get("/search").json()
    assert [one["collection"] for one in found["features"]] == ["good-one"]
    assert [one["id"] for one in found["unavailable"]] == ["good", "newer"]
    by_body = httpx.post(f"{shop.url}/search", json={"collections": ["good-one"]}).json()
    assert by_body["numberMatched"] == 1
    assert "newer" not in str(by_body)
    items = shop.get("/collections/good-one/items").json()
    assert items["numberReturned"] == 1


def test_what_is_whole_is_served_in_every_way(shop: Shop) -> None:
    for path in ("", "/items", "/tiles", "/WMTSCapabilities.xml", "/stories", "/zarr/zarr.json"):
        assert shop.get(f"/collections/good-one{path}").status_code == 200, path
    for path in ("/", "/conformance", "/processes", "/jobs"):
        assert shop.get(path).status_code == 200, path


def test_who_asks_for_the_broken_one_itself_is_told_as_ever(shop: Shop) -> None:
    for path in ("", "/items", "/WMTSCapabilities.xml", "-sr-wiener"):
        answer = shop.get(f"/collections/good{path}")
        assert (answer.status_code, answer.json()["code"]) == (500, "ChunkCorrupt"), path
        assert answer.json()["detail"] == DAMAGE
        answer = shop.get(f"/collections/newer{path}")
        assert (answer.status_code, answer.json()["code"]) == (422, "InvalidInput"), path
    assert shop.get("/collections/nowhere").status_code == 404


def test_a_cube_that_says_too_little_is_named_as_well(tmp_path: Path) -> None:
    """Its root document is whole, and lacks what a list shows."""
    for name in ("field", "whole"):
        new_cube(tmp_path, cube_id=name).append(scene(1), pixels(1))
    forge(tmp_path, lambda group: group["attributes"].pop("multiscales"), "measurement")
    with serving(Settings(data=str(tmp_path), port=0)) as url:
        for path, names in (("/collections", "collections"), ("/search", "features")):
            document = httpx.get(url + path).json()
            assert len(document[names]) == 1
            assert [one["id"] for one in document["unavailable"]] == ["field"]


def test_the_reason_is_logged_once(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="srcube.server"):
        for _ in range(3):
            shop.get("/collections")
    said = [one for one in caplog.records if str(shop.root) in one.getMessage()]
    assert len(said) == 1


def test_a_store_that_does_not_answer_is_no_empty_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_cube(tmp_path, cube_id="field").append(scene(1), pixels(1))

    def lost(_self: LocalStorage, *_asked: object) -> None:
        raise Unavailable("the store is gone")

    for method in ("folders", "version", "read_versioned"):
        with serving(Settings(data=str(tmp_path), port=0)) as url, monkeypatch.context() as patched:
            patched.setattr(LocalStorage, method, lost)
            for path in ("/collections", "/search", "/collections/field"):
                answer = httpx.get(url + path)
                assert answer.status_code == 503, (method, path)
                assert answer.headers["retry-after"]
