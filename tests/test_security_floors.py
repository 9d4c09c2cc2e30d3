"""Versions below which a hole is known, and what must not be done with the packages we have."""

import re
import sys
from pathlib import Path

from packaging.version import Version

from tests.test_packaging import FLOORS, version_of

ROOT = Path(__file__).parents[1]
SOURCES = [path for package in ("datacube", "sr_engine", "server", "webapp")
           for path in sorted((ROOT / package).rglob("*.py"))]  # fmt: skip
# Packages for which holes were found and closed while this was written.
WATCHED = {
    "starlette", "python-multipart", "tornado", "bokeh", "panel", "distributed", "torch",
    "safetensors", "pillow", "fsspec", "s3fs", "aiohttp", "rio-tiler", "GDAL",
}  # fmt: skip


def test_every_watched_package_has_a_floor() -> None:
    assert {floor.name for floor in FLOORS} == WATCHED


def test_every_floor_is_held_but_those_that_this_python_cannot_have() -> None:
    below = {
        floor.name: floor
        for floor in FLOORS
        if (version := version_of(floor.name)) and version < Version(floor.lowest)
    }
    out_of_reach = {name for name, floor in below.items() if sys.version_info < floor.since_python}
    assert set(below) == out_of_reach
    assert out_of_reach <= {"panel", "GDAL"}


def used(pattern: str) -> set[str]:
    return {path.name for path in SOURCES if re.search(pattern, path.read_text())}


def test_no_pickle_is_read_and_no_text_is_run() -> None:
    assert not used(r"\b(pickle|cPickle|dill|joblib)\.(load|loads|Unpickler)\b")
    assert not used(r"(?<![\w.])(eval|exec)\(")
    assert not used(r"\b(yaml\.load|os\.system|shell=True)\b")
    for path in SOURCES:
        for call in re.findall(r"torch\.load\((.*?)\)\n", path.read_text(), re.DOTALL):
            assert "weights_only=True" in call, path.name


def test_object_codecs_of_zarr_are_not_opened() -> None:
    assert not used("allow_unsafe_pickle_decode|object_codec")
