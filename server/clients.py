"""Who asks: what limits for one client are counted by."""

from fastapi import Request


def client_of(request: Request) -> str:
    """The name of the client's key, else its address (behind a proxy, the one it forwards)."""
    named: str | None = getattr(request.state, "caller", None)
    return named or (request.client.host if request.client else "unknown")
