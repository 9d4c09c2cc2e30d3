"""The map as a Panel component: parameters on this side, Leaflet in the browser.

Panel carries the parameters both ways; tiles, jobs and their events go from the browser
straight to the HTTP interface, so that nothing a person drags ever waits for Python.
"""

from pathlib import Path
from typing import Any, ClassVar

import param
from panel.custom import JSComponent

ASSETS = Path(__file__).parent / "assets"


class SwipeMap(JSComponent):
    """Two layers of one collection, compared.

    The browser writes `collections`, `opening`, `models`, `indices`, `wanted`, `stretched`, `plan`,
    `job`, `problem`, `newcomer`, `narrow` and `view`; Python writes the others.
    """

    _esm: ClassVar[Path] = ASSETS / "loader.js"

    api_url = param.String(default="/", doc="Root of the HTTP interface, as seen by the browser.")
    assets_url = param.String(doc="Folder of the explorer's modules, as seen by the browser.")
    strings = param.Dict(default={}, doc="The words of the page.")
    demo = param.Dict(default={}, doc="What the server says of its demo, in the page's language.")
    looks = param.List(default=[], item_type=dict, doc="Bands and stretches, best first.")
    dark = param.Boolean(default=False)

    shown = param.Dict(
        default={}, doc="Collection, both sides, locks, smoothing: see `webapp.state`."
    )
    follow = param.Boolean(default=False, doc="Super-resolve wherever the view comes to rest.")
    products = param.List(default=[], item_type=str, doc="What to compute along, by layer.")

    collections = param.List(default=[], item_type=dict)
    opening = param.String(default="", doc="Id of the collection to open on, empty for the first.")
    models = param.List(default=[], item_type=dict)
    indices = param.List(default=[], item_type=dict, doc="Spectral indices: name, title, bands.")
    wanted = param.Dict(default={}, doc="What the page's address asks for, unchecked.")
    stretched = param.Dict(default={}, doc="A side, and the `rescale` that fits its view.")
    plan = param.Dict(default={})
    job = param.Dict(default={})
    problem = param.Dict(default={})
    alert = param.Dict(default={}, doc="What the sidebar says went wrong, for where it is shut.")
    newcomer = param.Boolean(default=False, doc="The visitor has not been here before.")
    narrow = param.Boolean(default=False, doc="The window is as narrow as a phone's.")
    view = param.Dict(default={}, doc="Centre as lat, lon in degrees, and zoom.")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]

    def command(self, name: str) -> None:
        """Ask the browser to 'run', 'cancel', go 'home' or 'stretch:left' (or right)."""
        self._send_msg({"command": name})
