"""Letting go of pages that nobody has open any more.

A page is a session of some megabytes. Two things kept every one of them for ever: bokeh-fastapi
0.1.8 does not notice that a websocket has been closed (it waits for an exception where Starlette
returns a message), and each page of panel-material-ui watches a flag that all sessions share.
"""

import bokeh_fastapi.application
import panel as pn
from bokeh_fastapi.handler import WSHandler
from fastapi import WebSocket
from panel_material_ui.template.base import Page


class NoticingHandler(WSHandler):  # type: ignore[misc]  # comes without types
    """A websocket whose end is told to the session behind it."""

    async def ws_connect(self, websocket: WebSocket) -> None:
        """Serve it to its end; without any connection a session is collected after a while."""
        try:
            await super().ws_connect(websocket)
        finally:
            if self.connection is not None:
                self.application.client_lost(self.connection)


def notice_closed_pages() -> None:
    """Have the applications that are mounted from now on notice; may be called again."""
    bokeh_fastapi.application.WSHandler = NoticingHandler


def let_go(page: Page) -> None:
    """Undo that the page watches whether Panel is busy.

    That is one flag of all sessions, so that a visitor would see others at work; and by the watcher
    it would hold every page that was ever opened.
    """
    for watcher in list(pn.state.param.watchers.get("busy", {}).get("value", ())):
        if getattr(getattr(watcher.fn, "__self__", None), "self", None) is page:
            pn.state.param.unwatch(watcher)
