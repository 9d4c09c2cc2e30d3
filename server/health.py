"""Whether the server lives, whether it is ready, and its numbers."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from datacube.errors import SrcubeError
from server.metrics import MEDIA_TYPE
from server.services import Services, services_of

router = APIRouter(tags=["health"])
Services_ = Annotated[Services, Depends(services_of)]
READY_WITHIN_S = 3.0


@router.get("/livez")
async def live() -> dict[str, Any]:
    """Whether the process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "not ready; `checks` says why"}})
async def ready(services: Services_) -> Response:
    """Whether the catalog can be read, jobs can be taken, and blocks be computed."""
    checks = {
        "catalog": await _catalog_answers(services),
        "jobs": services.jobs.ready,
        "workers": not services.jobs.trouble,
    }
    ok = all(checks.values())
    headers = {"cache-control": "no-store"} | ({} if ok else {"retry-after": "5"})
    document = {"status": "ok" if ok else "unavailable", "checks": checks}
    return JSONResponse(document, 200 if ok else 503, headers)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(services: Services_) -> Response:
    """Numbers in the format that Prometheus reads."""
    return Response(services.metrics.text(), media_type=MEDIA_TYPE)


def watch_services(services: Services) -> None:
    """Let the numbers show what the services keep count of."""
    cache, renders, jobs = services.catalog.cache, services.renders, services.jobs

    def gauges() -> dict[str, float]:
        counts = jobs.counts()
        return {
            "jobs_active": counts["jobs"],
            "blocks_unfinished": counts["blocks"],
            "event_streams_open": counts["watchers"],
            "renders_waiting": renders.waiting,
            "renders_drawing": renders.drawing,
            "chunk_cache_bytes": cache.bytes if cache else 0,
        }

    def counters() -> dict[str, float]:
        return {
            "blocks_computed": jobs.computed,
            "renders_shared": renders.shared,
            "renders_refused": renders.refused,
            "chunk_cache_hits": cache.hits if cache else 0,
            "chunk_cache_misses": cache.misses if cache else 0,
        }

    services.metrics.watch(gauges=gauges, counters=counters)


async def _catalog_answers(services: Services) -> bool:
    listing = asyncio.to_thread(services.catalog.storage.folders)
    try:
        await asyncio.wait_for(listing, READY_WITHIN_S)
    except (SrcubeError, TimeoutError, OSError):
        return False
    return True
