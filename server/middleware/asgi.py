"""What the layers share: refusing a request, and headers of an answer."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.problems import problem

__all__ = ["ASGIApp", "Message", "Receive", "Scope", "Send", "header", "refuse", "with_headers"]

_POLICY_VIOLATION = 1008


def header(scope: Scope, name: bytes) -> str:
    """The first header of that name, as text; empty where there is none."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return ""


def with_headers(message: Message, headers: Mapping[bytes, bytes]) -> Message:
    """The start of an answer with headers that it does not have yet; the message stays as it is.

    An answer may be sent to several clients, so that its own list must not grow.
    """
    there = {key.lower() for key, _ in message["headers"]}
    added = [(key, value) for key, value in headers.items() if key not in there]
    return {**message, "headers": [*message["headers"], *added]}


async def refuse(
    scope: Scope, receive: Receive, send: Send, said: tuple[int, str, str],
    headers: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Answer with a problem document: status, code and detail; a websocket is not opened."""
    extensions = scope.get("extensions") or {}
    if scope["type"] == "websocket" and "websocket.http.response" not in extensions:
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return
    response = problem(*said)
    response.headers.update(headers or {})
    if scope["type"] == "http" and scope.get("http_version") == "1.1":
        response.headers["connection"] = "close"  # whatever of a body is still to come: no thanks
    await response(scope, receive, send)
