"""A server in this process: for notebooks, scripts and tests, which start it and stop it."""

import socket
import threading
import time
from collections.abc import Callable
from typing import Self

import uvicorn
from fastapi import FastAPI

from datacube.errors import Unavailable
from datacube.settings import Settings
from server.protocol import uvicorn_limits

START_S = 30.0
STOP_S = 15.0


class LocalServer:
    """Serves an application from a thread; `url` is where, until `stop` or the context's end.

    Raises Unavailable where the port is taken or the application does not start.
    """

    def __init__(self, settings: Settings, make_app: Callable[[Settings], FastAPI]) -> None:
        self._listener = listening(settings)
        port = self._listener.getsockname()[1]
        self.url = f"http://{settings.host}:{port}"
        self.app = make_app(settings.model_copy(update={"port": port}))
        limits = uvicorn_limits() | {"timeout_graceful_shutdown": 2}
        self._server = uvicorn.Server(uvicorn.Config(self.app, **limits))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True
        )
        self._thread.start()
        self._wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server and free its port; stopping again changes nothing."""
        self._server.should_exit = True
        self._thread.join(timeout=STOP_S)
        self._listener.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise Unavailable(
                    f"the server at {self.url} did not start; `srcube serve` with the same "
                    "catalog says why"
                )
            time.sleep(0.02)


def listening(settings: Settings) -> socket.socket:
    """A socket bound before anything is said, so that what is printed is true.

    Raises Unavailable where the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
            "choose another with --port"
        ) from error
    listener.listen(128)
    return listener
