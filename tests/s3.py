"""A real S3 server on this machine, and a proxy before it that misbehaves as told."""

import asyncio
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import httpx
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

REGION = "us-east-1"


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 (werkzeug's name)
        """Say nothing."""


@contextmanager
def s3_server() -> Iterator[int]:
    """Port of an S3 server of one thread: moto's threaded server loses conditional writes."""
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=False, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def environment(port: int) -> Iterator[None]:
    """The variables by which a store finds the server; other processes inherit them."""
    given = {
        "AWS_ENDPOINT": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def new_bucket(port: int) -> str:
    """Address of an empty bucket."""
    name = f"cubes-{uuid.uuid4().hex[:12]}"
    httpx.put(f"http://127.0.0.1:{port}/{name}").raise_for_status()
    return f"s3://{name}"


class FaultyProxy:
    """Passes HTTP on to a port, one request per connection, unless told to fail.

    `fault`: None, `refused`, `reset`, `stalled`, `truncated` (half of the body), `error` (500),
    `denied` (403) or `lost` (the request is passed on, its answer never comes back). `only`
    limits the fault to requests whose first line contains it, `times` to so many of them after the
    first `skip`.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.fault: str | None = None
        self.only = ""
        self.skip = 0
        self.times = 10**9
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(0), self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def failing(
        self, fault: str, *, only: str = "", skip: int = 0, times: int = 10**9
    ) -> Iterator[None]:
        """Fail for as long as the context lasts."""
        self.fault, self.only, self.skip, self.times = fault, only, skip, times
        if fault == "refused":
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        try:
            yield
        finally:
            self.fault = None
            if fault == "refused":
                listening = asyncio.run_coroutine_threadsafe(self._listen(self.port), self._loop)
                self._server = listening.result()

    async def _listen(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", port)

    async def _close(self) -> None:
        self._server.close()

    async def _stop(self) -> None:
        self._server.close()
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(_length(head))
            fault = self._struck(head.split(b"\r\n")[0].decode())
            await self._answer(fault, head + body, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has given up
        finally:
            writer.transport.abort() if fault else writer.close()

    def _struck(self, line: str) -> str | None:
        if self.fault is None or self.only not in line:
            return None
        if self.skip:
            self.skip -= 1
            return None
        if not self.times:
            return None
        self.times -= 1
        return self.fault

    async def _answer(
        self, fault: str | None, request: bytes, writer: asyncio.StreamWriter
    ) -> None:
        if fault == "stalled":
            await asyncio.sleep(3600)
        if fault in {"error", "denied"}:
            status = b"500 Internal Server Error" if fault == "error" else b"403 Forbidden"
            writer.write(
                b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            await writer.drain()
            return
        answer = b"" if fault == "reset" else await self._ask(request)
        if fault in {"reset", "lost"}:
            writer.transport.abort()
            return
        if fault == "truncated":
            answer = answer[: max(answer.index(b"\r\n\r\n") + 4, (3 * len(answer)) // 4)]
        writer.write(answer)
        await writer.drain()

    async def _ask(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
        head, _, body = request.partition(b"\r\n\r\n")
        writer.write(head + b"\r\nConnection: close\r\n\r\n" + body)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return head + b"\r\nConnection: close\r\n\r\n" + body


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
