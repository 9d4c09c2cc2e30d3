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
    """Two layers of one collection either side of a handle.

    The browser writes `collections`, `opening`, `models`, `plan`, `job`, `problem`, `narrow`,
    `view` and `position`; Python writes the others (`position` both).
    """

    _esm: ClassVar[Path] = ASSETS / "loader.js"

    api_url = param.String(default="/", doc="Root of the HTTP interface, as seen by the browser.")
    assets_url = param.String(doc="Folder of the explorer's modules, as seen by the browser.")
    strings = param.Dict(default={}, doc="The words of the page.")
    dark = param.Boolean(default=False)

    collection = param.String(default="")
    date = param.String(default="", doc="A scene's datetime, as the collection gives it.")
    left = param.Dict(default={"layer": "", "model": ""})
    right = param.Dict(default={"layer": "", "model": ""})
    bands = param.String(default="")
    rescale = param.String(default="", doc="Reflectance 'low,high' of the stretch.")
    smooth = param.Boolean(default=False, doc="Bilinear between pixels; else pixels as squares.")
    follow = param.Boolean(default=False, doc="Super-resolve wherever the view comes to rest.")
    position = param.Number(default=0.5, bounds=(0, 1), doc="The handle, from the left edge.")

    collections = param.List(default=[], item_type=dict)
    opening = param.String(default="", doc="Id of the collection to open on, empty for the first.")
    models = param.List(default=[], item_type=dict)
    plan = param.Dict(default={})
    job = param.Dict(default={})
    problem = param.Dict(default={})
    narrow = param.Boolean(default=False, doc="The window is as narrow as a phone's.")
    view = param.Dict(default={}, doc="Centre as lat, lon in degrees, and zoom.")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]

    def command(self, name: str) -> None:
        """Ask the browser to 'run', 'cancel' or go 'home'."""
        self._send_msg({"command": name})
