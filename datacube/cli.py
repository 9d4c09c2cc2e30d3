"""Commands about cubes."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from datacube.catalog import Catalog
from datacube.conventions import level_name
from datacube.cube import Cube
from datacube.settings import Settings
from datacube.storage import open_storage

DataOption = Annotated[
    str | None,
    typer.Option("--data", help="Root of the catalog: a folder or s3:// address. [SRCUBE_DATA]"),
]


def register(app: typer.Typer) -> None:
    """Add this package's commands."""
    app.command()(info)


def info(
    cube_id: Annotated[
        str, typer.Argument(metavar="ID", help="The cube's id, as `demo` names it.")
    ],
    data: DataOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show what a cube holds: grid, dates, bands, levels and models already run."""
    settings = Settings.from_environment(data=data)
    facts = describe(Catalog(open_storage(settings.data)).open(cube_id))
    if as_json:
        typer.echo(json.dumps({"id": cube_id, **facts}, indent=2))
        return
    table = Table(title=f"{cube_id}: {facts['title']}", show_header=False)
    for key, value in facts.items():
        if key not in {"title", "scenes"}:
            table.add_row(key, _text(value))
    for scene in facts["scenes"]:
        cloud = scene["cloud_cover"]
        table.add_row(
            scene["datetime"], scene["id"] + ("" if cloud is None else f", cloud {cloud} %")
        )
    Console().print(table)


def describe(cube: Cube) -> dict[str, Any]:
    """The facts of a cube as JSON holds them."""
    return {
        "title": cube.attributes["title"],
        "notice": cube.attributes["notice"],
        "crs": cube.grid.crs,
        "transform": list(cube.grid.transform)[:6],
        "shape": list(cube.grid.shape),
        "bands": [band.name for band in cube.bands],
        "levels": [level_name(grid.gsd_m) for grid in cube.levels],
        "scene_classification": cube.has_scl,
        "generation": cube.generation,
        "products": list(cube.root.commit.products),
        "scenes": [
            {
                "id": one.scene.scene_id,
                "datetime": one.scene.stamp,
                "cloud_cover": one.scene.cloud_cover,
            }
            for one in cube.scenes
        ],
    }


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    return "" if value is None else str(value)
