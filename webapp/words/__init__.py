"""Every word the page says: one catalogue per language, each with the same keys.

Text in braces is filled in by the caller. What the server sends (titles, notices, error
details) is shown as it comes and is not listed here.
"""

from collections.abc import Mapping
from types import MappingProxyType

from webapp.words.english import ENGLISH
from webapp.words.german import GERMAN

LANGUAGES: Mapping[str, Mapping[str, str]] = MappingProxyType({"en": ENGLISH, "de": GERMAN})


def catalogue(language: str = "en") -> Mapping[str, str]:
    """The words of one language; English where the language is not known."""
    return LANGUAGES.get(language, ENGLISH)
