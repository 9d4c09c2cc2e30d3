"""The choice of layer and model for one side of the handle."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import panel_material_ui as pmui
from panel.viewable import Viewable

from webapp.catalog import Collection, Layer
from webapp.style import FIELD


class SideControls:
    """Two selects: the layer, and its model where the layer comes from one."""

    def __init__(self, words: Mapping[str, str], label: str) -> None:
        self.layer = pmui.Select(label=label, options={}, **FIELD)
        self.model = pmui.Select(label=words["model"], options={}, visible=False, **FIELD)
        self._collection: Collection | None = None
        self._titles: dict[str, str] = {}
        self._listener: Callable[[], None] = lambda: None
        self._offering = False
        self.layer.param.watch(lambda _: self._layer_chosen(), "value")
        self.model.param.watch(lambda _: self._changed(), "value")

    def widgets(self) -> list[Viewable]:
        """The controls from top to bottom."""
        return [self.layer, self.model]

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the person has chosen something else."""
        self._listener = listener

    def choice(self) -> dict[str, str]:
        """The layer's id and the model's; the model is empty for a layer without one."""
        return {"layer": self.layer.value or "", "model": self.model.value or ""}

    def offer(
        self, collection: Collection, layer: Layer, models: Sequence[Mapping[str, Any]]
    ) -> None:
        """Offer the layers of another collection, without telling the listener."""
        self._collection = collection
        self._titles = {model["id"]: model["title"] for model in models}
        self._offering = True
        try:
            titles = {each.title: each.id for each in collection.layers}
            self.layer.param.update(options=titles, value=layer.id)
            self._offer_models()
        finally:
            self._offering = False

    def _layer_chosen(self) -> None:
        if not self._offering:
            self._offer_models()
            self._listener()

    def _changed(self) -> None:
        if not self._offering:
            self._listener()

    def _offer_models(self) -> None:
        layer = self._collection.layer(self.layer.value) if self._collection else None
        models = layer.models if layer else ()
        kept = self.model.value if self.model.value in models else next(iter(models), None)
        outer, self._offering = self._offering, True
        try:
            options = {self._titles.get(model, model): model for model in models}
            self.model.param.update(options=options, value=kept, visible=len(models) > 0)
        finally:
            self._offering = outer
