"""Traces for OpenTelemetry, where the operator has named a collector; else nothing is imported.

A span for each request, under its route, and one for each block that was computed, both with the
id of the request that asked: what a person waited for can be followed into the workers.
"""

import time
from collections import OrderedDict
from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING

from datacube.errors import InvalidInput
from datacube.settings import Settings
from server.middleware.asgi import ASGIApp, Message, Receive, Scope, Send
from server.observability import request_id

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

MOST_JOBS = 1024  # whose request is remembered
NANO = 1_000_000_000


def tracer_of(settings: Settings) -> "Tracer | None":
    """Where spans go; None where no collector is named. Raises InvalidInput without the extra."""
    if settings.telemetry is None:
        return None
    return provider_of(settings.telemetry).get_tracer("srcube")


@lru_cache(maxsize=4)
def provider_of(collector: str) -> "TracerProvider":
    """One for each collector and process; what it holds back is sent when the process ends."""
    try:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 (an extra)
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        provider = TracerProvider(resource=Resource.create({"service.name": "srcube"}))
        provider.add_span_processor(BatchSpanProcessor(make_exporter(collector)))
    except ImportError as error:
        raise InvalidInput(
            "SRCUBE_TELEMETRY is set and OpenTelemetry is not installed: pip install "
            '"srcube[telemetry]"'
        ) from error
    return provider


def make_exporter(collector: str) -> "SpanExporter":
    """What sends spans to a collector, as OTLP over HTTP."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 (an extra)
        OTLPSpanExporter,
    )

    exporter: SpanExporter = OTLPSpanExporter(endpoint=collector.rstrip("/") + "/v1/traces")
    return exporter


class Traces:
    """A span for each request, beneath the layer that gives it an id."""

    def __init__(self, app: ASGIApp, *, tracer: "Tracer") -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and tell how long that took."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._tracer.start_as_current_span(scope["method"]) as span:

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            span.set_attribute("srcube.request_id", request_id.get())
            span.set_attribute("http.request.method", scope["method"])
            try:
                await self._app(scope, receive, sending)
            finally:
                # The pattern, not the address: nobody outside chooses names of spans.
                route = getattr(scope.get("route"), "path", "none")
                span.set_attribute("http.route", route)
                span.update_name(f"{scope['method']} {route}")


class BlockTraces:
    """A span for each block computed, with the requests of the jobs that wanted it.

    Which request asked for a job is known until the process ends: later blocks of it name the
    job alone.
    """

    def __init__(self, tracer: "Tracer | None") -> None:
        self._tracer = tracer
        self._requests: OrderedDict[str, str] = OrderedDict()

    def asked(self, job_id: str) -> None:
        """Remember that the request of this context asked for a job."""
        if self._tracer is None:
            return
        self._requests.setdefault(job_id, request_id.get())
        while len(self._requests) > MOST_JOBS:
            self._requests.popitem(last=False)

    def computed(self, key: str, seconds: float, job_ids: Collection[str]) -> None:
        """A block has just been computed, in so many seconds."""
        if self._tracer is None:
            return
        now = time.time_ns()
        requests = sorted({self._requests.get(one, "") for one in job_ids} - {""})
        span = self._tracer.start_span(
            "block",
            start_time=now - int(seconds * NANO),
            attributes={
                "srcube.block": key,
                "srcube.jobs": sorted(job_ids),
                "srcube.request_id": ",".join(requests),
            },
        )
        span.end(now)
