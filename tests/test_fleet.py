"""One command, several processes, one address: `srcube serve --workers 2`."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import websockets

from server.load.process import ServerProcess, serving_process
from tests.test_jobs import Field, events_of, finished, make_field
from tests.test_jobs_faults import wait_for
from tests.test_tiles import tile_path


@dataclass(frozen=True)
class Fleet:
    """A server of two tile processes, and a cube of it."""

    server: ServerProcess
    field: Field

    @property
    def url(self) -> str:
        return self.server.url

    def tile_pids(self) -> list[int]:
        """Processes that listen on the public port, without the parent."""
        own = self.server.process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return [int(child) for child in children if self._listens(int(child))]

    def _listens(self, pid: int) -> bool:
        inode = _listening_inode(int(self.url.rsplit(":", 1)[1]))
        try:
            links = [str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            return False
        return f"socket:[{inode}]" in links

    def tile(self) -> httpx.Response:
        return httpx.get(f"{self.url}/collections/field/layers/lr/tiles/WebMercatorQuad/0/0/0")


def _listening_inode(port: int) -> str:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "0A":
            return fields[9]
    raise LookupError(port)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    root = tmp_path_factory.mktemp("fleet")
    settings = {"workers": 1, "worker_niceness": 0, "log_level": "error"}
    with serving_process(root, "--workers", "2", **settings) as server:
        yield Fleet(server, make_field(server.url, root))


def test_a_job_asked_of_any_process_is_seen_by_all_with_its_events(fleet: Fleet) -> None:
    job = fleet.field.start(fleet.field.whole, "bicubic-x2").json()["jobID"]
    kinds = [kind for kind, _ in events_of(fleet.url, job)]
    assert kinds.count("block") == 12
    for _ in range(6):  # each over a connection of its own
        assert finished(fleet.url, job)["status"] == "successful"
    assert fleet.field.tile("bicubic-x2").headers["x-srcube-complete"] == "true"
    listed = httpx.get(f"{fleet.url}/jobs").json()["jobs"]
    assert [one["jobID"] for one in listed] == [job]  # whoever asked is known behind the hop


def test_the_page_lives_in_one_process_though_any_may_be_asked(fleet: Fleet) -> None:
    async def story() -> None:
        for _ in range(4):  # the session has to be where the websocket ends
            page = httpx.get(f"{fleet.url}/explorer", timeout=60)
            assert "script-src 'self'" in page.headers["content-security-policy"]
            (token,) = set(re.findall(r'"token":"([^"]+)"', page.text))
            async with websockets.connect(
                fleet.url.replace("http", "ws") + "/explorer/ws",
                origin=websockets.Origin(fleet.url),
                subprotocols=[websockets.Subprotocol(one) for one in ("bokeh", token)],
            ) as connection:
                assert "ACK" in str(await connection.recv())
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(
                fleet.url.replace("http", "ws") + "/explorer/ws",
                origin=websockets.Origin("http://evil.example"),
            )

    asyncio.run(story())
    script = re.findall(r'src="(static/[^"]+\.js[^"]*)"', httpx.get(f"{fleet.url}/explorer").text)
    assert httpx.get(f"{fleet.url}/{script[0]}").status_code == 200


def test_numbers_of_all_processes_are_added_up(fleet: Fleet) -> None:
    def count(name: str) -> float:
        text = httpx.get(f"{fleet.url}/metrics").text
        found = re.findall(rf"^srcube_{name} (\S+)$", text, re.MULTILINE)
        assert found, name
        return sum(map(float, found))

    requests, hits = r"requests_total\{.*tiles.*\}", "chunk_cache_hits_total"
    before = {name: count(name) for name in (requests, hits)}
    path = tile_path(fleet.url, 15, cube_id="field")
    for _ in range(20):
        assert httpx.get(fleet.url + path).status_code == 200
    assert count(requests) == before[requests] + 20
    # Tiles are drawn elsewhere than numbers are asked for: what is kept there is told, too.
    assert count(hits) > before[hits]
    assert count("chunk_cache_bytes") > 0
    assert count("renders_waiting") == count("renders_drawing") == 0


def test_a_tile_process_that_dies_is_started_anew_and_others_answer_meanwhile(
    fleet: Fleet,
) -> None:
    wait_for(lambda: len(fleet.tile_pids()) == 2)
    victim, other = fleet.tile_pids()
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: victim not in fleet.tile_pids())
    assert fleet.tile().status_code in {200, 204}
    wait_for(lambda: len(fleet.tile_pids()) == 2)
    assert victim not in fleet.tile_pids()
    assert other in fleet.tile_pids()


def test_told_to_stop_all_processes_end(fleet: Fleet) -> None:
    """The last test of this file: nobody serves afterwards."""
    server = fleet.server
    pid = server.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(children) >= 3
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
