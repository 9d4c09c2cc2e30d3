"""The application: `create_app(settings)` puts catalog, jobs and routes together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import cv2
from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI

from datacube import Catalog, open_storage
from datacube.settings import Settings
from datacube.store.reading import ChunkCache
from server import (
    collections,
    difference_export,
    difference_routes,
    downloads,
    explain,
    health,
    job_list,
    processes,
    statistics,
    stories,
    trust_view,
    zonal,
)
from server.admission import RenderLimits, RenderQueue
from server.gdal import pin_gdal
from server.health import watch_services
from server.jobs.service import JobService
from server.jobs.task_runner import TaskService
from server.keys import KeyRing
from server.metrics import Metrics
from server.middleware.stack import Layers, put_around
from server.ogc.landing import EXPLORER_PATH
from server.ogc.routes import PROBLEMS, standard_routes
from server.overlays import load_overlays
from server.overlays import router as overlay_routes
from server.parameters import refuse_unknown_parameters
from server.places import load_places
from server.places import router as place_routes
from server.problems import install_handlers
from server.services import Services
from server.task_processes import router as task_routes
from server.tiles import CubeTilerFactory

MEGABYTE = 1_000_000
LEAST_THREADS = 8  # for documents, beside those that draw


def create_app(settings: Settings, home: Path | None = None) -> FastAPI:
    """Make the ASGI application; nothing is opened or started before its lifespan begins.

    One of several tile processes passes on what is for the page and the jobs to `home`, the
    socket of the process that has them, and runs no jobs itself.
    """
    catalog = Catalog(open_storage(settings.data), ChunkCache(settings.cache_mb * MEGABYTE))
    renders = RenderQueue(
        RenderLimits(settings.limit_renders, settings.limit_waiting, settings.limit_render_s)
    )
    metrics, keys = Metrics(member=home is not None), KeyRing.load(settings.keys_file)
    services = Services(settings, catalog, JobService(settings), renders, metrics)
    watch_services(services)
    pin_gdal()
    drawn_over, tasks = load_overlays(settings.registry), TaskService(settings)
    places = load_places(drawn_over.registry)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        cv2.setNumThreads(1)  # tiles are drawn side by side, not each on every core
        limiter = to_thread.current_default_thread_limiter()
        # Drawings have threads of their own, two for a core; documents may take twice as many,
        # since they wait for the store more than they compute.
        limiter.total_tokens = max(2 * settings.limit_renders, LEAST_THREADS)
        if home is None:
            services.jobs.start()
            tasks.start()
        yield
        tasks.stop()
        services.jobs.stop()
        renders.close()
        drawn_over.close()
        places.close()

    app = FastAPI(
        title="srcube", version="0.1.0", lifespan=lifespan, responses=PROBLEMS,
        docs_url=None, redoc_url=None,  # their pages load scripts from elsewhere
    )  # fmt: skip
    app.state.services, app.state.overlays, app.state.tasks = services, drawn_over, tasks
    app.state.places = places
    app.state.explainer = explain.Explainer(settings.limit_explanations)
    install_handlers(app)
    put_around(app, Layers(settings, metrics, keys, EXPLORER_PATH, home))
    app.include_router(_routes())
    return app


def _routes() -> APIRouter:
    """Every route; of two whose paths fit one address the first answers."""
    ours = APIRouter(dependencies=[Depends(refuse_unknown_parameters)])
    ours.include_router(standard_routes())
    ours.include_router(collections.router, tags=["collections"])
    ours.include_router(difference_routes.router, tags=["tiles"])  # its paths fit the next, too
    ours.include_router(CubeTilerFactory().router, tags=["tiles"])
    ours.include_router(statistics.router, tags=["statistics"])
    ours.include_router(zonal.router, tags=["statistics"])
    ours.include_router(overlay_routes)
    ours.include_router(place_routes)
    ours.include_router(difference_export.router, tags=["downloads"])  # its path fits the next, too
    ours.include_router(downloads.router, tags=["downloads"])
    ours.include_router(trust_view.router, tags=["trust"])
    ours.include_router(stories.router, tags=["collections"])
    ours.include_router(explain.router, tags=["processes"])  # its path is one of the next, too
    ours.include_router(task_routes)  # its paths too
    ours.include_router(processes.router, tags=["processes"])
    ours.include_router(job_list.router)
    ours.include_router(health.router)
    return ours
