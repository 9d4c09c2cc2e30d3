"""What many tests share: a small demo catalog, and a real server of it."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from hypothesis import settings as hypothesis_settings

from datacube import Catalog, open_storage
from datacube.demo import DemoSize, build_simulated
from datacube.settings import Settings
from server.cli import _listening
from server.main import make_app
from server.protocol import uvicorn_limits

# Property tests are judged by their law, never by the clock.
hypothesis_settings.register_profile("srcube", deadline=None, print_blob=True)
hypothesis_settings.load_profile("srcube")

# Tests wait for workers, whatever else the machine does.
os.environ.setdefault("SRCUBE_WORKER_NICENESS", "0")

SIZE = DemoSize(shape=(240, 300), dates=2, truth_dates=1)  # six blocks


@pytest.fixture(scope="session")
def demo_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a catalog with the collection `simulated`, 240x300 pixels on two dates."""
    root = tmp_path_factory.mktemp("catalog")
    build_simulated(Catalog(open_storage(root)), "simulated", size=SIZE)
    return root


@pytest.fixture(scope="session")
def live_server(demo_catalog: Path) -> Iterator[str]:
    """Base URL of a server on a port of 127.0.0.1, with the page."""
    with serving(Settings(data=str(demo_catalog), port=0, limit_blocks=16)) as url:
        yield url


class serving:  # noqa: N801 (used as a context manager)
    """Serve settings from a thread of this process until the context ends."""

    def __init__(self, settings: Settings) -> None:
        self._listener = _listening(settings)
        self._port = self._listener.getsockname()[1]
        app = make_app(settings.model_copy(update={"port": self._port}))
        self.app = app
        self._server = uvicorn.Server(
            uvicorn.Config(app, **uvicorn_limits() | {"timeout_graceful_shutdown": 2})
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True
        )

    def __enter__(self) -> str:
        self._thread.start()
        url = f"http://127.0.0.1:{self._port}"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if httpx.get(url + "/livez").status_code == 200:
                    return url
            except httpx.TransportError:
                time.sleep(0.05)
        raise TimeoutError(f"the server at {url} did not answer within 30 s")

    def __exit__(self, *_error: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=15)
        self._listener.close()
