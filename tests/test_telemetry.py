"""Traces: a span for each request and for each block, and nothing at all unless asked for."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from datacube.errors import InvalidInput
from datacube.settings import Settings
from server import telemetry
from tests.conftest import serving
from tests.test_jobs import finished, make_field

COLLECTOR = "http://127.0.0.1:9"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What would be sent to a collector."""
    kept = InMemorySpanExporter()
    monkeypatch.setattr(telemetry, "make_exporter", lambda _collector: kept)
    telemetry.provider_of.cache_clear()
    yield kept
    telemetry.provider_of(COLLECTOR).shutdown()
    telemetry.provider_of.cache_clear()


def spans(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    telemetry.provider_of(COLLECTOR).force_flush()
    return list(exporter.get_finished_spans())


def test_requests_and_blocks_have_spans_with_the_id_of_the_request(
    exporter: InMemorySpanExporter, tmp_path: Path
) -> None:
    settings = Settings(data=str(tmp_path), port=0, telemetry=COLLECTOR)
    with serving(settings) as url:
        field = make_field(url, tmp_path)
        assert httpx.get(f"{url}/collections/none").status_code == 404
        answer = field.start(field.corner, "bicubic-x2")
        job = answer.json()["jobID"]
        finished(url, job)
    found = {one.name: one for one in spans(exporter)}
    missing = found["GET /collections/{cube_id}"]
    assert missing.attributes is not None
    assert missing.attributes["http.response.status_code"] == 404
    block = found["block"]
    assert block.attributes is not None
    assert block.attributes["srcube.jobs"] == (job,)
    assert block.attributes["srcube.request_id"] == answer.headers["x-request-id"]
    assert block.start_time is not None
    assert block.end_time is not None
    assert block.end_time > block.start_time


def test_without_a_collector_nothing_is_imported() -> None:
    program = (
        "import sys; from datacube.settings import Settings; from server.app import create_app;"
        "create_app(Settings());"
        "sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_a_collector_without_the_extra_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    telemetry.provider_of.cache_clear()
    with pytest.raises(InvalidInput, match=r"srcube\[telemetry\]"):
        telemetry.tracer_of(Settings(telemetry=COLLECTOR))
