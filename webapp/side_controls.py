"""The choice of layer and model for one side, and of its own date and look where it has one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import panel_material_ui as pmui
from panel.viewable import Viewable

from webapp.catalog import Collection
from webapp.look_controls import DateControl, LookControls
from webapp.style import FIELD


class SideControls:
    """Two selects: the layer, and its model where the layer comes from one; a date and a look."""

    def __init__(self, words: Mapping[str, str], label: str) -> None:
        self.layer = pmui.Select(label=label, options={}, **FIELD)
        self.model = pmui.Select(label=words["model"], options={}, visible=False, **FIELD)
        self.date = DateControl(words, words["date"])
        self.look = LookControls(words, words["bands"])
        self.own = pmui.Column(sizing_mode="stretch_width", margin=0)
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
        """Show a date and a look of this side alone, or not.

        What is not shown is not in the page: a browser would spend a third of its time before the
        first picture on controls that nobody has asked for.
        """
        self.date.show(visible=date)
        self.look.show(visible=look)
        shown = [*(self.date.widgets() if date else ()), *(self.look.widgets() if look else ())]
        self.own.objects = shown

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the person has chosen something else."""
        self._listener = listener
        self.date.on_change(listener)
        self.look.on_change(listener)

    def choice(self) -> tuple[str, str]:
        """The layer's id and the model's; the model is empty for a layer without one."""
        return self.layer.value or "", self.model.value or ""

    def offer(
        self, collection: Collection, choice: tuple[str, str], models: Sequence[Mapping[str, Any]]
    ) -> None:
        """Offer the layers of another collection, without telling the listener."""
        self._collection = collection
        self._titles = {model["id"]: model["title"] for model in models}
        layer, model = choice
        self._offering = True
        try:
            titles = {each.title: each.id for each in collection.layers}
            self.layer.param.update(options=titles, value=layer)
            self._offer_models(model)
        finally:
            self._offering = False

    def _layer_chosen(self) -> None:
        if not self._offering:
            self._offer_models(self.model.value or "")
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
