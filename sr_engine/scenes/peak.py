"""How much memory a whole scene takes: measured in a process of its own, its helpers included."""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from datacube import Grid
from datacube.errors import Unavailable
from datacube.ingest.bench import write_scene
from datacube.sources.plan import Given

SCENE_PX = 10_980  # a Sentinel-2 tile


def full_scene_peak_mb(
    size_px: int = SCENE_PX, *, model: str = "default", factor: int = 2, folder: Path | None = None
) -> float:
    """Peak memory in MB of `srcube super-resolve` on a made-up scene of four bands.

    It lies in `folder`, by default where temporary files go: a whole tile at factor 2 takes
    12 GB there for a while. Raises Unavailable where the run failed.
    """
    with tempfile.TemporaryDirectory(dir=folder) as place:
        source, out = Path(place, "scene.tif"), Path(place, "fine.tif")
        grid = Grid.from_origin(
            "EPSG:32632", left=600_000, top=5_300_040, gsd_m=10, shape=(size_px, size_px)
        )
        write_scene(source, grid, seed=1)
        command = [sys.executable, "-m", __name__, str(source), str(out), model, str(factor)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if answer.returncode:
            raise Unavailable(f"the scene could not be made: {answer.stderr.strip()[-300:]}")
        return float(json.loads(answer.stdout.splitlines()[-1]))


def peak_mb() -> float:
    """Peak of this program and of those it has started, each at its own highest, in MB.

    `ru_maxrss` would also know the process that started this one.
    """
    own = Path("/proc/self/status")
    if not own.exists():
        kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        return sum(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1024
    found = [own]
    for listed in Path("/proc/self/task").glob("*/children"):
        found += [Path(f"/proc/{pid}/status") for pid in listed.read_text().split()]
    return sum(_high_water_mb(status) for status in found)


def main() -> None:
    """Run one scene, and print the peak."""
    from sr_engine.registry import choose_model  # noqa: PLC0415 - torch
    from sr_engine.scenes.run import super_resolve  # noqa: PLC0415
    from sr_engine.scenes.source import open_file  # noqa: PLC0415

    source, out, model, factor = sys.argv[1:5]
    chosen = choose_model(model, int(factor))
    with open_file(Path(source), Given(scale=1e-4, offset=0.0)) as scene:
        super_resolve(scene, chosen, Path(out))
        print(json.dumps(peak_mb()))  # noqa: T201


def _high_water_mb(status: Path) -> float:
    lines = status.read_text().splitlines()
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


if __name__ == "__main__":
    main()
