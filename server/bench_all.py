"""Every benchmark in one go: medians and spreads of repeated runs, beside peers from PyPI.

A benchmark that cannot run here is left out with the reason; the others are still measured.
"""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from datacube import benchmark
from datacube.benchmark import Figures
from datacube.errors import InvalidInput, SrcubeError
from datacube.settings import Settings

Benchmark = Callable[[Settings], Figures]
Report = Callable[[str], None]
Document = dict[str, Any]

ALL = "all"
PAGE, DATA = "benchmarks.md", "benchmarks.json"
ENOUGH_S = 240.0  # a benchmark that has run for so long is not begun again
PEER_PACKAGES = ("titiler.core", "titiler.xarray", "odc-stac")


@dataclass(frozen=True)
class Peer:
    """A figure of ours beside the same of a package from PyPI, measured in one run."""

    what: str
    package: str
    ours: str
    theirs: str
    more_is_better: bool = False


_XARRAY, _COG = "titiler.xarray", "titiler.core"
PEERS = (
    Peer("CPU of a warm map tile, own format", _XARRAY, "tile_cpu_ms", "tile_cpu_ms_xarray"),
    Peer("CPU of a warm map tile, PNG", _XARRAY, "tile_cpu_ms_png", "tile_cpu_ms_png_xarray"),
    Peer("a cold map tile", _XARRAY, "tile_cold_ms", "tile_cold_ms_xarray"),
    Peer("tiles per second of ten clients", _XARRAY, "tiles_per_s", "tiles_per_s_xarray", True),
    Peer("CPU of a warm map tile, own format", _COG, "tile_cpu_ms", "tile_cpu_ms_cog"),
    Peer("CPU of a warm map tile, PNG", _COG, "tile_cpu_ms_png", "tile_cpu_ms_png_cog"),
    Peer("a cold map tile", _COG, "tile_cold_ms", "tile_cold_ms_cog"),
    Peer("tiles per second of ten clients", _COG, "tiles_per_s", "tiles_per_s_cog", True),
    Peer(
        "MB of scenes ingested per core-second",
        "odc-stac",
        "ingest_mb_per_core_s",
        "ingest_odc_stac_mb_per_core_s",
        more_is_better=True,
    ),
)


def measure_all(
    benchmarks: Mapping[str, Benchmark],
    settings: Settings,
    repeat: int,
    report: Report,
    keep: Callable[[Document], None] = lambda _document: None,
) -> Document:
    """Run every benchmark up to `repeat` times, one after the other; the document of all figures.

    Long ones are run less often, see `ENOUGH_S`. `keep` is given the document after each of them,
    so that what was measured is not lost with the rest. Raises InvalidInput for fewer than one run.
    """
    if repeat < 1:
        raise InvalidInput(f"need 1 run or more, got {repeat}")
    found: Document = {}
    document = _document(found)
    for name, run in benchmarks.items():
        report(f"{name} ...")
        found[name] = _repeated(run, settings, repeat)
        report(f"{name}: {found[name].get('left_out') or str(found[name]['wall_s']) + ' s'}")
        document = _document(found)
        keep(document)
    return document


def run_all(
    benchmarks: Mapping[str, Benchmark], settings: Settings, asked: "Asked", report: Report
) -> Document:
    """What `srcube bench all` does: measure what was asked for, and write it.

    What the folder holds of other benchmarks, measured before on this machine, stays in it.
    """

    def merged(document: Document) -> Document:
        found = earlier(asked.folder, document) | document["benchmarks"]
        return document | _part({name: found[name] for name in benchmarks if name in found})

    def keep(document: Document) -> None:
        write_document(merged(document), asked.folder)

    wanted = chosen(benchmarks, asked.only)
    document = merged(measure_all(wanted, settings, asked.repeat, report, keep))
    for path in write_document(document, asked.folder):
        report(str(path))
    return document


def _document(found: Document) -> Document:
    """What was found, with day, machine and versions."""
    head = benchmark.report({})
    head["versions"] |= {name: _version(name) for name in PEER_PACKAGES}
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": head["machine"],
        "versions": head["versions"],
        **_part(found),
    }


def _part(found: Document) -> Document:
    return {"benchmarks": dict(found), "peers": _beside(found)}


@dataclass(frozen=True)
class Asked:
    """Which benchmarks (all, if none is named), how often each, and where figures go."""

    only: tuple[str, ...]
    repeat: int
    folder: Path

    @classmethod
    def of(cls, only: str | None, repeat: int, folder: Path) -> "Asked":
        """From the options: names with commas between."""
        names = tuple(name.strip() for name in (only or "").split(",") if name.strip())
        return cls(names, repeat, folder)


def chosen(benchmarks: Mapping[str, Benchmark], only: Sequence[str]) -> dict[str, Benchmark]:
    """Those that are named, in the order they are known, or all; InvalidInput for other names."""
    unknown = [name for name in only if name not in benchmarks]
    if unknown:
        raise InvalidInput(f"no benchmark {unknown[0]!r}; there are {', '.join(benchmarks)}")
    return {name: run for name, run in benchmarks.items() if not only or name in only}


def earlier(folder: Path, document: Document) -> Document:
    """Benchmarks in a folder's document that were measured on the same machine and versions."""
    try:
        held = json.loads((folder / DATA).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InvalidInput(f"{folder / DATA} is no record of benchmarks; remove it") from error
    same = all(held.get(name) == document[name] for name in ("machine", "versions"))
    found: Document = held["benchmarks"] if same else {}
    return found


def write_document(document: Document, folder: Path) -> tuple[Path, Path]:
    """Write `benchmarks.md` and `benchmarks.json` into a folder; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    page, data = folder / PAGE, folder / DATA
    page.write_text(markdown(document), "utf-8")
    data.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return page, data


def markdown(document: Document) -> str:
    """The page: machine, versions, peers, then a table for each benchmark."""
    lines = ["# Benchmarks", "", _introduction(document), ""]
    lines += _table(("package", "version"), document["versions"].items())
    if document["peers"]:
        lines += ["## Beside peers from PyPI", "", PEERS_TEXT, ""]
        columns = ("what", "peer", "ours", "theirs", "times better", "least to most")
        lines += _table(columns, [_peer_row(one) for one in document["peers"]])
    for name, one in document["benchmarks"].items():
        lines += [f"## {name}", ""]
        if "left_out" in one:
            lines += [f"Left out: {one['left_out']}", ""]
            continue
        lines += [
            f"{one['runs']} {'run' if one['runs'] == 1 else 'runs'} in {one['wall_s']:g} s.",
            "",
        ]
        rows = [
            (f"`{figure}`", f"{told['median']:g}", f"{told['least']:g}", f"{told['most']:g}")
            for figure, told in one["figures"].items()
        ]
        lines += _table(("figure", "median", "least", "most"), rows)
    return "\n".join(lines)


PEERS_TEXT = (
    "The same pixels in one run, each server as its makers ship it. More than 1 means that we "
    "are better: less time, or more per second. Of the times better the median of the runs."
)


def _introduction(document: Document) -> str:
    machine = document["machine"]
    return (
        f"Made by `srcube bench all` on {document['measured']}: {machine['processor']}, "
        f"{machine['cores']} cores, Python {machine['python']}, {machine['system']}. Medians of "
        "the runs named below. `_core_s` and `_cpu_ms` are CPU time, gains (`_db`) over bicubic. "
        "Figures named `recorded_` were not measured again: their real images were not there."
    )


def _repeated(run: Benchmark, settings: Settings, repeat: int) -> Document:
    runs = []
    started = time.monotonic()
    for _ in range(repeat):
        try:
            runs.append(run(settings))
        except SrcubeError as error:
            return {"left_out": str(error)}
        if time.monotonic() - started > ENOUGH_S:
            break
    wall_s = round(time.monotonic() - started, 1)
    names = [name for name in runs[0] if all(name in one for one in runs)]
    figures = {name: _spread([one[name] for one in runs]) for name in names}
    measured = datetime.now(UTC).strftime("%Y-%m-%d")
    return {"measured": measured, "wall_s": wall_s, "runs": len(runs), "figures": figures}


def _spread(values: Sequence[float]) -> dict[str, Any]:
    rounded = [float(f"{value:.4g}") for value in values]
    return {
        "median": float(f"{statistics.median(values):.4g}"),
        "least": min(rounded),
        "most": max(rounded),
        "values": rounded,
    }


def _beside(found: Document) -> list[Document]:
    """What a peer was measured for, its ratios run by run."""
    figures = {
        name: told for one in found.values() for name, told in one.get("figures", {}).items()
    }
    rows = []
    for peer in PEERS:
        if peer.ours not in figures or peer.theirs not in figures:
            continue
        ours, theirs = figures[peer.ours], figures[peer.theirs]
        pairs = zip(ours["values"], theirs["values"], strict=True)
        ratios = [(a / b if peer.more_is_better else b / a) for a, b in pairs]
        rows.append(
            {
                "what": peer.what,
                "package": peer.package,
                "version": _version(peer.package),
                "ours": ours["median"],
                "theirs": theirs["median"],
                "times_better": _spread(ratios),
            }
        )
    return rows


def _peer_row(one: Document) -> tuple[str, ...]:
    ratio = one["times_better"]
    name = f"{one['package']} {one['version']}"
    between = f"{ratio['least']:.2g} to {ratio['most']:.2g}"
    return (
        one["what"],
        name,
        f"{one['ours']:g}",
        f"{one['theirs']:g}",
        f"{ratio['median']:.2g}",
        between,
    )


def _table(columns: Sequence[str], rows: Any) -> list[str]:
    head = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    return [*head, *(f"| {' | '.join(map(str, row))} |" for row in rows), ""]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
