"""The range that is stretched over the colours: said in words, fitted to the view, or reset.

`RangedControls` is what all controls with such a range have in common.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import panel_material_ui as pmui

from webapp.style import PLAIN


class RangeControl:
    """A line of text and two buttons; what they do is for whoever owns it."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words
        self.text = pmui.Typography("", variant="body2", sizing_mode="stretch_width",
                                   margin=0, align="center")  # fmt: skip
        self.fit = pmui.Button(label=words["look_fit"], variant="outlined", size="small", margin=0)
        self.reset = pmui.Button(label=words["look_reset"], variant="text", size="small", margin=0)
        self.row = pmui.Row(self.text, self.fit, self.reset, **PLAIN)

    def draw(self, rescale: str, *, visible: bool, changed: bool) -> None:
        """Say the range "low,high"; it can be reset where it was `changed`."""
        low, high = (f"{float(end):.2g}" for end in rescale.split(","))
        self.text.object = self._words["look_range"].format(low=low, high=high)
        self.reset.disabled = not changed
        self.row.visible = visible


class RangedControls(ABC):
    """Controls that are shown or hidden together, and have a range that may be fitted."""

    def __init__(self, words: Mapping[str, str], *, visible: bool) -> None:
        self.range = RangeControl(words)
        self._words = words
        self._rescale = ""  # "low,high", empty for the usual range
        self._visible = visible
        self._quiet = False
        self._listener: Callable[[], None] = lambda: None

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the person has chosen something else."""
        self._listener = listener

    def show(self, *, visible: bool) -> None:
        """Show or hide all of it."""
        self._visible = visible
        self._draw()

    def stretch_to(self, rescale: str) -> None:
        """Stretch to another range, "low,high", and tell the listener."""
        self._rescale = rescale
        self._draw()
        self._listener()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Set controls meanwhile without telling the listener."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False

    @abstractmethod
    def _draw(self) -> None:
        """Bring what is seen in line with what is chosen."""
