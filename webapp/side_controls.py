"""The choice of layer and model for one side, and of its own date and look where it has one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import panel_material_ui as pmui
from panel.viewable import Viewable

from webapp.catalog import Collection
from webapp.difference import DIFFERENCE, Difference, usual_difference
from webapp.difference_controls import DifferenceControls
from webapp.look_controls import DateControl, LookControls
from webapp.state import Index, Look, SideState
from webapp.style import FIELD


class SideControls:
    """Two selects: the layer, and its model where the layer comes from one; a date and a look.

    A difference has controls of its own instead of the model and the look.
    """

    def __init__(self, words: Mapping[str, str], label: str) -> None:
        self.layer = pmui.Select(label=label, options={}, **FIELD)
        self.model = pmui.Select(label=words["model"], options={}, visible=False, **FIELD)
        self.difference = DifferenceControls(words)
        self.date = DateControl(words, words["date"])
        self.look = LookControls(words, words["bands"])
        self.own = pmui.Column(sizing_mode="stretch_width", margin=0)
        self._own_date = self._own_look = False
        self._collection: Collection | None = None
        self._titles: dict[str, str] = {}
        self._listener: Callable[[], None] = lambda: None
        self._offering = False
        self.layer.param.watch(lambda _: self._layer_chosen(), "value")
        self.model.param.watch(lambda _: self._changed(), "value")

    def widgets(self) -> list[Viewable]:
        """The controls from top to bottom."""
        return [self.layer, self.model, self.own]

    def show_own(self, *, date: bool, look: bool) -> None:
        """Show a date and a look of this side alone, or not; a difference has no look."""
        self._own_date, self._own_look = date, look
        self._draw()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the person has chosen something else."""
        self._listener = listener
        for own in (self.difference, self.date, self.look):
            own.on_change(listener)

    @property
    def differs(self) -> bool:
        """Whether the difference of two layers is chosen."""
        layer = self._collection.layer(self.layer.value) if self._collection else None
        return layer is not None and layer.kind == DIFFERENCE

    def state(self, date: str, look: Look) -> SideState:
        """What is chosen, on a date and with a look; the model is empty for a layer without."""
        difference = self.difference.value if self.differs else None
        model = "" if difference else self.model.value or ""
        return SideState(self.layer.value or "", model, date, look, difference)

    def offer(
        self, collection: Collection, state: SideState, models: Sequence[Mapping[str, Any]]
    ) -> None:
        """Offer the layers of another collection, without telling the listener."""
        self._collection = collection
        self._titles = {model["id"]: model["title"] for model in models}
        self._offering = True
        try:
            titles = {each.title: each.id for each in collection.layers}
            self.layer.param.update(options=titles, value=state.layer)
            self._offer_models(state.model)
        finally:
            self._offering = False

    def offer_differences(
        self, collection: Collection, indices: Sequence[Index], chosen: Difference | None
    ) -> None:
        """Offer what can be subtracted, where the collection has differences at all."""
        if any(layer.kind == DIFFERENCE for layer in collection.layers):
            chosen = chosen or usual_difference(collection, [one.name for one in indices])
            self.difference.offer(collection, indices, self._titles, chosen)

    def _draw(self) -> None:
        """Have in the page what is shown, and nothing else.

        A browser would spend a third of its time before the first picture on controls that nobody
        has asked for.
        """
        difference, date = self.differs, self._own_date
        look = self._own_look and not difference
        self.difference.show(visible=difference)
        self.date.show(visible=date)
        self.look.show(visible=look)
        shown = [
            *(self.difference.widgets() if difference else ()),
            *(self.date.widgets() if date else ()),
            *(self.look.widgets() if look else ()),
        ]
        if shown != self.own.objects:
            self.own.objects = shown

    def _layer_chosen(self) -> None:
        if not self._offering:
            self._offer_models(self.model.value or "")
            self._draw()
            self._changed()

    def _changed(self) -> None:
        if not self._offering:
            self._listener()

    def _offer_models(self, wanted: str) -> None:
        layer = self._collection.layer(self.layer.value) if self._collection else None
        models = layer.models if layer else ()
        kept = wanted if wanted in models else next(iter(models), None)
        outer, self._offering = self._offering, True
        try:
            options = {self._titles.get(model, model): model for model in models}
            self.model.param.update(options=options, value=kept, visible=len(models) > 0)
        finally:
            self._offering = outer
