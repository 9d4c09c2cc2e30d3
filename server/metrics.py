"""Numbers for Prometheus, of one application or of the several processes of a fleet.

In a fleet every process writes what it counts into files of a folder, from which whoever is
asked adds up. What others keep (`watch`) is read when somebody asks; a process that nobody asks
writes it down after each request.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where the processes of one server add up what they count
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
Readings = Callable[[], Mapping[str, float]]


class Metrics:
    """What is counted as it happens, and what is read when somebody asks.

    `member`: of this process nobody asks, another one of the fleet tells its numbers.
    """

    def __init__(self, *, member: bool = False) -> None:
        self._registry = CollectorRegistry()
        self._member = member
        self._watched: list[_Watched] = []
        self._written: list[_Written] = []
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
        if FOLDER in os.environ:
            self._written.append(_Written(gauges, counters))
        else:
            self._watched.append(_Watched(gauges, counters))

    def answered(self) -> None:
        """A request has been answered: write down what another process will be asked for."""
        if self._member:
            self._write()

    def text(self) -> bytes:
        """All numbers in the format that Prometheus reads.

        What several processes of one server count is added up.
        """
        whole = CollectorRegistry()
        self._write()
        if FOLDER in os.environ:
            MultiProcessCollector(whole)  # type: ignore[no-untyped-call]
        else:
            whole.register(self._registry)
        for watched in self._watched:
            whole.register(watched)
        return generate_latest(whole)

    def _write(self) -> None:
        for written in self._written:
            written.write()


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


class _Written:
    """Numbers that others keep, as the files of a fleet hold them: gauges of those that live."""

    def __init__(self, gauges: Readings, counters: Readings) -> None:
        self._read_gauges, self._read_counters = gauges, counters
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, Counter] = {}
        self._counted: dict[str, float] = {}
        self._lock = threading.Lock()

    def write(self) -> None:
        """Bring the files up to date."""
        with self._lock:
            for name, value in self._read_gauges().items():
                if name not in self._gauges:
                    self._gauges[name] = Gauge(
                        f"srcube_{name}", name.replace("_", " "), registry=None,
                        multiprocess_mode="livesum",
                    )  # fmt: skip
                self._gauges[name].set(value)
            for name, value in self._read_counters().items():
                if name not in self._counters:
                    title = name.replace("_", " ")
                    self._counters[name] = Counter(f"srcube_{name}", title, registry=None)
                self._counters[name].inc(max(value - self._counted.get(name, 0.0), 0.0))
                self._counted[name] = value


def forget_process(pid: int) -> None:
    """A process of a fleet has ended: what it held just then is held no more."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]
