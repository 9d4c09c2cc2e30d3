"""The servers that `srcube bench tiles` sets side by side, each run in a process of its own.

`python -m server.tiles_peers KIND FOLDER` serves one of them on a free port of this machine and
prints the port. The peers are as their makers ship them: routes, defaults, image driver.
"""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import uvicorn
from fastapi import FastAPI

from datacube.settings import Settings

COG = "scene.tif"
KINDS = ("ours", "xarray", "cog")


def ours(folder: Path) -> FastAPI:
    """Our own application, without the page."""
    from server.app import create_app  # noqa: PLC0415

    cv2.setNumThreads(1)
    return create_app(Settings(data=str(folder)))


def stock_xarray(_folder: Path) -> FastAPI:
    """The tile routes of titiler.xarray."""
    from titiler.xarray.factory import TilerFactory  # noqa: PLC0415

    return _with_routes(TilerFactory())


def stock_cog(_folder: Path) -> FastAPI:
    """The tile routes of titiler.core, which read GeoTIFFs."""
    from titiler.core.factory import TilerFactory  # noqa: PLC0415

    return _with_routes(TilerFactory())


def _with_routes(factory: Any) -> FastAPI:
    app = FastAPI()
    app.include_router(factory.router)
    return app


APPS: dict[str, Callable[[Path], FastAPI]] = {
    "ours": ours,
    "xarray": stock_xarray,
    "cog": stock_cog,
}


def main(kind: str, folder: Path) -> None:
    """Serve until the process is ended."""
    app = APPS[kind](folder)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, log_level="error", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    os.environ.setdefault("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")  # as titiler advises
    main(sys.argv[1], Path(sys.argv[2]))
