"""Make a page before anybody asks for one, so that the first visitor waits no longer than others.

Widgets, templates and styles are compiled once in a process, and texts compressed once.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bokeh.document import Document
from bokeh.embed.bundle import extension_dirs
from bokeh.settings import settings as bokeh_settings
from fastapi import FastAPI
from panel.io.document import _cleanup_doc
from panel.io.state import set_curdoc
from panel_material_ui.template.base import Page

from webapp.static_files import TEXTS, pack
from webapp.swipe_map import ASSETS

# Of Panel and Bokeh, what a page has in its head; everything of ours comes with it.
SCRIPTS = ("bokeh.min.js", "bokeh-widgets.min.js", "bokeh-tables.min.js", "bokeh-gl.min.js")
EXTENSIONS = ("panel/panel.min.js", "panel-material-ui/panel-material-ui.bundle.js")
_made = threading.Event()


def warm_at_start(app: FastAPI, page: Callable[[], Page]) -> None:
    """Have `page` made once before the application is ready, and texts compressed beside it.

    A page is not made beside the first visitor's own: both would be late.
    """
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[Any]:
        async with inner(application) as state:
            packing = asyncio.create_task(asyncio.to_thread(_pack_texts))
            _make(page)
            yield state
            await packing

    app.router.lifespan_context = lifespan


def _make(page: Callable[[], Page]) -> None:
    """Once in a process: a second application there finds all of it."""
    if _made.is_set():
        return
    _made.set()
    document = Document()
    with set_curdoc(document):
        page().server_doc(document)
    document.to_json()
    _cleanup_doc(document)


def _pack_texts() -> None:
    for path in _texts():
        pack(path)


def _texts() -> list[Path]:
    scripts = Path(bokeh_settings.bokehjs_path()) / "js"
    found = [scripts / name for name in SCRIPTS]
    for address in EXTENSIONS:
        extension, name = address.split("/")
        found.append(Path(extension_dirs[extension]) / name)
    found += [path for path in ASSETS.rglob("*") if path.suffix in TEXTS]
    return [path for path in found if path.is_file()]
