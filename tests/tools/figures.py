"""Write the README's table of benchmarks from `notebooks/benchmarks/benchmarks.json`.

That file is what `srcube bench all --out notebooks/benchmarks` wrote: no figure of the table is
typed by hand. `make figures` rewrites the table; a test holds the README against it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "notebooks/benchmarks/benchmarks.json"
README = ROOT / "README.md"
BEGIN, END = "<!-- figures: made by `make figures` -->\n", "<!-- end of figures -->\n"
Document = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A figure of one benchmark, in words, beside the goal that was set for it."""

    words: str
    benchmark: str
    figure: str
    goal: str


LINES = (
    Line("cost of a tile with 100 dates over 1", "tiles", "tile_cost_growth_dates_100", "1"),
    Line("cost of a tile of a 30,000 px cube over 4,096 px", "tiles",
         "tile_cost_growth_extent_30000", "1"),
    Line("1000 tiles asked for at once: wrong or lost answers", "load", "burst_1000_errors", "0"),
    Line("95th percentile of tiles during super-resolution over idle", "load",
         "tile_p95_ratio_during_sr", "2"),
    Line("ten minutes of mixed load: requests", "load", "soak_requests", ""),
    Line("the same: errors", "load", "soak_errors", "0"),
    Line("the same: memory at the end over the beginning", "load", "soak_memory_growth_ratio",
         "1"),
    Line("seconds until a cancelled job computes nothing more, at most", "load",
         "cancel_slowest_s", "2"),
    Line("jobs lost by twenty `kill -9` of the server", "load", "kill_lost_jobs", "0"),
)  # fmt: skip


def table(document: Document) -> str:
    """The README's part: machine and day, peers, then figures beside their goals."""
    machine = document["machine"]
    told = (
        f"Measured on {document['measured']} ({machine['processor']}, {machine['cores']} cores, "
        f"Python {machine['python']}); [all figures](notebooks/benchmarks/benchmarks.md) with "
        "their spreads. Beside peers, medians of the runs:"
    )
    lines = [
        told,
        "",
        "| what | srcube | peer from PyPI | times better |",
        "|---|---|---|---|",
    ]
    for peer in document["peers"]:
        name = f"{peer['theirs']:g}, {peer['package']} {peer['version']}"
        ratio = peer["times_better"]["median"]
        lines.append(f"| {peer['what']} | {peer['ours']:g} | {name} | {ratio:.2g} |")
    lines += ["", "| what | measured | goal |", "|---|---|---|"]
    for line in LINES:
        found = document["benchmarks"][line.benchmark]["figures"][line.figure]["median"]
        lines.append(f"| {line.words} | {found:g} | {line.goal} |")
    return "\n".join(lines) + "\n"


def with_table(readme: str, document: Document) -> str:
    """The README with its table made anew; raises ValueError where its marks are missing."""
    part = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not part.search(readme):
        raise ValueError(f"README.md lacks the lines {BEGIN.strip()} and {END.strip()}")
    return part.sub(lambda _: BEGIN + "\n" + table(document) + "\n" + END, readme)


def main() -> None:
    """Rewrite the table."""
    document = json.loads(FIGURES.read_text("utf-8"))
    README.write_text(with_table(README.read_text("utf-8"), document), "utf-8")
    print("figures: README.md has those of notebooks/benchmarks/benchmarks.json")


if __name__ == "__main__":
    main()
