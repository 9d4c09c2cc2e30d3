"""HTTP as uvicorn's fast parser reads it, with the limits on heads and on patience it lacks.

A client that sends its head a byte at a time, or without end, or stops in the middle of a body,
holds a connection and nothing else, and not for long.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.errors import log
from server.problems import problem

# Request line and headers. Twice the 16 KiB that browsers need at most: proxies that sign people in
# put tokens of many kilobytes into headers. Queries have a limit of their own, of 8 KiB.
LONGEST_HEAD = 32 * 1024
FIRST_BYTE_S = 30.0  # of a new connection
HEAD_S = 5.0  # from the first to the last byte of a head
BODY_IDLE_S = 60.0  # between two pieces of a body
WRITE_IDLE_S = 60.0  # in which something of a waiting answer has to be taken


class _HeadTooLong(ValueError):
    """Raised within the parser, which gives up then."""


class GuardedHttp(HttpToolsProtocol):
    """One connection."""

    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    _head_bytes = 0  # as they came
    _header_bytes = 0  # of the headers that were parsed
    _too_long = False
    _writing: asyncio.TimerHandle | None = None
    _unsent = 0  # bytes of the answer, when it was last looked at

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a first byte in a while: browsers connect before they know what to ask."""
        super().connection_made(transport)
        self._expect(FIRST_BYTE_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._expect(None)
        self._watch_writing(on=False)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head, and give up on one that goes on and on."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > LONGEST_HEAD and not self.transport.is_closing():
            self._too_long = True
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes, self._header_bytes = True, 0, 0
        self._expect(HEAD_S)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header; the parser makes a 400 of what is raised here."""
        super().on_header(name, value)
        self._header_bytes += len(name) + len(value) + 4  # with its colon, blank and line end
        if len(self.url) + self._header_bytes > LONGEST_HEAD:
            self._too_long = True
            raise _HeadTooLong

    def on_headers_complete(self) -> None:
        """The head is there; a body may follow."""
        if len(self.url) > LONGEST_HEAD:
            self._too_long = True
            raise _HeadTooLong
        self._in_head = False
        self._expect(BODY_IDLE_S)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Another piece of a body has come."""
        self._expect(BODY_IDLE_S)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there; how long its answer takes is not the client's doing."""
        self._expect(None)
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From here on another protocol has the connection."""
        self._expect(None)
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """More of an answer waits than is kept for a client: see that it is taken."""
        super().pause_writing()
        self._watch_writing(on=True)

    def resume_writing(self) -> None:
        """It was taken."""
        self._watch_writing(on=False)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read, and hang up."""
        if self.transport.is_closing():
            return
        if self._too_long:
            detail = f"need a request line and headers of at most {LONGEST_HEAD} bytes together"
            answer = problem(431, "HeadTooLarge", detail)
        else:
            answer = problem(400, "Malformed", msg or "this is not HTTP")
        head = {key.decode(): value.decode() for key, value in answer.raw_headers}
        lines = [f"HTTP/1.1 {answer.status_code} Refused", "connection: close"]
        lines += [f"{key}: {value}" for key, value in head.items()]
        self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + bytes(answer.body))
        self.transport.close()

    def _expect(self, within_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if within_s is None else self.loop.call_later(within_s, self._give_up)

    def _watch_writing(self, *, on: bool) -> None:
        if self._writing is not None:
            self._writing.cancel()
        self._unsent = self.transport.get_write_buffer_size() if on else 0
        self._writing = self.loop.call_later(WRITE_IDLE_S, self._look) if on else None

    def _look(self) -> None:
        """A reader may be slow, as long as it reads: some 20 kB a second, by what systems keep."""
        if self.transport.get_write_buffer_size() < self._unsent:
            self._watch_writing(on=True)
        else:
            self._give_up()

    def _give_up(self) -> None:
        log.info("a client was too slow", extra={"facts": {"client": str(self.client)}})
        self.transport.abort()


def uvicorn_limits() -> dict[str, Any]:
    """What `uvicorn.Config` is to be made with beside the application."""
    return {
        "http": GuardedHttp,
        # Connections, idle ones included, beyond which uvicorn says a bare 503. Requests at once
        # are limited to a quarter of that (SRCUBE_LIMIT_REQUESTS), with a reason and Retry-After.
        "limit_concurrency": 2048,
        "timeout_keep_alive": 5,
        "ws_max_size": 1024 * 1024,
        "ws_max_queue": 32,
        "timeout_graceful_shutdown": 20,
        "server_header": False,
        "access_log": False,
        "log_config": None,
    }
