"""The table of bad inputs, sent to `srcube serve` as an operator starts it.

Each answer is the one that the table names, costs the server no more than a second of its
processor, and tells neither a path nor more than a line.
"""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from server.load.process import serving_process
from tests.hostile import MEGABYTE, TILES, Answer, Case, Place, ask
from tests.hostile_cases import CASES
from tests.test_jobs import make_field
from tests.test_tiles import TMS

BURST = 300
TRIES = 3  # on a busy machine, or while something else of the server is at work
WALL_S = 5.0  # in which nothing of a second's work is late, whatever else this machine does
TICKS = os.sysconf("SC_CLK_TCK")
LIMITS = {"limit_blocks": 4, "allow_ingest": "true", "workers": 1}


@dataclass(frozen=True)
class Served:
    """A field on a server in a process of its own."""

    url: str
    pid: int
    root: Path
    place: Place

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def ask(self, case: Case) -> Answer:
        """What it answers."""
        return ask(self.address, case, self.place)

    def cpu_s(self) -> float:
        """Processor time of the server itself, all threads, since it was started."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, name: str) -> int:
        """VmRSS (now) or VmHWM (the most since `forget_peak`), in bytes."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        line = next(one for one in text.splitlines() if one.startswith(f"{name}:"))
        return int(line.split()[1]) * 1024

    def forget_peak(self) -> None:
        """Let VmHWM begin anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@pytest.fixture(name="served", scope="module")
def fixture_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("table")
    field = make_field("", root)
    west, south, east, north = field.whole
    tile = TMS.tile((west + east) / 2, (south + north) / 2, 15)
    with serving_process(root, **LIMITS) as server:
        place = Place((west, south, east, north), f"{tile.z}/{tile.x}/{tile.y}")
        served = Served(server.url, server.process.pid, root, place)
        # What is loaded at first use is loaded; it is no answer's doing.
        layer = "/collections/field/layers/lr"
        box = f"bbox={place.box}"
        first = (f"{layer}/statistics?{box}", f"{layer}/export.tif?{box}", "/collections",
                 f"{layer}/tiles/WebMercatorQuad/{place.tile}", "/explorer")  # fmt: skip
        for path in first:
            assert httpx.get(server.url + path, timeout=60).status_code == 200
        yield served


@contextmanager
def health_asked(url: str) -> Iterator[list[int]]:
    """Ask for /livez over and over meanwhile: the statuses, as they come."""
    statuses: list[int] = []
    done = threading.Event()

    def ask_on() -> None:
        with httpx.Client(base_url=url, timeout=10) as client:
            while not done.wait(0.01):
                statuses.append(client.get("/livez").status_code)

    thread = threading.Thread(target=ask_on, daemon=True)
    thread.start()
    try:
        yield statuses
    finally:
        done.set()
        thread.join(20)


def assert_right(case: Case, answer: Answer, served: Served) -> None:
    """The answer is the table's, and tells nothing that is nobody's business."""
    told = answer.body[:500]
    assert answer.status == case.status, told
    if case.status == 204:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.body == b""
    if case.status < 400:
        assert all(one.encode() in answer.body for one in case.says), told
        return
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.problem
    assert set(problem) == {"type", "title", "status", "code", "detail"}, told
    assert problem["status"] == case.status
    assert case.code in {"", problem["code"]}, told
    detail = problem["detail"]
    assert 0 < len(detail) <= 1000
    assert "\n" not in detail
    assert "\r" not in detail
    for word in (str(served.root), "Traceback", 'File "', "site-packages", "/etc/passwd' "):
        assert word not in detail
    assert all(one in detail for one in case.says), detail


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_bad_request_is_answered_as_the_table_says(served: Served, case: Case) -> None:
    cpu, wall = [], []
    for _ in range(TRIES):
        before, began = served.cpu_s(), time.monotonic()
        answer = served.ask(case)
        wall.append(time.monotonic() - began)
        cpu.append(served.cpu_s() - before)
        assert_right(case, answer, served)
        if cpu[-1] <= case.cpu_s and wall[-1] <= WALL_S:
            break
    assert min(cpu) <= case.cpu_s
    assert min(wall) <= WALL_S


def test_no_answer_keeps_others_waiting_and_none_takes_memory(served: Served) -> None:
    """The whole table once more, in a row, beside somebody who asks whether the server lives."""
    served.forget_peak()
    before = served.memory("VmRSS")
    with health_asked(served.url) as statuses:
        found = [served.ask(case).status for case in CASES]
    assert 500 not in found
    assert found == [case.status for case in CASES]
    assert len(statuses) > 50
    assert set(statuses) == {200}
    assert served.memory("VmHWM") - before < 64 * MEGABYTE  # of the 512 that the table allows


def test_bodies_that_are_too_large_are_never_held(served: Served) -> None:
    bodies = [case for case in CASES if case.row == 17]
    assert len(bodies) > 10
    for case in bodies:
        served.ask(case)
    served.forget_peak()
    before = served.memory("VmRSS")
    for case in bodies:
        served.ask(case)
    assert served.memory("VmHWM") - before < 8 * MEGABYTE


def test_names_in_other_headers_are_not_believed(served: Served) -> None:
    said = {"x-forwarded-host": "evil.example", "forwarded": "host=evil.example",
            "x-original-url": "/evil", "x-forwarded-prefix": "/evil"}  # fmt: skip
    for path in ("/", "/collections", "/collections/field/items", "/processes"):
        text = httpx.get(served.url + path, headers=said | {"accept": "application/json"}).text
        assert "evil" not in text
        assert served.url in text


def burst_of(place: Place) -> list[str]:
    """Some hundreds of different map tiles, in all formats."""
    west, south, east, north = place.bbox
    tiles = [tile for zoom in (14, 15, 16, 17)
             for tile in TMS.tiles(west, south, east, north, zooms=[zoom])]  # fmt: skip
    kinds = ("format=png", "format=webp", "format=npy", "rescale=0,0.4&format=png")
    return [f"{TILES}/{t.z}/{t.x}/{t.y}?{kind}" for t in tiles for kind in kinds][:BURST]


def test_a_burst_is_answered_as_one_after_another_or_asked_to_come_back(served: Served) -> None:
    """Hundreds at once: no connection fails, each 200 is that of a quiet hour, health answers."""
    paths = burst_of(served.place)
    assert len(set(paths)) == BURST

    async def all_at_once() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=BURST)
        async with httpx.AsyncClient(base_url=served.url, limits=limits, timeout=120) as client:
            return await asyncio.gather(*map(client.get, paths))

    with health_asked(served.url) as statuses:
        answers = asyncio.run(all_at_once())
    assert set(statuses) == {200}
    assert {one.status_code for one in answers} <= {200, 204, 503}
    drawn = 0
    with httpx.Client(base_url=served.url, timeout=60) as client:
        for path, answer in zip(paths, answers, strict=True):
            if answer.status_code == 503:
                assert int(answer.headers["retry-after"]) > 0
                assert answer.json()["code"] == "Overloaded"
                continue
            alone = client.get(path)
            assert (alone.status_code, alone.content) == (answer.status_code, answer.content)
            drawn += answer.status_code == 200
    assert drawn >= 64


def test_every_row_of_requests_has_variants_of_its_own() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    rows = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 45, 46}
    assert {case.row for case in CASES} == rows
