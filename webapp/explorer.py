"""One visitor's explorer: the controls of the sidebar, wired to the map.

Every session makes its own; nothing here is shared between visitors. The state lives in
the map's parameters; a control writes one, and an answer from the browser updates controls.
"""

from collections.abc import Mapping
from typing import Any

import panel_material_ui as pmui
from panel.viewable import Viewable

from webapp.catalog import BandPreset, Collection, Scene, showable
from webapp.job_panel import JobPanel
from webapp.side_controls import SideControls
from webapp.style import FIELD, PLAIN
from webapp.swipe_map import SwipeMap


class Explorer:
    """The controls and the map of one session."""

    def __init__(self, *, api_url: str, assets_url: str, words: Mapping[str, str]) -> None:
        self.words = words
        self.known: dict[str, Collection] = {}
        self.map = SwipeMap(
            api_url=api_url, assets_url=assets_url, strings=dict(words), sizing_mode="stretch_both"
        )
        self.collection = pmui.Select(
            label=words["collection"], options={}, **{**FIELD, "margin": (16, 16, 7, 16)}
        )
        self.date = pmui.DiscreteSlider(
            label=words["date"],
            options={words["loading"]: ""},
            value="",
            sizing_mode="stretch_width",
            margin=(7, 22),  # the knob reaches beyond the track
            size="small",
        )
        self.left = SideControls(words, words["left"])
        self.right = SideControls(words, words["right"])
        self.bands = pmui.RadioButtonGroup(
            label=words["bands"], options={}, color="primary", **FIELD
        )
        self.pixels = pmui.Switch(label=words["pixels"], value=True, **FIELD)
        self.jobs = JobPanel(self.map, words)
        self.alert = pmui.Alert(severity="error", visible=False, closeable=True, **PLAIN)
        self._wire()

    def sidebar(self) -> list[Viewable]:
        """The controls from top to bottom."""
        return [
            self.alert,
            self.collection,
            self.date,
            *self.left.widgets(),
            *self.right.widgets(),
            self.bands,
            self.pixels,
            *self.jobs.widgets(),
        ]

    def _wire(self) -> None:
        self.map.param.watch(lambda _: self._catalog_arrived(), "collections")
        self.map.param.watch(lambda _: self._problem_arrived(), "problem")
        self.collection.param.watch(lambda _: self._open(), "value")
        self.date.param.watch(lambda _: self._show(), "value_throttled")
        self.bands.param.watch(lambda _: self._show(), "value")
        self.pixels.param.watch(lambda _: self._show(), "value")
        self.left.on_change(self._show)
        self.right.on_change(self._show)

    def _catalog_arrived(self) -> None:
        self.known = showable(self.map.collections)
        if not self.known:
            self._complain(self.words["no_collections"])
            return
        titles = {each.title: each.id for each in self.known.values()}
        opening = self.map.opening
        first = opening if opening in self.known else next(iter(self.known))
        self.collection.param.update(options=titles, value=first)

    def _open(self) -> None:
        collection = self.known[self.collection.value]
        first, second = collection.opening_layers()
        self.left.offer(collection, first, self.map.models)
        self.right.offer(collection, second, self.map.models)
        dates = {self._scene_label(scene): scene.datetime for scene in collection.scenes}
        self.date.param.update(
            options=dates, value=collection.default_datetime, disabled=len(dates) < 2
        )
        presets = {self.words[preset.key]: preset for preset in collection.presets()}
        self.bands.param.update(options=presets, value=next(iter(presets.values()), None))
        self._show()

    def _scene_label(self, scene: Scene) -> str:
        if scene.cloud_cover is None:
            return self.words["scene_no_cloud"].format(date=scene.date)
        return self.words["scene"].format(date=scene.date, cloud=round(scene.cloud_cover))

    def _show(self) -> None:
        preset: BandPreset | None = self.bands.value
        wanted: dict[str, Any] = {
            "collection": self.collection.value,
            "date": self.date.value,
            "left": self.left.choice(),
            "right": self.right.choice(),
            "bands": preset.bands_query if preset else "",
            "rescale": preset.rescale_query if preset else "",
            "smooth": not self.pixels.value,
        }
        self.map.param.update(**wanted)

    def _problem_arrived(self) -> None:
        self._complain(str(self.map.problem.get("text", "")))

    def _complain(self, text: str) -> None:
        self.alert.param.update(title=text, visible=bool(text), closed=False)
