"""One visitor's explorer: the controls of the sidebar, wired to the map.

Every session makes its own; nothing here is shared between visitors. The state lives in the
controls; `shown` tells the map all of it at once, and an answer from the browser updates controls.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import panel_material_ui as pmui
from panel.viewable import Viewable
from param.parameterized import Event

from webapp.catalog import PRESETS, Collection, showable
from webapp.job_panel import JobPanel
from webapp.look_controls import DateControl, LookControls, hand_over
from webapp.side_controls import SideControls
from webapp.state import SIDES, Checked, Index, Look, SideState, check_side, indices_of
from webapp.style import FIELD, PLAIN
from webapp.swipe_map import SwipeMap
from webapp.words import demo_in


class Explorer:
    """The controls and the map of one session."""

    def __init__(self, *, api_url: str, assets_url: str, words: Mapping[str, str]) -> None:
        self.words = words
        self.known: dict[str, Collection] = {}
        looks = [{"bands": one.bands_query, "rescale": one.rescale_query} for one in PRESETS]
        self.map = SwipeMap(
            api_url=api_url, assets_url=assets_url, strings=dict(words), looks=looks,
            demo=dict(demo_in(words["language"])), sizing_mode="stretch_both",
        )  # fmt: skip
        self.collection = pmui.Select(
            label=words["collection"], options={}, **{**FIELD, "margin": (16, 16, 7, 16)}
        )
        self.left = SideControls(words, words["left"])
        self.right = SideControls(words, words["right"])
        # What both sides share as long as they are locked together.
        self.date = DateControl(words, words["date"])
        self.look = LookControls(words, words["bands"])
        self.lock_date = pmui.Switch(label=words["lock_date"], value=True, **FIELD)
        self.lock_look = pmui.Switch(label=words["lock_look"], value=True, **FIELD)
        self.pixels = pmui.Switch(label=words["pixels"], value=True, **FIELD)
        self.jobs = JobPanel(self.map, words)
        self.alert = pmui.Alert(severity="error", visible=False, closeable=True, **PLAIN)
        self._opening = False
        self._wire()

    def sidebar(self) -> list[Viewable]:
        """The controls from top to bottom."""
        return [
            self.alert,
            self.collection,
            *self.left.widgets(),
            *self.right.widgets(),
            *self.date.widgets(),
            *self.look.widgets(),
            self.lock_date,
            self.lock_look,
            self.pixels,
            *self.jobs.widgets(),
        ]

    @property
    def sides(self) -> tuple[SideControls, SideControls]:
        """Left and right."""
        return self.left, self.right

    @property
    def indices(self) -> dict[str, Index]:
        """The spectral indices that can be had of the collection, by name."""
        return indices_of(self.known[self.collection.value], self.map.indices)

    def _wire(self) -> None:
        self.map.param.watch(lambda _: self._catalog_arrived(), "collections")
        self.map.param.watch(lambda _: self._indices_arrived(), "indices")
        self.map.param.watch(lambda _: self._link_arrived(), "wanted")
        self.map.param.watch(lambda _: self._stretch_arrived(), "stretched")
        self.map.param.watch(lambda _: self._problem_arrived(), "problem")
        self.collection.param.watch(lambda _: self._open(), "value")
        for lock, shared in ((self.lock_date, self.date), (self.lock_look, self.look)):
            lock.param.watch(partial(self._lock_turned, shared), "value")
        self.pixels.param.watch(lambda _: self._show(), "value")
        for control in (self.left, self.right, self.date, self.look):
            control.on_change(self._show)
        self.look.range.fit.on_click(lambda _: self._fit(self._first_look()))
        for name, side in zip(SIDES, self.sides, strict=True):
            for own in (side.look, side.difference):
                own.range.fit.on_click(partial(self._fit, name))

    def _catalog_arrived(self) -> None:
        self.known = showable(self.map.collections)
        if not self.known:
            self._complain(self.words["no_collections"])
            return
        titles = {each.title: each.id for each in self.known.values()}
        opening, wanted = self.map.opening, self.map.wanted.get("collection")
        first = opening if opening in self.known else next(iter(self.known))
        if wanted in self.known:
            first = wanted
        self._opening = True
        self.collection.param.update(options=titles, value=first)
        self._opening = False
        if wanted in self.known:  # told at one go: a browser's echo of the usual would cross it
            self._link_arrived()
            return
        collection = self.known[first]
        self._take(collection, self._usual(collection, newcomer=self.map.newcomer))
        if self.map.wanted:
            self._link_arrived()

    def _indices_arrived(self) -> None:
        """Offer them; what is chosen stays. They may come after the catalog or before it."""
        if not self.known:
            return
        collection = self.known[self.collection.value]
        found = tuple(self.indices.values())
        for look in (self.look, self.left.look, self.right.look):
            look.offer(collection, found, look.value)
        for side in self.sides:
            chosen = side.difference.value if side.differs else None
            side.offer_differences(collection, found, chosen)

    def _open(self) -> None:
        """Show a collection as it is usually opened, the locks as they are."""
        if self._opening:
            return
        collection = self.known[self.collection.value]
        self._take(collection, self._usual(collection))

    def _usual(
        self, collection: Collection, *, newcomer: bool = False
    ) -> tuple[SideState, SideState]:
        look = Look.of(next(iter(collection.presets()), None))
        date = collection.default_datetime
        left, right = (
            SideState(layer.id, next(iter(layer.models), ""), date, look)
            for layer in collection.opening_layers(newcomer=newcomer)
        )
        return left, right

    def _take(self, collection: Collection, states: Sequence[SideState]) -> None:
        """Offer a collection, with these choices made."""
        found = tuple(self.indices.values())
        self._opening = True
        for controls, state in zip(self.sides, states, strict=True):
            controls.offer(collection, state, self.map.models)
            controls.offer_differences(collection, found, state.difference)
            controls.date.offer(collection, state.date)
            controls.look.offer(collection, found, state.look)
        shared = next((one for one in states if one.difference is None), states[0])
        self.date.offer(collection, states[0].date)
        self.look.offer(collection, found, shared.look)
        self._opening = False
        self._draw_locks()
        self._show()

    def _link_arrived(self) -> None:
        """Show what the page's address asks for, and say what of it is not there."""
        wanted = self.map.wanted
        if not self.known:
            return  # it is looked at when the catalog is there
        if wanted["collection"] not in self.known:
            self._complain(self.words["link_gone"].format(gone=wanted["collection"][:40]))
            return
        collection = self.known[wanted["collection"]]
        self._opening = True
        self.collection.value = collection.id
        self.lock_date.value, self.lock_look.value = (
            "date" in wanted["lock"],
            "look" in wanted["lock"],
        )
        self.pixels.value = not wanted["smooth"]
        self._opening = False
        checked = self._checked(collection)
        self._take(collection, [one.side for one in checked])
        gone = dict.fromkeys([*wanted["unread"], *checked[0].gone, *checked[1].gone])
        if gone:
            self._complain(self.words["link_gone"].format(gone=", ".join(gone)))

    def _checked(self, collection: Collection) -> list[Checked]:
        names = tuple(self.indices)
        return [
            check_side(self.map.wanted[side], usual, collection, names)
            for side, usual in zip(SIDES, self._usual(collection), strict=True)
        ]

    def _first_look(self) -> str:
        """The side that shows the look which both share: the left one, unless it has none."""
        return SIDES[1] if self.left.differs else SIDES[0]

    def _fit(self, side: str, _event: Event | None = None) -> None:
        self.map.command(f"stretch:{side}")

    def _stretch_arrived(self) -> None:
        side, rescale = self.map.stretched["side"], self.map.stretched["rescale"]
        controls = self.sides[SIDES.index(side)]
        if controls.differs:
            controls.difference.stretch_to(rescale)
        elif self.lock_look.value:
            self.look.stretch_to(rescale)
        else:
            controls.look.stretch_to(rescale)

    def _lock_turned(self, shared: DateControl | LookControls, event: Event) -> None:
        """Free sides begin with what they shared; locked ones share what was on the left."""
        if self._opening:
            return
        if isinstance(shared, DateControl):
            hand_over(shared, [side.date for side in self.sides], locked=event.new)
        else:
            hand_over(shared, [side.look for side in self.sides], locked=event.new)
        self._draw_locks()
        self._show()

    def _draw_locks(self) -> None:
        self.date.show(visible=self.lock_date.value)
        for side in self.sides:
            side.show_own(date=not self.lock_date.value, look=not self.lock_look.value)
        self._draw_look()

    def _draw_look(self) -> None:
        """What both share is shown as long as one of them shows it."""
        apart = all(side.differs for side in self.sides)
        self.look.show(visible=self.lock_look.value and not apart)

    def _state(self, side: SideControls) -> SideState:
        date = self.date if self.lock_date.value else side.date
        look = self.look if self.lock_look.value else side.look
        return side.state(date.value, look.value)

    def _show(self) -> None:
        if self._opening or not self.known:
            return
        self._draw_look()
        locks = {"date": self.lock_date.value, "look": self.lock_look.value}
        shown: dict[str, Any] = {
            "collection": self.collection.value,
            "smooth": not self.pixels.value,
            "lock": [name for name, locked in locks.items() if locked],
        }
        for name, side in zip(SIDES, self.sides, strict=True):
            shown[name] = self._state(side).document()
        self.map.shown = shown

    def _problem_arrived(self) -> None:
        self._complain(str(self.map.problem.get("text", "")))

    def _complain(self, text: str) -> None:
        self.alert.param.update(title=text, visible=bool(text), closed=False)
        self.map.alert = {"text": text, "at": time.time()}
