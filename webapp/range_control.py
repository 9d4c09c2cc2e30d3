"""The range that is stretched over the colours: said in words, fitted to the view, or reset."""

from collections.abc import Mapping

import panel_material_ui as pmui

from webapp.style import PLAIN


class RangeControl:
    """A line of text and two buttons; what they do is for whoever owns it."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words
        self.text = pmui.Typography("", variant="body2", sizing_mode="stretch_width", margin=0)
        self.fit = pmui.Button(label=words["look_fit"], variant="outlined", size="small", margin=0)
        self.reset = pmui.Button(label=words["look_reset"], variant="text", size="small", margin=0)
        self.row = pmui.Row(self.text, self.fit, self.reset, **PLAIN)

    def draw(self, rescale: str, *, visible: bool, changed: bool) -> None:
        """Say the range "low,high"; it can be reset where it was `changed`."""
        low, high = (f"{float(end):.2g}" for end in rescale.split(","))
        self.text.object = self._words["look_range"].format(low=low, high=high)
        self.reset.disabled = not changed
        self.row.visible = visible
