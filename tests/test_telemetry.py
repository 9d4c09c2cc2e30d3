"""Traces: a span for each request and for each block, and nothing at all unless asked for."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span
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


@contextmanager
def collector() -> Iterator[tuple[str, list[ResourceSpans]]]:
    """A collector on this machine, and what was sent to it: OTLP over HTTP, as protobuf."""
    received: list[ResourceSpans] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            assert self.headers["content-type"] == "application/x-protobuf"
            received.extend(ExportTraceServiceRequest.FromString(body).resource_spans)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_said: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


def attributes_of(span: Span) -> dict[str, object]:
    """Attributes of a span as plain values."""
    return {
        one.key: [part.string_value for part in one.value.array_value.values]
        or one.value.string_value
        or one.value.int_value
        for one in span.attributes
    }


def test_a_collector_receives_the_spans_of_a_request_and_of_its_block(tmp_path: Path) -> None:
    with collector() as (address, received):
        with serving(Settings(data=str(tmp_path), port=0, telemetry=address)) as url:
            field = make_field(url, tmp_path)
            answer = field.start(field.corner, "bicubic-x2")
            job = answer.json()["jobID"]
            assert finished(url, job)["status"] == "successful"
        telemetry.provider_of(address).shutdown()  # sends what it still holds
        telemetry.provider_of.cache_clear()
    resources = {one.key: one.value.string_value for all_of in received
                 for one in all_of.resource.attributes}  # fmt: skip
    assert resources["service.name"] == "srcube"
    spans = [one for all_of in received for scope in all_of.scope_spans for one in scope.spans]
    (request,) = (one for one in spans if one.name.startswith("POST"))
    (block,) = (one for one in spans if one.name == "block")
    assert request.name == "POST /processes/{process_id}/execution"
    said = attributes_of(request)
    assert said["http.response.status_code"] == 201
    assert said["srcube.request_id"] == answer.headers["x-request-id"]
    # The block comes long after its request has ended: it names it, and is a trace of its own.
    assert attributes_of(block)["srcube.request_id"] == said["srcube.request_id"]
    assert attributes_of(block)["srcube.jobs"] == [job]
    assert request.parent_span_id == block.parent_span_id == b""
    assert request.trace_id != block.trace_id


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
