"""The choice of a date, and of how pixels are drawn: for one side, or for both together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import panel_material_ui as pmui
from panel.viewable import Viewable

from webapp.catalog import BandPreset, Collection
from webapp.range_control import RangedControls
from webapp.state import COLORMAPS, Index, Look, scene_label
from webapp.style import FIELD

INDEX = "index"  # the choice that is no preset
Control = TypeVar("Control", "DateControl", "LookControls")


class DateControl:
    """A slider over the dates of a collection."""

    def __init__(self, words: Mapping[str, str], label: str) -> None:
        self.slider = pmui.DiscreteSlider(
            label=label,
            options={words["loading"]: ""},
            value="",
            sizing_mode="stretch_width",
            margin=(7, 22),  # the knob reaches beyond the track
            size="small",
        )
        self._words = words

    def widgets(self) -> list[Viewable]:
        """The slider."""
        return [self.slider]

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the person has chosen another date."""
        self.slider.param.watch(lambda _: listener(), "value_throttled")

    def offer(self, collection: Collection, date: str) -> None:
        """Offer a collection's dates, without telling the listener."""
        dates = {scene_label(scene, self._words): scene.datetime for scene in collection.scenes}
        self.slider.param.update(options=dates, value=date, disabled=len(dates) < 2)

    def show(self, *, visible: bool) -> None:
        """Show or hide it."""
        self.slider.visible = visible

    @property
    def value(self) -> str:
        """The datetime of the scene chosen."""
        return str(self.slider.value)

    @value.setter
    def value(self, date: str) -> None:
        self.slider.value = date


class LookControls(RangedControls):
    """Bands or an index, its colour map, and the range that is stretched over the colours."""

    def __init__(self, words: Mapping[str, str], label: str) -> None:
        super().__init__(words, visible=True)
        self.bands = pmui.Select(label=label, options={}, **FIELD)
        self.index = pmui.Select(
            label=words["look_index_name"], options={}, searchable=True, filter_on_search=True,
            visible=False, **FIELD,
        )  # fmt: skip
        maps = list(COLORMAPS)
        self.colormap = pmui.Select(
            label=words["look_colormap"], options=maps, value=maps[0], visible=False, **FIELD
        )
        self._presets: dict[str, BandPreset] = {}
        for control in (self.bands, self.index):
            control.param.watch(lambda _: self._chosen(), "value")
        self.colormap.param.watch(lambda _: self._coloured(), "value")
        self.range.reset.on_click(lambda _: self._chosen())

    def widgets(self) -> list[Viewable]:
        """The controls from top to bottom."""
        return [self.bands, self.index, self.colormap, self.range.row]

    def offer(self, collection: Collection, indices: Sequence[Index], look: Look) -> None:
        """Offer what a collection's bands allow, without telling the listener."""
        self._presets = {preset.key: preset for preset in collection.presets()}
        titles = {self._words[key]: key for key in self._presets}
        if indices:
            titles[self._words["look_index"]] = INDEX
        names = {f"{one.name}: {one.title}": one.name for one in indices}
        with self._quietly():
            self.bands.param.update(options=titles, value=None)
            first = "NDVI" if "NDVI" in names.values() else next(iter(names.values()), None)
            self.index.param.update(options=names, value=first)
        self.value = look

    @property
    def value(self) -> Look:
        """The look chosen."""
        usual = self._usual()
        return replace(usual, rescale=self._rescale) if self._rescale else usual

    @value.setter
    def value(self, look: Look) -> None:
        by_bands = {preset.bands_query: key for key, preset in self._presets.items()}
        with self._quietly():
            self.bands.value = INDEX if look.index else by_bands.get(look.bands)
            if look.index:
                self.index.value, self.colormap.value = look.index, look.colormap
        self._rescale = "" if look.rescale == self._usual().rescale else look.rescale
        self._draw()

    def _usual(self) -> Look:
        if self.bands.value == INDEX:
            return Look(index=self.index.value or "", colormap=self.colormap.value)
        return Look.of(self._presets.get(self.bands.value or ""))

    def _chosen(self) -> None:
        if self._quiet:
            return
        self._rescale = ""
        self._draw()
        self._listener()

    def _coloured(self) -> None:
        if not self._quiet:
            self._listener()  # the range stays, which is that of the values

    def _draw(self) -> None:
        indexed = self.bands.value == INDEX
        self.bands.visible = self._visible
        self.index.visible = self.colormap.visible = self._visible and indexed
        rescale = self.value.rescale or "-1,1"
        self.range.draw(rescale, visible=self._visible, changed=bool(self._rescale))


def hand_over(shared: Control, own: Sequence[Control], *, locked: bool) -> None:
    """Where sides are locked together the left one's choice is shared, else each takes a copy."""
    if locked:
        shared.value = own[0].value
        return
    for each in own:
        each.value = shared.value
