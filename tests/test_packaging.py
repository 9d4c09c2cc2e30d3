"""What is installed: ours is complete, theirs is what we think it is and recent enough."""

import importlib
import importlib.metadata
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.version import Version

PACKAGES = ("datacube", "sr_engine", "server", "webapp")
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Floor:
    """The first version without a known hole, and the first Python that can have it."""

    name: str
    lowest: str
    why: str
    since_python: tuple[int, int] = (3, 11)


FLOORS = (
    Floor("starlette", "1.0.1", "CVE-2026-48710, CVE-2025-62727, CVE-2024-47874"),
    Floor("python-multipart", "0.0.30", "CVE-2026-24486, -40347, -42561, -53538"),
    Floor("tornado", "6.5.9", "CVE-2026-31958, -49855, -82397, -91990, -103261"),
    Floor("bokeh", "3.8.2", "CVE-2026-21883, websocket origin"),
    Floor("panel", "1.10.0", "XSS and prototype pollution, panel issue 8501", (3, 12)),
    Floor("distributed", "2026.1.0", "CVE-2026-23528, dashboard"),
    Floor("torch", "2.11", "CVE-2025-32434, CVE-2026-24747, PYSEC-2026-139"),
    Floor("safetensors", "0.8.0", "the only format of weights that is read"),
    Floor("pillow", "13.0.0", "CVE-2026-112403, -112398, -40192"),
    Floor("fsspec", "2026.6.0", "CVE-2026-104851, reference files"),
    Floor("s3fs", "2026.6.0", "CVE-2026-104851, reference files"),
    Floor("aiohttp", "3.14.4", "CVE-2026-128131, concatenated gzip"),
    Floor("rio-tiler", "9.1.0", "expression allow-list"),
    Floor("GDAL", "3.12", "raw VRT off by default; drivers are limited besides", (3, 12)),
)


def version_of(name: str) -> Version | None:
    """Return the installed version, None where it is not installed; GDAL is rasterio's own."""
    if name == "GDAL":
        return Version(importlib.import_module("rasterio").__gdal_version__)
    try:
        return Version(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return None


def label(floor: Floor) -> str:
    """Return the test's name, which says where this Python cannot hold the floor."""
    reachable = sys.version_info[:2] >= floor.since_python
    return f"{floor.name}>={floor.lowest}{'' if reachable else ' out of reach on this Python'}"


@pytest.mark.parametrize("floor", FLOORS, ids=label)
def test_security_floor_is_held_wherever_this_python_can_hold_it(floor: Floor) -> None:
    version = version_of(floor.name)
    if version is None:
        return  # what is not installed has no hole
    held = version >= Version(floor.lowest)
    reachable = sys.version_info[:2] >= floor.since_python
    assert held == reachable, (
        f"{floor.name} {version}, floor {floor.lowest} ({floor.why}), which Python "
        f"{'.'.join(map(str, floor.since_python))} can have first"
    )


def test_open_data_cube_does_not_share_the_name_datacube_with_ours() -> None:
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("datacube")


@pytest.mark.parametrize("name", PACKAGES)
def test_each_package_is_imported_from_where_it_is_being_tested(name: str) -> None:
    tested = Path(os.environ.get("TESTED_PREFIX", ROOT)).resolve()
    found = Path(str(importlib.import_module(name).__file__)).resolve()
    assert found.is_relative_to(tested)
    assert "TESTED_PREFIX" in os.environ or found.parent == ROOT / name


def test_command_srcube_is_installed_and_can_be_loaded() -> None:
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="srcube")
    assert command.value == "server.main:main"
    assert callable(command.load())


def test_torch_is_the_version_of_the_lock() -> None:
    pins = (ROOT / "requirements.lock").read_text().splitlines()
    public = importlib.metadata.version("torch").partition("+")[0]
    assert f"torch=={public}" in pins
