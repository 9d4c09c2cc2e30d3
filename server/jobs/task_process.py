"""The process that carries out one task: its order comes as JSON, what it says leaves as lines.

`python -m server.jobs.task_process` reads the order from standard input, writes lines
`{"percent": ..., "message": ...}` while it works, and `{"result": ...}` or `{"failed": ...}` as
the last one. What is heavy to import is imported by the task that needs it.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, TextIO

from datacube import Catalog, open_storage
from datacube.errors import Damaged, InvalidInput, OutOfSpace, SrcubeError, Unavailable
from datacube.stac.errors import Unreachable
from server.errors import log

Document = dict[str, Any]
Report = Callable[[float, str], None]

DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG
MEGABYTE = 1_000_000
# What is told instead of an error's own text, where that may name a place in the store.
PLAIN: dict[type[SrcubeError], str] = {
    OutOfSpace: "OutOfSpace: the server has no space left; ask again when there is some",
    Unavailable: "Unavailable: the store did not answer; ask again",
    Damaged: "ChunkCorrupt: stored data that are needed are damaged",
    Unreachable: "Unreachable: the catalog, or a server it names, did not answer; ask again",
}


def ingest_task(order: Document, report: Report) -> Document:
    """Take scenes of a catalog into a cube; see `server.task_processes` for what was checked."""
    from datacube.ingest.carry_out import Target, carry_out, plan_scenes  # noqa: PLC0415
    from datacube.ingest.intake import Access, Intake  # noqa: PLC0415
    from datacube.ingest.summary import Progress  # noqa: PLC0415
    from datacube.sources.naming import parse_interval  # noqa: PLC0415
    from datacube.sources.plan import Given  # noqa: PLC0415

    report(0, "looking for scenes")
    given = Given(tuple(order["bands"]), parse_interval(order["datetime"]))
    west, south, east, north = order["bbox"]
    box = (west, south, east, north)
    access = Access(tuple(order["hosts"]), (), order["collection"], order["max_cloud"])
    catalog = Catalog(open_storage(order["data"]))
    with Intake(given, box, access) as intake:
        found = intake.plan([order["place"]])
        if order["scenes"]:
            wanted = set(order["scenes"])
            kept = tuple(one for one in found.scenes if one.scene.scene_id in wanted)
            found = replace(found, scenes=kept)
        if len(found.scenes) > order["most_scenes"]:
            raise InvalidInput(
                f"{len(found.scenes)} scenes were found, at most {order['most_scenes']} may be "
                "ingested at once; choose a shorter time or fewer scenes"
            )
        target = Target(order["cube"], box, title=order["title"])
        plan = plan_scenes(catalog, found, target, given)

        def tell(progress: Progress) -> None:
            report(100 * progress.done / max(progress.total, progress.done, 1), progress.label)

        return carry_out(plan, catalog, tell).document()


def evaluate_task(order: Document, report: Report) -> Document:
    """Audit what is super-resolved in a window of a cube, against input and truth."""
    from datacube.scene import parse_rfc3339  # noqa: PLC0415
    from sr_engine.audit.cube_pairs import cube_triple  # noqa: PLC0415
    from sr_engine.audit.evaluate import evaluate  # noqa: PLC0415
    from sr_engine.registry import find_model  # noqa: PLC0415
    from sr_engine.threads import use_one_thread  # noqa: PLC0415

    use_one_thread()
    report(0, "reading")
    cube = Catalog(open_storage(order["data"])).open(order["collection"])
    one = cube.scene_at(parse_rfc3339(order["datetime"]))
    found = cube_triple(cube, find_model(order["model"]), one.slot, order["bbox"])
    report(20, "auditing")
    document = evaluate(found.triple, found.provenance).document
    return {"collection": order["collection"], "datetime": one.scene.stamp, **document}


TASKS: dict[str, Callable[[Document, Report], Document]] = {
    "ingest": ingest_task,
    "evaluate": evaluate_task,
}


def main() -> None:
    """Carry out the task that standard input names."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no line of ours
    order: Document = json.load(sys.stdin)
    _limit(order)

    def report(percent: float, message: str) -> None:
        _say(lines, {"percent": round(percent, 1), "message": message})

    try:
        _say(lines, {"result": TASKS[order["task"]](order, report)})
    except SrcubeError as error:
        plain = next((text for kind, text in PLAIN.items() if isinstance(error, kind)), None)
        log.info("a task failed", exc_info=error)
        _say(lines, {"failed": plain or f"{error.code}: {error}"})
    except MemoryError:
        _say(lines, {"failed": "OutOfMemory: the task needs more memory than it may take"})
    except Exception:  # noqa: BLE001 (outermost handler: a decoder or a model of anybody's runs here)
        log.exception("a task failed")
        _say(lines, {"failed": "an error of ours; it has been logged"})


def _say(lines: TextIO, document: Document) -> None:
    lines.write(json.dumps(document, default=str) + "\n")
    lines.flush()


def _limit(order: Document) -> None:
    """End with the server, yield to map tiles, and keep to the memory allowed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the server to answer
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
    with suppress(OSError):
        os.nice(order["niceness"])
    if order["memory_mb"]:
        resource.setrlimit(resource.RLIMIT_AS, (order["memory_mb"] * MEGABYTE,) * 2)


if __name__ == "__main__":
    main()
