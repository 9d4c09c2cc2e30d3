"""Every word the page says: one catalogue per language, each with the same keys.

Text in braces is filled in by the caller. What the server sends (titles, notices, error
details) is shown as it comes and is not listed here, but for its layers and its demo.
"""

from collections.abc import Mapping
from types import MappingProxyType

from webapp.words.english import ENGLISH
from webapp.words.german import GERMAN

LANGUAGES: Mapping[str, Mapping[str, str]] = MappingProxyType({"en": ENGLISH, "de": GERMAN})


def language_of(asked: str | None, accepted: str) -> str:
    """The language to speak: the one asked for, else the first one known of `Accept-Language`.

    The order of the header is taken as the order of preference, as browsers write it.
    """
    tags = [asked or "", *(entry.split(";")[0] for entry in accepted[:400].split(","))]
    known = (tag.strip().lower().partition("-")[0] for tag in tags)
    return next((tag for tag in known if tag in LANGUAGES), "en")


def catalogue(language: str = "en") -> Mapping[str, str]:
    """The words of one language; English where the language is not known."""
    return LANGUAGES.get(language, ENGLISH)


def demo_in(language: str) -> Mapping[str, str]:
    """What the server says in English of its demo, and the same in a language."""
    words = catalogue(language)
    return {text: words[key] for key, text in ENGLISH.items() if key.startswith("demo_")}
