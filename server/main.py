"""The root of the command line, and the one place where the page meets the server."""

import sys

import typer
from fastapi import FastAPI

import datacube.cli
import server.cli
from datacube.errors import InvalidInput, SrcubeError
from datacube.settings import Settings
from server.app import EXPLORER_PATH, create_app
from server.demo_bench import demo_figures

app = typer.Typer(
    name="srcube",
    help="Trustworthy super-resolution of Sentinel-2: cubes, a tile server, and a map that "
    "swipes 10 m pixels against super-resolved ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def make_app(settings: Settings) -> FastAPI:
    """The server's application with the page mounted on it."""
    from webapp.page import mount_explorer  # noqa: PLC0415 (Panel takes a second to import)

    application = create_app(settings)
    hosts = {settings.host, "localhost", "127.0.0.1"}
    mount_explorer(
        application,
        api_url="/",
        path=EXPLORER_PATH,
        websocket_origins=[f"{host}:{settings.port}" for host in sorted(hosts)],
    )
    return application


datacube.cli.register(app)
server.cli.register(app, make_app)
server.cli.register_bench(app, {"demo": demo_figures})


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
