"""All use cases in one go: the page of their tables, and their figures for `srcube bench`."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from datacube.demo import SEED
from datacube.simulation import Pass, fell, plan_season
from sr_engine.usecases import change, fields, settlements, shoreline
from sr_engine.usecases.prose import CLOSING, OPENING, PROSE, TITLE
from sr_engine.usecases.rivals import TRUTH, all_rivals
from sr_engine.usecases.site import acquire_site, demo_ground
from sr_engine.usecases.table import Cell, Table, write_page

Report = Callable[[str], None]
Tables = tuple[Table, ...]
Passes = Sequence[Pass] | None  # by default those of the demo

SEEDS = (SEED, 8, 9)  # of seasons: the demo's own, and two more

COMPARED = ("nearest", "bicubic-x4", "wiener-x4", "default-x4", "fusion-x4", TRUTH)
KEY = {  # table -> the column that sums it up, and what a figure of it is called
    "Field boundaries, within 5 m": ("F1", "boundary_f1"),
    "Fields as areas, by size (how many)": ("IoU", "field_iou"),
    "NDVI within fields, against the truth": ("correlation", "field_ndvi_r"),
    "Water: agreement, by size": ("F1", "water_f1"),
    "Roofs: agreement, by size": ("F1", "roof_f1"),
    "Roads: agreement, by size": ("F1", "road_f1"),
    "Felled woods: agreement, by size": ("F1", "felled_f1"),
}


def run_cases(passes: Passes = None) -> dict[str, Tables]:
    """The tables of every use case by its name; some two core-minutes."""
    return {
        "fields": fields_tables(passes),
        "shoreline": shoreline_tables(passes),
        "settlements": settlements_tables(passes),
        "change": change_tables(passes),
    }


def fields_tables(passes: Passes = None) -> Tables:
    """Field boundaries and what lies within."""
    site = acquire_site(fields.WINDOW, passes=passes)
    return fields.field_case(site, all_rivals(site)).tables


def shoreline_tables(passes: Passes = None) -> Tables:
    """Water by its width."""
    site = acquire_site(shoreline.WINDOW, passes=passes)
    return shoreline.water_case(site, all_rivals(site)).tables()


def settlements_tables(passes: Passes = None) -> Tables:
    """Roofs and roads."""
    site = acquire_site(settlements.WINDOW, passes=passes)
    made = all_rivals(site)
    roofs, roads = settlements.roof_case(site, made), settlements.road_case(site, made)
    return (*roofs.tables(), *roads.tables())


def change_tables(passes: Passes = None) -> Tables:
    """Felled woods by the size of the gap."""
    storm = fell(demo_ground(), change.WINDOW)
    event = (change.AFTER, storm.ground)
    before, after = (
        acquire_site(change.WINDOW, shown, event=event, passes=passes)
        for shown in (change.BEFORE, change.AFTER)
    )
    pairs = (before, all_rivals(before)), (after, all_rivals(after))
    return change.storm_case(*pairs, storm.felled).tables()


def figures_of(cases: Mapping[str, Tables]) -> dict[str, float]:
    """One figure for each key table and each way of enlarging: `water_f1_default_x4`."""
    found = {}
    for table in (table for tables in cases.values() for table in tables):
        if table.title in KEY:
            column, name = KEY[table.title]
            for rival in COMPARED:
                value = table.row(rival)[column]
                if isinstance(value, float):
                    found[f"{name}_{_word(rival)}"] = value
    return found


def usecases_figures() -> dict[str, float]:
    """Figures of `srcube bench usecases`, and how far chance moves each.

    The ground is seen again in seasons of other noise, jitter and clouds: a `_spread` is the
    largest minus the smallest of them all. Some five core-minutes.
    """
    found, *others = [figures_of(run_cases(plan_season(seed))) for seed in SEEDS]
    spreads = {
        name: float(np.ptp([value, *(one[name] for one in others)]))
        for name, value in found.items()
    }
    told = {f"{name}_spread": value for name, value in spreads.items()}
    return found | told | {"largest_spread": max(spreads.values())}


def write_report(path: Path, report: Report) -> None:
    """Run everything, again with optics that the models do not assume, and write the page.

    The tables come beside it as JSON, which is what the server's page is made of.
    """
    cases = {}
    for name, run in (
        ("fields", fields_tables),
        ("shoreline", shoreline_tables),
        ("settlements", settlements_tables),
        ("change", change_tables),
    ):
        report(f"{name} ...")
        cases[name] = run()
    report("all of it with other optics ...")
    other = figures_of(run_cases(plan_season(SEED, psf="optics")))
    cases = {"summary": (summary(figures_of(cases), other),), **cases}
    write_page(path, TITLE, parts_of(cases))
    told = {name: [asdict(table) for table in tables] for name, tables in cases.items()}
    path.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    report(f"{path} and {path.with_suffix('.json').name}")


def parts_of(cases: Mapping[str, Tables]) -> list[str | Table]:
    """The page's paragraphs and tables in order."""
    parts: list[str | Table] = [OPENING, *cases["summary"]]
    for name, text in PROSE.items():
        parts += [text, *cases[name]]
    return [*parts, CLOSING]


def summary(found: Mapping[str, float], other: Mapping[str, float]) -> Table:
    """One row for each task: every way of enlarging, and in brackets with the other optics."""
    rows = []
    for title, (column, name) in KEY.items():
        cells: list[Cell] = []
        for rival in COMPARED:
            key = f"{name}_{_word(rival)}"
            cells.append(f"{found[key]:.2f} ({other[key]:.2f})")
        rows.append((f"{title.partition(',')[0]}: {column}", cells))
    return Table.of("In one table (in brackets: ground seen through other optics)", COMPARED, rows)


def _word(rival: str) -> str:
    return "truth" if rival == TRUTH else rival.replace("-", "_")
