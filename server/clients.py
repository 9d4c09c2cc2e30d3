"""Who asks: what limits for one client are counted by."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from fastapi import Request


def client_of(request: Request) -> str:
    """The name of the client's key, else its address (behind a proxy, the one it forwards)."""
    named: str | None = getattr(request.state, "caller", None)
    return named or (request.client.host if request.client else "unknown")


def gone(request: Request) -> Callable[[], Coroutine[Any, Any, None]]:
    """A call that returns when the client has hung up; for requests whose body nobody reads now."""
    return partial(_until_gone, request)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
