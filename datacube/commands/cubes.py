"""Commands about cubes.

Each command's function is a thin shell: it parses options, calls one function of the package
that does the work, and prints.
"""

import json
from collections import Counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from datacube.catalog import Catalog
from datacube.commands import exchange
from datacube.commands.ingest import ingest
from datacube.commands.options import DataOption, JsonOption
from datacube.cube import Cube
from datacube.settings import Settings
from datacube.store.conventions import level_name
from datacube.store.storage import open_storage

__all__ = ["DataOption", "describe", "register"]


def register(app: typer.Typer) -> None:
    """Add this package's commands."""
    for command in (ingest, info):
        app.command()(command)
    exchange.register(app)


def info(
    cube_id: Annotated[str, typer.Argument(metavar="CUBE", help="The cube's id.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a cube holds: grid, dates, bands, levels, models already run, size on disk."""
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
    products = list(cube.root.commit.products)
    return {
        "title": cube.attributes["title"],
        "notice": cube.attributes["notice"],
        "level": cube.attributes.get("processing:level"),
        "georeference": cube.attributes.get("georeference"),
        "crs": cube.grid.crs,
        "transform": list(cube.grid.transform)[:6],
        "shape": list(cube.grid.shape),
        "bands": [band.name for band in cube.bands],
        "levels": [level_name(grid.gsd_m) for grid in cube.levels],
        "chunks": _chunk_shapes(cube),
        "scene_classification": cube.has_scl,
        "generation": cube.generation,
        "products": products,
        "models": [path.removeprefix("sr/") for path in products if path.startswith("sr/")],
        "bytes": _stored_bytes(cube),
        "scenes": [
            {
                "id": one.scene.scene_id,
                "datetime": one.scene.stamp,
                "cloud_cover": one.scene.cloud_cover,
                "shift_px": one.scene.properties.get("srcube:shift_px"),
            }
            for one in cube.scenes
        ],
    }


def _chunk_shapes(cube: Cube) -> dict[str, list[int]]:
    """Shape of a chunk of every array over pixels, by its path."""
    return {
        path: document["chunk_grid"]["configuration"]["chunk_shape"]
        for path, document in cube.root.nodes.items()
        if document["node_type"] == "array"
        and document["dimension_names"][-1:] == ["x"]
        and len(document["dimension_names"]) > 1
    }


def _stored_bytes(cube: Cube) -> dict[str, int]:
    """Size on disk of each top-level group, and of everything."""
    sizes: Counter[str] = Counter()
    for entry in cube.storage.entries():
        group = entry.key.split("/")[0] if "/" in entry.key else "root"
        sizes[group] += entry.size
    return {**dict(sorted(sizes.items())), "total": sizes.total()}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_text(item)}" for key, item in value.items()) or "none"
    return "" if value is None else str(value)
