"""How figures are taken and told: medians of repeated runs, with the machine and versions."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

NAMED_PACKAGES = ("numpy", "zarr", "torch", "opencv-python-headless", "titiler.core", "rasterio")

Figures = Mapping[str, float]


def core_seconds(work: Callable[[], object], *, repeat: int = 5, warm_up: bool = True) -> float:
    """Median CPU time of a piece of work, after one run that is not counted unless it is long.

    CPU time of all threads of the process: what a busy machine adds in waiting is left out.
    """
    if warm_up:
        work()
    taken = []
    for _ in range(repeat):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def report(figures: Figures) -> dict[str, Any]:
    """The document that `srcube bench NAME --json` prints; figures rounded to four digits."""
    return {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.platform(terse=True),
        },
        "versions": {"srcube": _version("srcube"), **{n: _version(n) for n in NAMED_PACKAGES}},
        "figures": {name: float(f"{value:.4g}") for name, value in figures.items()},
    }


def as_json(figures: Figures) -> str:
    """The report as text."""
    return json.dumps(report(figures), indent=2)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123 (no such path elsewhere than on Linux)
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "unknown"
