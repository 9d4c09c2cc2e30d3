"""Root documents with a right checksum that nobody honest writes, and files that belong to none."""

import json
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numcodecs.zstd import Zstd

from datacube import Catalog, Cube, Window, open_storage
from datacube.errors import Damaged, InvalidInput
from datacube.settings import Settings
from datacube.store.chunks import decode
from datacube.store.commit import Root
from datacube.store.conventions import ArraySpec
from datacube.verify import verify
from tests.conftest import serving
from tests.scenes import SHAPE, new_cube, pixels, scene

ARRAY = "measurement/r10m/reflectance"
HUGE = 10**12
WHOLE = Window(0, 0, *SHAPE)
Change = Callable[[dict[str, Any]], object]


def chunk_shape(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["chunk_grid"]["configuration"]
    return found


# What is done to the document of an array, and what of it is said.
FORGERIES: dict[str, tuple[Change, str]] = {
    "shape": (lambda one: one.update(shape=[1, 4, HUGE, HUGE]), str(HUGE)),
    "negative": (lambda one: one.update(shape=[1, 4, -5, 201]), "-5"),
    "fraction": (lambda one: one.update(shape=[1, 4, 1.5, 201]), "1.5"),
    "chunks": (lambda one: chunk_shape(one).update(chunk_shape=[1, 1, HUGE, HUGE]), str(HUGE)),
    "large-chunks": (lambda one: chunk_shape(one).update(chunk_shape=[1, 1, 65536, 9999]), "bytes"),
    "axes": (lambda one: chunk_shape(one).update(chunk_shape=[256, 256]), "axes"),
    "codec": (lambda one: one.update(codecs=[{"name": "bytes"}, {"name": "blosc"}]), "blosc"),
    "unknown-codec": (lambda one: one.update(codecs=[{"name": "evil"}]), "evil"),
    "sharding": (lambda one: one.update(codecs=[{"name": "sharding_indexed"}]), "sharding_indexed"),
    "no-codec": (lambda one: one.update(codecs=[]), "packed"),
    "transformer": (lambda one: one.update(storage_transformers=[{"name": "x"}]), "packed"),
    "object": (lambda one: one.update(data_type="object"), "object"),
    "text": (lambda one: one.update(data_type="<U1000000000"), "no type"),
    "type": (lambda one: one.update(data_type="uint17"), "no type"),
}  # fmt: skip
BROKEN: dict[str, Change] = {
    "no-shape": lambda one: one.pop("shape"), "no-grid": lambda one: one.pop("chunk_grid"),
    "no-codecs": lambda one: one.pop("codecs"), "null": lambda one: one.update(shape=None),
    "list": lambda one: one.update(chunk_grid=[]), "kind": lambda one: one.pop("node_type"),
}  # fmt: skip


def forge(root: Path, change: Change, path: str = ARRAY) -> None:
    """Put a changed root in the place of a cube's, with a right checksum."""
    storage = open_storage(root / "field.zarr")
    found = Root.load(storage)
    nodes = json.loads(json.dumps(found.nodes))
    change(nodes[path])
    forged = replace(found, nodes=nodes)
    (root / "field.zarr/zarr.json").unlink()
    replace(forged, version=None).publish(storage)


def filled_cube(root: Path) -> Cube:
    return new_cube(root).append(scene(1), pixels(1))


@pytest.mark.parametrize("name", FORGERIES)
def test_arrays_that_are_not_ours_are_refused_on_opening(tmp_path: Path, name: str) -> None:
    filled_cube(tmp_path)
    change, said = FORGERIES[name]
    forge(tmp_path, change)
    with pytest.raises(InvalidInput, match=re.escape(said)) as refused:
        Catalog(open_storage(tmp_path)).open("field")
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize("name", BROKEN)
def test_documents_that_lack_what_an_array_has_are_damage(tmp_path: Path, name: str) -> None:
    filled_cube(tmp_path)
    forge(tmp_path, BROKEN[name])
    with pytest.raises(Damaged):
        Catalog(open_storage(tmp_path)).open("field")


def test_a_grid_that_is_too_large_is_refused_on_opening(tmp_path: Path) -> None:
    filled_cube(tmp_path)
    forge(
        tmp_path,
        lambda group: group["attributes"]["multiscales"]["layout"][0].update(
            {"spatial:shape": [HUGE, HUGE]}
        ),
        "measurement",
    )
    with pytest.raises(InvalidInput, match=str(HUGE)):
        Catalog(open_storage(tmp_path)).open("field")


def test_over_http_a_forged_cube_is_refused_and_nothing_of_its_size_is_allocated(
    tmp_path: Path,
) -> None:
    filled_cube(tmp_path)
    forge(tmp_path, FORGERIES["shape"][0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with serving(Settings(data=str(tmp_path), port=0)) as url:
        for path in ("", "/items", "/tiles", "/zarr/zarr.json", "/WMTSCapabilities.xml",
                     "/layers/lr/tiles/WebMercatorQuad/15/17320/11770",
                     "/layers/lr/export.tif"):  # fmt: skip
            answer = httpx.get(f"{url}/collections/field{path}")
            assert answer.status_code == 422, path
            assert answer.json()["code"] == "InvalidInput"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 * 1024


def bomb(size: int) -> bytes:
    """A few kilobytes that unpack to very many zeros, made by a process of their own."""
    program = (
        "import sys, numpy as np; from numcodecs.zstd import Zstd;"
        f"sys.stdout.buffer.write(bytes(Zstd(1).encode(np.zeros({size}, np.uint8))))"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout


def test_a_chunk_that_unpacks_to_more_than_it_may_is_damage_before_it_is_unpacked(
    tmp_path: Path,
) -> None:
    filled_cube(tmp_path)
    packed = bomb(1_000_000_000)
    assert len(packed) < 200_000
    (tmp_path / "field.zarr" / ARRAY / "c/0/0/0/0").write_bytes(packed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cube = Catalog(open_storage(tmp_path)).open("field")
    with pytest.raises(Damaged, match="tells 1000000000 bytes"):
        cube.window_dn(0, ("B02",), WHOLE)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 * 1024


@given(size=st.integers(1, 70_000), level=st.integers(1, 9), checksum=st.booleans())
def test_a_frame_tells_the_length_of_its_content(size: int, level: int, checksum: bool) -> None:
    values = (np.arange(size) % 251).astype(np.uint8)
    document = ArraySpec("uint8", ("x",), (size,), (size,), 0).document()
    packed = bytes(Zstd(level, checksum=checksum).encode(values))
    np.testing.assert_array_equal(decode(packed, document, key="k"), values)
    other = ArraySpec("uint8", ("x",), (size + 1,), (size + 1,), 0).document()
    with pytest.raises(Damaged):
        decode(packed, other, key="k")


def test_files_that_a_writer_left_behind_are_no_part_of_a_cube(tmp_path: Path) -> None:
    cube = filled_cube(tmp_path)
    before = cube.window_dn(0, ("B02", "B04"), WHOLE)
    base = tmp_path / "field.zarr"
    for place in (base, base / ARRAY, base / ARRAY / "c/0/0/0", base / "measurement", tmp_path):
        for name in ("zarr.json.partial", ".partial", "0.partial", ".x.partial", "5.tmp"):
            (place / name).write_bytes(b"\x00" * 100)
    (tmp_path / "other.zarr.partial").mkdir()
    catalog = Catalog(open_storage(tmp_path))
    assert catalog.ids() == ("field",)
    again = catalog.open("field")
    np.testing.assert_array_equal(again.window_dn(0, ("B02", "B04"), WHOLE), before)
    assert verify(again).is_sound
    with serving(Settings(data=str(tmp_path), port=0)) as url:
        assert httpx.get(f"{url}/collections").json()["collections"][0]["id"] == "field"
        for name in ("zarr.json.partial", f"{ARRAY}/c/0/0/0/0.partial", ".partial"):
            assert httpx.get(f"{url}/collections/field/zarr/{name}").status_code == 404
