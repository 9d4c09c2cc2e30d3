"""The command line: exit codes, one line when it fails, and what it prints when it works."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from datacube import Catalog, Product, open_storage
from datacube.demo import EVENT, TRUTH, DemoSize, build_demo, build_simulated
from tests.scenes import new_cube, pixels, scene

SRCUBE = Path(sys.executable).with_name("srcube")


def srcube(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SRCUBE_")}
    return subprocess.run(
        [SRCUBE, *arguments],
        env=clean | {"NO_COLOR": "1", "COLUMNS": "100"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_names_every_command() -> None:
    answer = srcube("--help")
    assert answer.returncode == 0
    for command in ("info", "serve", "demo", "bench"):
        assert re.search(rf"\b{command}\b", answer.stdout)


def test_info_tells_the_facts_of_a_cube(tmp_path: Path) -> None:
    new_cube(tmp_path).append(scene(4), pixels(4))
    answer = srcube("info", "field", "--data", str(tmp_path), "--json")
    assert answer.returncode == 0, answer.stderr
    facts = json.loads(answer.stdout)
    assert facts["crs"] == "EPSG:32632"
    assert facts["shape"] == [300, 201]
    assert facts["scenes"][0]["datetime"] == "2024-01-04T10:30:00Z"
    table = srcube("info", "field", SRCUBE_DATA=str(tmp_path))
    assert table.returncode == 0
    assert "S2X_04" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "text"),
    [
        (["info", "nowhere"], {}, 1, "no cube 'nowhere'"),
        (["info", "../field"], {}, 1, "no such cube"),
        (["info"], {}, 2, "Missing argument"),
        (["fly"], {}, 2, "No such command"),
        (["info", "field"], {"SRCUBE_DTAA": "x"}, 2, "unknown setting SRCUBE_DTAA"),
        (["serve"], {"SRCUBE_PORT": "many"}, 2, "SRCUBE_PORT"),
        (["serve", "--port", "70000"], {}, 2, "SRCUBE_PORT"),
        (["info", "field"], {"SRCUBE_DATA": "ftp://host/x"}, 2, "ftp://host/x"),
        (["bench", "nothing"], {}, 2, "no benchmark 'nothing'"),
        (["serve", "--host", "203.0.113.1", "--port", "1"], {}, 1, "cannot listen on"),
    ],
)
def test_failures_are_one_line_and_an_exit_code(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], status: int, text: str
) -> None:
    answer = srcube(*arguments, **{"SRCUBE_DATA": str(tmp_path)} | environment)
    assert answer.returncode == status, answer.stderr
    assert text in answer.stderr
    assert "Traceback" not in answer.stderr
    if answer.stderr.startswith("srcube:"):
        assert answer.stderr.count("\n") == 1


def test_the_demo_is_built_once_and_continued_if_interrupted(tmp_path: Path) -> None:
    catalog = Catalog(open_storage(tmp_path))
    size = DemoSize(shape=(48, 64), dates=2, truth_dates=1)
    said: list[str] = []
    build_demo(catalog, said.append, size)
    assert set(catalog.ids()) >= {"simulated", "sample"}
    assert catalog.open("simulated").attributes["simulated"]
    assert "nominal" in catalog.open("sample").attributes["notice"]
    generations = [catalog.open(name).generation for name in catalog.ids()]
    said.clear()
    build_demo(catalog, said.append, size)
    assert all(line.endswith("there already") for line in said)
    record = next((tmp_path / "simulated.zarr/truth/reflectance_blocks/c").rglob("0"))
    next(path for path in [record, *record.rglob("*")] if path.is_file()).unlink()
    said.clear()
    build_demo(catalog, said.append, size)
    assert "simulated: building" in said
    assert [catalog.open(name).generation for name in catalog.ids()] == generations


def test_a_demo_from_before_the_storm_is_brought_up_to_date(tmp_path: Path) -> None:
    catalog, said = Catalog(open_storage(tmp_path)), list[str]()
    size = DemoSize(shape=(120, 150), dates=2, truth_dates=2)
    build_simulated(catalog, "simulated", size=size, storm=False)
    summer, autumn = (one.slot for one in catalog.open("simulated").scenes)
    build_demo(catalog, said.append, size)
    assert "simulated: building" in said
    cube = catalog.open("simulated")
    now = [one.slot for one in cube.scenes]
    assert now[0] == summer  # of before the storm: untouched
    assert now[1] not in {summer, autumn}
    assert cube.attributes[EVENT]["date"] == "2025-08-12"
    assert "storm" in cube.attributes["description"]
    assert all(Product.open(cube, TRUTH).has_block(slot, (0, 0)) for slot in now)
    said.clear()
    build_demo(catalog, said.append, size)
    assert "simulated: there already" in said


def test_serve_prints_where_it_is_and_ends_when_asked(tmp_path: Path) -> None:
    new_cube(tmp_path).append(scene(4), pixels(4))
    process = subprocess.Popen(
        [SRCUBE, "serve", "--data", str(tmp_path), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("SRCUBE_")}
        | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line
        deadline = time.monotonic() + 60
        while True:
            try:
                answer = httpx.get(found[0] + "collections", timeout=5)
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline, "the server never answered"
                time.sleep(0.1)
        assert [one["id"] for one in answer.json()["collections"]] == ["field"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) in {0, 130, -signal.SIGINT}
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
