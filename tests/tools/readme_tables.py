"""Write the README's tables of figures from the records of what was measured: `make figures`.

A table stands between two marks that name it. No figure of it is typed by hand; a test holds the
README, and the page of the use cases, against the records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sr_engine.trust.calibration import CALIBRATIONS
from sr_engine.usecases.figures_page import figures
from sr_engine.usecases.prose import TITLE
from sr_engine.usecases.report import COMPARED, parts_of
from sr_engine.usecases.table import page

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
USE_CASES = ROOT / "notebooks/usecases/README.md"
PLACES = ROOT / "notebooks/benchmarks/places.json"
BENCHMARKS = ROOT / "notebooks/benchmarks/benchmarks.json"
MARK = "<!-- table of {}: made by `make figures` -->\n"
END = "<!-- end of table -->\n"
Document = Mapping[str, Any]

SITES = {
    "putnam_1p3m": "aerial, Putnam",
    "naip_1m": "aerial, NAIP 1 m",
    "bolzano_l2a": "Sentinel-2, Bolzano",
    "slovenia_l1c": "Sentinel-2, Slovenia",
    "simulated_301": "simulated",
}
WAYS = ("bicubic", "wiener", "default")
HELD = {
    "coverage_90": "all five test places",
    "coverage_90_worst_stratum": "worst stratum of brightness, gradient or land cover",
    "coverage_90_sharp": "sharp aerial truth alone",
    "coverage_90_wald": "degraded Sentinel-2 alone",
}
TASKS = {
    "Field boundaries: F1": "field boundaries, F1",
    "Fields as areas: IoU": "fields as areas, IoU",
    "Water: agreement: F1": "water, F1",
    "Roofs: agreement: F1": "bright roofs, F1",
    "Roads: agreement: F1": "roads, F1",
    "Felled woods: agreement: F1": "felled woods between two dates, F1",
}


PROMISES = (  # in words, the benchmark, its figure, and the goal
    ("CPU of a warm map tile over titiler.xarray", "tiles", "tile_cpu_ratio_vs_titiler_xarray",
     "at most 0.1"),
    ("CPU of a warm map tile over titiler on a COG", "tiles", "tile_cpu_ratio_vs_cog",
     "at most 0.25"),
    ("a cold map tile over titiler on a COG", "tiles", "cold_ratio_vs_cog", "at most 1"),
    ("tiles per second of ten clients over titiler.xarray", "tiles",
     "throughput_ratio_vs_titiler_xarray", "at least 8"),
    ("cost of a map tile with 100 dates over 1", "tiles", "tile_cost_growth_dates_100", "1"),
    ("cost of a map tile of a 30,000 px cube over 4,096 px", "tiles",
     "tile_cost_growth_extent_30000", "1"),
    ("1000 map tiles at once: answers wrong or lost", "load", "burst_1000_errors", "0"),
    ("slowest twentieth of map tiles beside super-resolution, over idle", "load",
     "tile_p95_ratio_during_sr", "at most 2"),
    ("twenty visitors pan and one computes, a minute: errors", "load", "visitors_errors", "0"),
    ("slowest twentieth of their map tiles, ms", "load", "visitors_tile_p95_ms", "at most 700"),
    ("mixed load: minutes", "load", "soak_minutes", "10"),
    ("the same: requests", "load", "soak_requests", ""),
    ("the same: errors", "load", "soak_errors", "0"),
    ("the same: memory in the end over the beginning", "load", "soak_memory_growth_ratio", "1"),
    ("a second tile process: tiles per second over one", "load", "throughput_ratio_workers_2", ""),
    ("seconds until a cancelled job computes nothing more, at most", "load", "cancel_slowest_s",
     "2"),
    ("jobs lost by twenty `kill -9` of the server", "load", "kill_lost_jobs", "0"),
)  # fmt: skip


def places() -> str:
    """PSNR at places never learnt from, the best of each factor in bold."""
    found = json.loads(PLACES.read_text("utf-8"))
    columns = [name for factor in found for name in (f"{factor}: {WAYS[0]}", *WAYS[1:])]
    rows = []
    for place, words in SITES.items():
        cells = []
        for one in found.values():
            shown = [f"{one['psnr_db'][place][way]:.1f}" for way in WAYS]
            best = max(shown, key=float)
            cells += [f"**{cell}**" if cell == best else cell for cell in shown]
        rows.append((words, *cells))
    return table(("test place", *columns), rows)


def intervals() -> str:
    """What the calibrated interval held at the places it was tested at."""
    held = {
        f"x{factor}": json.loads((CALIBRATIONS / f"default-x{factor}.json").read_text("utf-8"))
        for factor in (2, 4)
    }
    rows = [
        (words, *(f"{100 * one['figures'][name]:.1f} %" for one in held.values()))
        for name, words in HELD.items()
    ]
    return table(("90 % interval holds", *held), rows)


def usecases() -> str:
    """The summary of the use cases, as `srcube experiment usecases` found it."""
    (summary,) = figures()["summary"]
    heads = [name.partition("-x")[0].partition(" at ")[0] for name in COMPARED]
    rows = []
    for title, words in TASKS.items():
        cells = [str(summary.row(title)[name]).partition(" ")[0] for name in COMPARED]
        rows.append((words, *(cell.removeprefix("0") for cell in cells)))
    return table(("task", *heads), rows)


def linear() -> str:
    """What deconvolution gains over bicubic: `srcube bench demo`."""
    gain = measured("demo")
    rows: list[Sequence[str]] = [("`bicubic-x2`, `bicubic-x4`", "0 dB", "0 dB")]
    for factor in (2, 4):
        cells = [gain[f"wiener_x{factor}_gain_db_{psf}"] for psf in ("gaussian", "optics")]
        rows.append((f"`wiener-x{factor}`", *(f"{cell:+.1f} dB" for cell in cells)))
    heads = ("model", "truth blurred as the model assumes", "blurred otherwise (optics)")
    return table(heads, rows)


def fusion() -> str:
    """What several dates gain over bicubic of their mean: `srcube bench fusion`."""
    gain = measured("fusion")

    def told(name: str) -> str:
        least, most = (gain.get(f"{name}_{word}_db") for word in ("least", "most"))
        spread = f" ({least:.1f} to {most:.1f})" if least is not None and most is not None else ""
        return f"{gain[f'{name}_db']:+.1f} dB{spread}"

    rows = [
        ("x2, 8 dates", told("fusion_x2_8_gain"), told("fusion_x2_8_wrong_psf_gain")),
        ("x2, 30 dates", told("fusion_x2_30_gain"), ""),
        ("x4, 8 dates", told("fusion_x4_8_gain"), ""),
        ("x2, one date", told("single_x2_gain"), ""),
    ]
    return table(("fusion", "gain (over landscapes)", "with a blur assumed 20 % wrong"), rows)


def peers() -> str:
    """What servers and readers from PyPI take for the same pixels, measured in one run."""
    rows = [
        (
            one["what"],
            f"{one['ours']:g}",
            f"{one['theirs']:g}",
            f"{one['package']} {one['version']}",
            f"{one['times_better']['median']:.2g}",
        )
        for one in record()["peers"]
    ]
    return table(("what", "srcube", "peer", "which", "times better"), rows)


def promises() -> str:
    """Figures of the server beside the goals that were set for them."""

    def told(value: float) -> str:
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"

    rows = [
        (words, told(measured(benchmark)[figure]), goal)
        for words, benchmark, figure, goal in PROMISES
    ]
    return table(("what", "measured", "goal"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "places": places,
    "intervals": intervals,
    "use cases": usecases,
    "linear models": linear,
    "fusion": fusion,
    "peers": peers,
    "promises": promises,
}


# Benchmarks without which a table stays as it is.
NEEDED = {
    "linear models": frozenset({"demo"}),
    "fusion": frozenset({"fusion"}),
    "peers": frozenset({"tiles"}),
    "promises": frozenset({"tiles", "load"}),
}


def measured(benchmark: str) -> dict[str, float]:
    """Medians of a benchmark in the record of `srcube bench all`."""
    found = record()["benchmarks"][benchmark]["figures"]
    return {name: one["median"] for name, one in found.items()}


def recorded() -> frozenset[str]:
    """Benchmarks that are in that record with figures."""
    held = record()["benchmarks"] if BENCHMARKS.exists() else {}
    return frozenset(name for name, one in held.items() if "figures" in one)


def record() -> dict[str, Any]:
    """What `srcube bench all --out notebooks/benchmarks` wrote."""
    document: dict[str, Any] = json.loads(BENCHMARKS.read_text("utf-8"))
    return document


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    told = [f"| {' | '.join(line)} |" for line in lines]
    told[1] = told[1].replace(" ", "")
    return "\n".join(told) + "\n"


def with_tables(readme: str) -> str:
    """The README with every table made anew; raises ValueError where the marks of one are missing.

    A table whose record is not there stays as it is.
    """
    for name, made in TABLES.items():
        begin = MARK.format(name)
        part = re.compile(re.escape(begin) + ".*?" + re.escape(END), re.DOTALL)
        if not part.search(readme):
            raise ValueError(f"README.md lacks the lines {begin.strip()} and {END.strip()}")
        if not NEEDED.get(name, frozenset()) <= recorded():
            continue
        told = begin + "\n" + made() + "\n" + END
        readme = part.sub(lambda _, told=told: told, readme)  # type: ignore[misc]
    return readme


def usecases_page() -> str:
    """The page of the use cases, from their figures and their prose."""
    return page(TITLE, parts_of(figures()))


def main() -> None:
    """Rewrite the tables and the page."""
    README.write_text(with_tables(README.read_text("utf-8")), "utf-8")
    USE_CASES.write_text(usecases_page(), "utf-8")
    print("figures: tables of README.md, and notebooks/usecases/README.md")


if __name__ == "__main__":
    main()
