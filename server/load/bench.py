"""`srcube bench load`: every figure of a server under load."""

import asyncio
import tempfile
from pathlib import Path

from datacube.benchmark import Figures
from datacube.settings import Settings
from server.load.asks import bench_cube
from server.load.burst import burst_figures
from server.load.cancels import slowest_cancel_s
from server.load.kills import lost_jobs
from server.load.neighbours import p95_ratio
from server.load.process import serving_process
from server.load.soak import Soak
from server.load.visitors import visitors_figures
from server.load.workers import workers_figures

SIDE_PX, DATES = 1024, 4
KILLS = 20
VISIT_S = 60.0


def load_figures(settings: Settings) -> Figures:
    """All figures; the soak lasts `settings.bench_minutes`, the rest some seven minutes."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        cube = bench_cube(root, SIDE_PX, DATES)
        with serving_process(root) as server:
            figures |= burst_figures(server, cube)
        with serving_process(root) as server:
            figures["tile_p95_ratio_during_sr"] = p95_ratio(server, cube)
            figures["cancel_slowest_s"] = slowest_cancel_s(server, cube)
        with serving_process(root) as server:
            figures |= asyncio.run(visitors_figures(server.url, cube, VISIT_S))
        with serving_process(root, cache_mb=64) as server:
            figures |= asyncio.run(Soak(server, cube, settings.bench_minutes * 60).figures())
    with tempfile.TemporaryDirectory() as folder:
        figures |= workers_figures(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        figures["kill_lost_jobs"] = lost_jobs(Path(folder), KILLS)
    return figures
