"""What the routes work with, made once when the application is made."""

from dataclasses import dataclass

from fastapi import Request

from datacube import Catalog
from datacube.settings import Settings
from server.admission import RenderQueue
from server.jobs.service import JobService
from server.metrics import Metrics


@dataclass(frozen=True)
class Services:
    """The catalog, the jobs, the queue of drawings, the numbers and the settings of one server."""

    settings: Settings
    catalog: Catalog
    jobs: JobService
    renders: RenderQueue
    metrics: Metrics


async def services_of(request: Request) -> Services:
    """The services of the application that answers a request."""
    services: Services = request.app.state.services
    return services
