"""How the controls of the sidebar are set: one place for margins, widths and the theme."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# Without stretch_width the widgets keep Panel's 300 px and overflow a narrower drawer.
PLAIN: Mapping[str, Any] = MappingProxyType({"sizing_mode": "stretch_width", "margin": (5, 16)})
FIELD: Mapping[str, Any] = MappingProxyType(
    {"sizing_mode": "stretch_width", "margin": (7, 16), "size": "small"}
)


def theme(words: Mapping[str, str]) -> dict[str, Any]:
    """The look of the page's frame, with the names that its own parts lack."""
    return {
        "palette": {"primary": {"main": "#00629b"}},
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
