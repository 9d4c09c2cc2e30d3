"""Commands that serve: `serve`, and `demo`, which builds something to serve first."""

import json
import webbrowser
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import Annotated

import typer
import uvicorn

from datacube import Catalog, Window, benchmark, open_storage
from datacube.benchmark import Figures
from datacube.commands.cubes import DataOption
from datacube.demo import build_demo
from datacube.errors import InvalidInput
from datacube.settings import Settings
from server.bench_all import ALL, Asked, markdown, run_all
from server.fleet import MakeApp, run_fleet
from server.gdal import pin_gdal, refuse_open_drivers
from server.keys import add_key
from server.local import listening
from server.observability import log_to_stderr
from server.protocol import uvicorn_limits

OPENING, OPENING_PX = "simulated", 240  # what the page shows first, and how much of it

Benchmark = Callable[[Settings], Figures]


def register(app: typer.Typer, make_app: MakeApp) -> None:
    """Add this package's commands; `make_app` joins the page to the server."""

    @app.command()
    def serve(
        data: DataOption = None,
        host: Annotated[str | None, typer.Option(help="Address. [SRCUBE_HOST]")] = None,
        port: Annotated[int | None, typer.Option(help="Port, 0 for any. [SRCUBE_PORT]")] = None,
        workers: Annotated[
            int,
            typer.Option(
                min=1,
                max=64,
                help="Processes that draw tiles; from 2 on, the page and the jobs "
                "have one of their own. (SRCUBE_WORKERS counts those that compute blocks.)",
            ),
        ] = 1,
    ) -> None:
        """Serve a catalog: the page, the map tiles and the API on one port."""
        settings = Settings.from_environment(data=data, host=host, port=port)
        run(make_app, settings, browser=False, tiles=workers)

    @app.command()
    def key(
        name: Annotated[str, typer.Argument(help="Whom the key is for.")],
        file: Annotated[Path, typer.Option(help="File of keys, made if it is not there.")],
        scopes: Annotated[str, typer.Option(help="Of view, compute, ingest.")] = "view,compute",
    ) -> None:
        """Make an API key: it is printed once, the file keeps its hash. See SRCUBE_KEYS_FILE."""
        typer.echo(add_key(file, name, frozenset(scopes.split(","))))

    @app.command()
    def demo(
        data: DataOption = None,
        port: Annotated[int | None, typer.Option(help="Port, 0 for any. [SRCUBE_PORT]")] = None,
        browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    ) -> None:
        """Build the demo catalog if it is not there, and serve it.

        Nothing is downloaded: the collections are simulated, or real samples from installed
        packages. Works offline.
        """
        settings = Settings.from_environment(data=data, port=port)
        typer.echo(f"catalog: {settings.data}")
        pin_gdal()  # before anything is read: GDAL keeps the drivers that it has begun with
        catalog = Catalog(open_storage(settings.data))
        build_demo(catalog, typer.echo)
        prepare_opening(catalog)
        run(make_app, settings, browser=browser)


def prepare_opening(catalog: Catalog) -> None:
    """Super-resolve what the page opens on, so that a newcomer sees it at once."""
    from server.tiles import default_scene_slot  # noqa: PLC0415 - the server, once it is wanted
    from sr_engine.blocks import compute_window  # noqa: PLC0415
    from sr_engine.registry import DEFAULT_MODEL, find_model  # noqa: PLC0415

    cube = catalog.open(OPENING)
    height, width = cube.grid.shape
    top, left = (height - OPENING_PX) // 2, (width - OPENING_PX) // 2
    window = Window(top, left, OPENING_PX, OPENING_PX).within(cube.grid.shape)
    compute_window(cube, find_model(DEFAULT_MODEL), default_scene_slot(cube), window)


def register_bench(app: typer.Typer, benchmarks: dict[str, Benchmark]) -> None:
    """Add `bench`, which runs one of `benchmarks` by name."""

    @app.command()
    def bench(  # noqa: PLR0913 - options
        name: Annotated[
            str, typer.Argument(help=f"One of: {', '.join(benchmarks)}; or all, one after another.")
        ],
        *,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
        data: Annotated[
            Path | None, typer.Option(help="Folder of real data sets. [SRCUBE_BENCH_DATA]")
        ] = None,
        minutes: Annotated[
            float | None, typer.Option(help="Of the soak in `load`. [SRCUBE_BENCH_MINUTES]")
        ] = None,
        only: Annotated[
            str | None, typer.Option(help="With `all`: only these, names with commas between.")
        ] = None,
        repeat: Annotated[int, typer.Option(help="With `all`: most runs of each.")] = 1,
        out: Annotated[
            Path, typer.Option(help="With `all`: folder for benchmarks.md and benchmarks.json.")
        ] = Path("build/benchmarks"),
    ) -> None:
        """Measure, on this machine: CPU time as medians of repeated runs, gains in dB.

        Figures that need real data which is not there are left out.
        """
        settings = Settings.from_environment(bench_data=data, bench_minutes=minutes)
        if name == ALL:
            document = run_all(benchmarks, settings, Asked.of(only, repeat, out), _say_aside)
            typer.echo(json.dumps(document, indent=2) if as_json else markdown(document))
            return
        if name not in benchmarks:
            raise InvalidInput(f"no benchmark {name!r}; there are all, {', '.join(benchmarks)}")
        if only is not None or repeat != 1:
            raise InvalidInput("--only and --repeat go with `srcube bench all`; leave them out")
        figures = benchmarks[name](settings)
        if as_json:
            typer.echo(benchmark.as_json(figures))
            return
        for figure, value in benchmark.report(figures)["figures"].items():
            typer.echo(f"{figure:40} {value:g}")


def _say_aside(line: str) -> None:
    typer.echo(line, err=True)


def run(make_app: MakeApp, settings: Settings, *, browser: bool, tiles: int = 1) -> None:
    """Serve until interrupted, from so many tile processes; raises Unavailable."""
    with listening(settings) as listener:
        host, port = listener.getsockname()[:2]
        settings = settings.model_copy(update={"port": port})
        address = f"http://{host}:{port}/"
        typer.echo(f"srcube is at {address} (stop with Ctrl+C)")
        if browser:
            Timer(1.0, webbrowser.open, [address]).start()
        log_to_stderr(settings.log_level)
        if tiles > 1:
            run_fleet(make_app, settings, listener, tiles)
            return
        pin_gdal()
        refuse_open_drivers()
        config = uvicorn.Config(make_app(settings), **uvicorn_limits())
        uvicorn.Server(config).run(sockets=[listener])
