"""All layers around an application, in their order."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from datacube.settings import Settings
from server.keys import Caller, KeyRing
from server.metrics import Metrics
from server.middleware.access import Access
from server.middleware.body import BodyLimit
from server.middleware.context import RequestContext
from server.middleware.forward import Forward
from server.middleware.headers import SecurityHeaders
from server.middleware.hosts import KnownHosts
from server.middleware.load import LoadLimit
from server.middleware.pages import PageLimit
from server.telemetry import Traces, tracer_of

HEALTH = frozenset({"/livez", "/readyz"})
ANYBODY = {"nothing": (), "view": ("view",), "compute": ("view", "compute")}
RATE_BEYOND = 100.0  # requests a second of one client without a key, where others can reach us


@dataclass(frozen=True)
class Layers:
    """What the layers are made with."""

    settings: Settings
    metrics: Metrics
    keys: KeyRing
    page: str
    home: Path | None = None  # the socket of the process with page and jobs, where it is another


def put_around(app: FastAPI, layers: Layers) -> None:
    """Add every layer; the one added last is the outermost."""
    settings = layers.settings
    if layers.home is not None:
        app.add_middleware(Forward, home=layers.home, page=layers.page)
    app.add_middleware(
        Access, keys=layers.keys, anybody=anybody(settings), exempt=HEALTH | {layers.page + "/ws"}
    )
    app.add_middleware(
        PageLimit,
        page=layers.page,
        each=settings.limit_client_pages,
        total=settings.limit_websockets,
    )
    app.add_middleware(BodyLimit, limit_bytes=settings.limit_body_kb * 1024)
    app.add_middleware(
        LoadLimit,
        requests=settings.limit_requests,
        websockets=settings.limit_websockets,
        exempt=HEALTH,
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET"],
            allow_headers=["authorization", "x-api-key"],
            expose_headers=["etag", "x-srcube-complete", "x-request-id"],
        )
    app.add_middleware(KnownHosts, names=host_names(settings))
    app.add_middleware(
        SecurityHeaders, page=layers.page, embed_origins=tuple(settings.embed_origins)
    )
    if tracer := tracer_of(settings):
        app.add_middleware(Traces, tracer=tracer)
    app.add_middleware(RequestContext, metrics=layers.metrics)


def is_local(host: str) -> bool:
    """Whether only this machine can reach an address that is listened on."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_names(settings: Settings) -> frozenset[str]:
    """Names that the server answers to: those of this machine, and those it was given."""
    return frozenset(
        {"localhost", "127.0.0.1", "[::1]", *_named(settings.host), *settings.allowed_hosts}
    )


def anybody(settings: Settings) -> Caller:
    """What one may do without a key: on this machine look and compute, beyond it only look.

    To ingest is allowed on this machine alone, where the operator has said so.
    """
    local = is_local(settings.host)
    allowed = settings.anonymous or ("compute" if local else "view")
    rate = settings.limit_rate if settings.limit_rate is not None else 0 if local else RATE_BEYOND
    scopes = set(ANYBODY[allowed])
    if local and allowed == "compute" and settings.allow_ingest:
        scopes.add("ingest")
    return Caller("anybody", frozenset(scopes), rate or None)


def _named(host: str) -> Iterable[str]:
    """A host as a Host header names it; an address that stands for all of them is no name."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 (recognised, not listened on)
        return ()
    return (f"[{host}]" if ":" in host else host.lower(),)
