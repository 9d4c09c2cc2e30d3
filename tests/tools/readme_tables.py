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
    wrong = f"{gain['fusion_x2_8_wrong_psf_gain_db']:+.1f} dB"
    rows = [
        ("x2, 8 dates", f"{gain['fusion_x2_8_gain_db']:+.1f} dB", wrong),
        ("x2, 30 dates", f"{gain['fusion_x2_30_gain_db']:+.1f} dB", ""),
        ("x4, 8 dates", f"{gain['fusion_x4_8_gain_db']:+.1f} dB", ""),
        ("x2, one date", f"{gain['single_x2_gain_db']:+.1f} dB", ""),
    ]
    return table(("fusion", "gain", "with a blur assumed 20 % wrong"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "places": places,
    "intervals": intervals,
    "use cases": usecases,
    "linear models": linear,
    "fusion": fusion,
}


def measured(benchmark: str) -> dict[str, float]:
    """Medians of a benchmark in the record of `srcube bench all`."""
    document = json.loads(BENCHMARKS.read_text("utf-8"))
    found = document["benchmarks"][benchmark]["figures"]
    return {name: one["median"] for name, one in found.items()}


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
        if name in {"linear models", "fusion"} and not BENCHMARKS.exists():
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
