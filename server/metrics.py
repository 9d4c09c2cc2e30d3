"""Numbers for Prometheus, of one application."""

import os
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where the processes of one server add up what they count
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
Readings = Callable[[], Mapping[str, float]]


class Metrics:
    """What is counted as it happens, and what is read when somebody asks."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._watched: list[_Watched] = []
        self.requests = Counter(
            "srcube_requests", "Answers by route and status", ("method", "route", "status"),
            registry=self._registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "srcube_request_seconds", "From request to the end of the answer", ("route",),
            buckets=SECONDS, registry=self._registry,
        )  # fmt: skip
        self.tile_seconds = Histogram(
            "srcube_tile_seconds", "To read and draw a tile, without waiting", ("layer",),
            buckets=SECONDS, registry=self._registry,
        )  # fmt: skip

    def watch(self, *, gauges: Readings, counters: Readings) -> None:
        """Read these whenever numbers are asked for; their names are given without prefix."""
        self._watched.append(_Watched(gauges, counters))

    def text(self) -> bytes:
        """All numbers in the format that Prometheus reads.

        What several processes of one server count is added up; what is watched is this one's.
        """
        whole = CollectorRegistry()
        if FOLDER in os.environ:
            MultiProcessCollector(whole)  # type: ignore[no-untyped-call]
        else:
            whole.register(self._registry)
        for watched in self._watched:
            whole.register(watched)
        return generate_latest(whole)


class _Watched(Collector):
    """Numbers that others keep."""

    def __init__(self, gauges: Readings, counters: Readings) -> None:
        self._gauges = gauges
        self._counters = counters

    def describe(self) -> list[Metric]:
        """Nothing beforehand: what others keep may not be there yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read everything now."""
        for name, value in self._gauges().items():
            gauge = GaugeMetricFamily(f"srcube_{name}", name.replace("_", " "))
            gauge.add_metric([], value)
            yield gauge
        for name, value in self._counters().items():
            counter = CounterMetricFamily(f"srcube_{name}", name.replace("_", " "))
            counter.add_metric([], value)
            yield counter
