"""What a second tile process brings: tiles per second of several clients, with one and with two.

The clients run on the same machine and take their share of its cores: on two cores, two tile
processes and the clients are three that want one.
"""

import http.client
import threading
import time
from pathlib import Path

from server.load.asks import tile_paths
from server.load.process import ServerProcess, serving_process
from server.tiles_bench import make_cube, square_grid

CLIENTS, SECONDS = 8, 6.0


def workers_figures(root: Path) -> dict[str, float]:
    """Tiles per second with one and two tile processes, and their ratio."""
    paths = tile_paths(make_cube(root, "bench", square_grid(1024), dates=1), 15)
    rates = {}
    for count in (1, 2):
        with serving_process(root, "--workers", str(count)) as server:
            _rate(server, paths, SECONDS / 3)  # each process has decoded what there is
            rates[count] = _rate(server, paths, SECONDS)
    return {
        "tiles_per_s_workers_1": rates[1],
        "tiles_per_s_workers_2": rates[2],
        "throughput_ratio_workers_2": rates[2] / rates[1],
    }


def _rate(server: ServerProcess, paths: list[str], seconds: float) -> float:
    """Tiles per second that all clients got together."""
    counts = [0] * CLIENTS
    address = server.url.removeprefix("http://")
    began = time.monotonic()

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(address, timeout=60)
        while time.monotonic() < began + seconds:
            connection.request("GET", paths[counts[number] * (number + 1) % len(paths)])
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"a tile was answered with {answer.status}")
            counts[number] += 1
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - began)
