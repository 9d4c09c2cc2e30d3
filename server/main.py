"""The root of the command line, and the one place where the page meets the server.

What is heavy to import (torch, Panel) is imported by the command that needs it.
"""

import sys
from pathlib import Path

import typer
from fastapi import FastAPI

import datacube.commands.cubes
import datacube.commands.store
import server.cli
import sr_engine.cli
from datacube.benchmark import Figures
from datacube.errors import InvalidInput, SrcubeError
from datacube.settings import Settings
from server.local import LocalServer

app = typer.Typer(
    name="srcube",
    help="Trustworthy super-resolution of Sentinel-2: cubes, a tile server, and a map that "
    "swipes 10 m pixels against super-resolved ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def make_app(settings: Settings, home: Path | None = None) -> FastAPI:
    """The server's application with the page mounted on it.

    Where another process has the page, `home` is its socket, and nothing is mounted here.
    """
    from fastapi.routing import APIRoute  # noqa: PLC0415

    from server.app import create_app  # noqa: PLC0415

    if home is not None:
        return create_app(settings, home)
    from server.ogc.landing import EXPLORER_PATH  # noqa: PLC0415
    from webapp.page import mount_explorer  # noqa: PLC0415

    application = create_app(settings)
    mount_explorer(application, api_url="/", path=EXPLORER_PATH)
    for route in application.routes:  # the page is no part of the interface that is described
        if isinstance(route, APIRoute) and route.path == EXPLORER_PATH:
            route.include_in_schema = False
    return application


def serve_here(data: str) -> LocalServer:
    """Serve a catalog with its page from this process, on a free port of 127.0.0.1.

    For notebooks and scripts; `data` is a folder or an address such as s3://bucket/prefix.
    """
    return LocalServer(Settings(data=str(data), port=0), make_app)


def _demo_figures(settings: Settings) -> Figures:
    from server.demo_bench import demo_figures  # noqa: PLC0415

    return demo_figures(settings.bench_data)


def _ingest_figures(settings: Settings) -> Figures:
    from datacube.ingest.bench import ingest_figures  # noqa: PLC0415

    return ingest_figures(settings.bench_data)


def _fusion_figures(settings: Settings) -> Figures:
    from sr_engine.fusion.bench import fusion_figures  # noqa: PLC0415

    return fusion_figures(settings.bench_data)


def _sr_figures(settings: Settings) -> Figures:
    from sr_engine.default.bench import sr_figures  # noqa: PLC0415

    return sr_figures(settings.bench_data)


def _trust_figures(settings: Settings) -> Figures:
    from sr_engine.explain.bench import explain_figures  # noqa: PLC0415
    from sr_engine.trust.protocol import trust_figures  # noqa: PLC0415

    return trust_figures(settings.bench_data) | explain_figures()


def _load_figures(settings: Settings) -> Figures:
    from server.load.bench import load_figures  # noqa: PLC0415

    return load_figures(settings)


def _usecases_figures(_settings: Settings) -> Figures:
    from sr_engine.usecases.report import usecases_figures  # noqa: PLC0415

    return usecases_figures()


def _tiles_figures(settings: Settings) -> Figures:
    from server.tiles_bench import tiles_figures  # noqa: PLC0415

    return tiles_figures(settings.bench_data)


datacube.commands.cubes.register(app)
datacube.commands.store.register(app)
server.cli.register(app, make_app)
sr_engine.cli.register(app)
server.cli.register_bench(
    app,
    {
        "demo": _demo_figures,
        "fusion": _fusion_figures,
        "ingest": _ingest_figures,
        "load": _load_figures,
        "sr": _sr_figures,
        "tiles": _tiles_figures,
        "trust": _trust_figures,
        "usecases": _usecases_figures,
    },
)


def main() -> None:
    """Run a command: exit 0 if it worked, 1 with one line if it failed, 2 if it was misused."""
    try:
        app()
    except InvalidInput as error:
        _end(error, 2)
    except SrcubeError as error:
        _end(error, 1)


def _end(error: SrcubeError, status: int) -> None:
    typer.echo(f"srcube: {error}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
