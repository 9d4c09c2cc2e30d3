"""The application: `create_app(settings)` puts catalog, jobs and routes together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import cv2
from fastapi import FastAPI

from datacube import Catalog, open_storage
from datacube.settings import Settings
from datacube.store.reading import ChunkCache
from server import collections, explain, processes
from server.jobs import JobService
from server.ogc.routes import PROBLEMS, standard_routes
from server.problems import install_handlers
from server.services import Services
from server.tiles import CubeTilerFactory

MEGABYTE = 1_000_000


def create_app(settings: Settings) -> FastAPI:
    """Make the ASGI application; nothing is opened or started before its lifespan begins."""
    catalog = Catalog(open_storage(settings.data), ChunkCache(settings.cache_mb * MEGABYTE))
    services = Services(settings, catalog, JobService(settings))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        cv2.setNumThreads(1)  # tiles are drawn side by side, not each on every core
        services.jobs.start()
        yield
        services.jobs.stop()

    app = FastAPI(title="srcube", version="0.1.0", lifespan=lifespan, responses=PROBLEMS)
    app.state.services = services
    app.state.explainer = explain.Explainer()
    install_handlers(app)
    app.include_router(standard_routes())
    app.include_router(collections.router, tags=["collections"])
    app.include_router(CubeTilerFactory().router, tags=["tiles"])
    app.include_router(explain.router, tags=["processes"])  # its path is one of the next, too
    app.include_router(processes.router, tags=["processes"])
    app.get("/livez", tags=["health"])(live)
    return app


async def live() -> dict[str, Any]:
    """Whether the process answers."""
    return {"status": "ok"}
