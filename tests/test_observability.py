"""What the operator is told: one JSON object a line, and numbers that move."""

import json
import logging
import re
from pathlib import Path

import httpx
from hypothesis import given
from hypothesis import strategies as st

from datacube.settings import Settings
from server.observability import JsonLines, request_id
from tests.conftest import serving
from tests.test_jobs import make_field
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
