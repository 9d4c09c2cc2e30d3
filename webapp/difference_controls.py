"""The choice of what is subtracted from what on one side, and how that is drawn."""

from collections.abc import Mapping, Sequence

import panel_material_ui as pmui
from panel.viewable import Viewable

from webapp.catalog import Collection
from webapp.difference import DIVERGING, USUAL_RANGE, Difference, Operand, operands_of
from webapp.range_control import RangedControls
from webapp.state import Index, scene_label
from webapp.style import FIELD

BAND = "band:"  # before the name of a band, in the list of values


class DifferenceControls(RangedControls):
    """Selects for the two layers, the other date, the value and the colours; and their range."""

    def __init__(self, words: Mapping[str, str]) -> None:
        super().__init__(words, visible=False)
        self.minuend = pmui.Select(label=words["difference_minuend"], options={}, **FIELD)
        self.subtrahend = pmui.Select(label=words["difference_subtrahend"], options={}, **FIELD)
        self.date = pmui.Select(label=words["difference_date"], options={}, **FIELD)
        self.quantity = pmui.Select(
            label=words["difference_value"], options={}, searchable=True, filter_on_search=True,
            **FIELD,
        )  # fmt: skip
        maps = list(DIVERGING)
        self.colormap = pmui.Select(label=words["look_colormap"], options=maps, value=maps[0],
                                    **FIELD)  # fmt: skip
        for control in (self.minuend, self.subtrahend, self.date, self.colormap):
            control.param.watch(lambda _: self._changed(), "value")
        self.quantity.param.watch(lambda _: self._reset(), "value")
        self.range.reset.on_click(lambda _: self._reset())
        self._draw()

    def widgets(self) -> list[Viewable]:
        """The controls from top to bottom."""
        return [*self._selects(), self.range.row]

    def offer(
        self,
        collection: Collection,
        indices: Sequence[Index],
        titles: Mapping[str, str],
        chosen: Difference,
    ) -> None:
        """Offer what a collection has, without telling the listener; `titles` are of models."""
        layers = {layer.id: layer.title for layer in collection.layers}
        operands = {
            " · ".join(filter(None, (layers[one.layer], titles.get(one.model, one.model)))): one.key
            for one in operands_of(collection)
        }
        dates = {scene_label(one, self._words): one.datetime for one in collection.scenes}
        values = {f"{one.name}: {one.title}": one.name for one in indices}
        for band in collection.bands:
            values[self._words["difference_band"].format(band=band)] = BAND + band
        with self._quietly():
            self.minuend.param.update(options=operands, value=chosen.minuend.key)
            self.subtrahend.param.update(options=operands, value=chosen.subtrahend.key)
            same = {self._words["difference_same_date"]: ""}
            self.date.param.update(options=same | dates, value=chosen.date)
            quantity = chosen.index or BAND + chosen.band
            self.quantity.param.update(options=values, value=quantity)
            self.colormap.value = chosen.colormap
        self._rescale = "" if chosen.rescale == USUAL_RANGE else chosen.rescale
        self._draw()

    @property
    def value(self) -> Difference:
        """The difference chosen."""
        chosen = self.quantity.value or ""
        band = chosen.removeprefix(BAND) if chosen.startswith(BAND) else ""
        return Difference(
            Operand.of_key(self.minuend.value or ""),
            Operand.of_key(self.subtrahend.value or ""),
            date=self.date.value or "",
            index="" if band else chosen,
            band=band,
            colormap=self.colormap.value,
            rescale=self._rescale,
        )

    def _selects(self) -> list[Viewable]:
        return [self.minuend, self.subtrahend, self.date, self.quantity, self.colormap]

    def _changed(self) -> None:
        if not self._quiet:
            self._draw()
            self._listener()

    def _reset(self) -> None:
        """The range that fitted another value fits this one no more."""
        if not self._quiet:
            self._rescale = ""
            self._changed()

    def _draw(self) -> None:
        for control in self._selects():
            control.visible = self._visible
        usual = self._rescale or USUAL_RANGE
        self.range.draw(usual, visible=self._visible, changed=bool(self._rescale))
