"""How the controls of the sidebar are set: one place for margins, widths and the theme."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# Without stretch_width the widgets keep Panel's 300 px and overflow a narrower drawer.
PLAIN: Mapping[str, Any] = MappingProxyType({"sizing_mode": "stretch_width", "margin": (5, 16)})
FIELD: Mapping[str, Any] = MappingProxyType(
    {"sizing_mode": "stretch_width", "margin": (7, 16), "size": "small"}
)
# The bar on top is blue in the dark, too: the dark theme's light blue is for what lies on black.
HEADER: Mapping[str, Any] = MappingProxyType(
    {
        "& .MuiAppBar-root": {"backgroundColor": "#00629b", "color": "#fff"},
        "& .MuiAppBar-root .MuiIconButton-root": {"color": "#fff"},
    }
)


def theme(words: Mapping[str, str]) -> dict[str, Any]:
    """The look of the page's frame, light and dark, with the names that its own parts lack."""
    return {
        # On a dark ground the blue of the light page would have a contrast of 2.6 to 1.
        "light": _theme(words, "#00629b"),
        "dark": _theme(words, "#7cc4f2"),
    }


def _theme(words: Mapping[str, str], primary: str) -> dict[str, Any]:
    return {
        "palette": {"primary": {"main": primary}},
        "typography": {
            "button": {"textTransform": "none"},
            "h3": {"fontSize": "1.2rem", "fontWeight": 500},
        },
        # A low bar leaves the height of the screen to the map.
        "components": {
            "MuiToolbar": {"defaultProps": {"variant": "dense"}},
            "MuiLinearProgress": {"defaultProps": {"aria-label": words["busy"]}},
        },
    }
