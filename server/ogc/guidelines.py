"""The guidelines as a page beside the map."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)
GUIDELINES_PATH = "/guidelines"


@router.get(GUIDELINES_PATH)
def guidelines() -> HTMLResponse:
    """Rules for accountable super-resolution, with our own figures; asks for nothing else."""
    from sr_engine.audit.guidelines.text import guidelines_page  # noqa: PLC0415 - read when asked

    return HTMLResponse(guidelines_page())
