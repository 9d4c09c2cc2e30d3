"""What the operator is told: one JSON object a line, and numbers that move."""

import json
import logging
import re
import time
from pathlib import Path

import httpx
from hypothesis import given
from hypothesis import strategies as st

from datacube.settings import Settings
from server.observability import JsonLines, request_id
from tests.conftest import serving
from tests.test_jobs import finished, make_field
from tests.test_tiles import tile_path


def line(message: str, **extra: object) -> str:
    record = logging.LogRecord("srcube", logging.INFO, "", 0, message, None, None)
    record.__dict__.update(extra)
    return JsonLines().format(record)


@given(text=st.text())
def test_a_log_line_is_one_object_whatever_it_holds(text: str) -> None:
    written = line(text, facts={"path": text})
    assert len(written.splitlines()) == 1
    assert json.loads(written)["message"] == json.loads(written)["path"] == text


def test_a_log_line_names_the_request_it_belongs_to() -> None:
    token = request_id.set("abc")
    assert json.loads(line("x"))["request_id"] == "abc"
    request_id.reset(token)
    assert "request_id" not in json.loads(line("x"))


def numbers(url: str) -> dict[str, float]:
    text = httpx.get(url + "/metrics").text
    pairs = re.findall(r"^(srcube_\S+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in pairs}


def test_numbers_count_tiles_requests_and_what_is_kept(tmp_path: Path) -> None:
    with serving(Settings(data=str(tmp_path), port=0)) as url:
        make_field(url, tmp_path)
        path = tile_path(url, 15, cube_id="field")
        for _ in range(3):
            assert httpx.get(url + path).status_code == 200
        assert httpx.get(url + "/collections/none").status_code == 404
        found = numbers(url)
        assert found['srcube_tile_seconds_count{layer="lr"}'] == 3
        assert found["srcube_chunk_cache_hits_total"] > 0
        assert found["srcube_chunk_cache_misses_total"] > 0
        assert found["srcube_jobs_active"] == found["srcube_renders_waiting"] == 0
        assert found["srcube_blocks_computed_total"] == 0
        counted = {name: value for name, value in found.items()
                   if name.startswith("srcube_requests_total")}  # fmt: skip
        assert any('status="404"' in name for name in counted)
        # Routes are counted by their pattern: nobody outside can make up new ones.
        assert not any("none" in name.split("route=")[1].split(",")[0] for name in counted
                       if "collections" in name)  # fmt: skip
        assert httpx.get(url + "/readyz").json()["status"] == "ok"


def test_numbers_move_as_a_job_goes_on(tmp_path: Path) -> None:
    with serving(Settings(data=str(tmp_path), port=0, workers=1)) as url:
        field = make_field(url, tmp_path)
        assert numbers(url)["srcube_blocks_unfinished"] == 0
        job = field.start(field.whole, "default-x4").json()["jobID"]
        seen = [numbers(url)]
        assert seen[0]["srcube_jobs_active"] == 1
        assert seen[0]["srcube_blocks_unfinished"] == 12
        while seen[-1]["srcube_jobs_active"] and len(seen) < 3000:
            time.sleep(0.02)
            seen.append(numbers(url))
        assert finished(url, job)["status"] == "successful"
        queued = [one["srcube_blocks_unfinished"] for one in seen]
        computed = [one["srcube_blocks_computed_total"] for one in seen]
        assert queued == sorted(queued, reverse=True)
        assert computed == sorted(computed)
        assert len(set(queued) & set(range(1, 12))) > 1  # it was seen on its way
        last = numbers(url)
        assert (last["srcube_blocks_unfinished"], last["srcube_blocks_computed_total"]) == (0, 12)
