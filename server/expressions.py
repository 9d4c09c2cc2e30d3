"""Arithmetic of bands, as a request may ask for it: a small closed grammar, evaluated by numpy.

    sum     = product { ("+" | "-") product }
    product = factor { ("*" | "/") factor }
    factor  = ["-"] ( number | name | "(" sum ")" )

There are no powers, no functions and no names but bands, and lengths are bounded, so that what
an expression costs is proportional to its length. Nothing is handed to Python to evaluate.
Indices by name are formulae of spyndex that fit this grammar, their constants filled in.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacube.bands import band_in
from datacube.errors import InvalidInput

MAX_LENGTH = 200
MAX_DEPTH = 16
MAX_BANDS = 6

Values = NDArray[np.float32]
_Evaluate = Callable[[Mapping[str, Values]], Any]
_TOKEN = re.compile(r"\s*(?:(\d{1,9}(?:\.\d{0,9})?)|([A-Za-z][A-Za-z0-9]{0,9})|([-+*/()]))")
_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": np.divide,
}


@dataclass(frozen=True, eq=False)
class Formula:
    """A parsed expression: the bands it needs, in order of appearance, and how it is computed."""

    text: str
    bands: tuple[str, ...]
    evaluate: _Evaluate

    def of(self, reflectance: Mapping[str, Values]) -> Values:
        """Its value wherever the bands have one; not finite where it divides by zero."""
        with np.errstate(all="ignore"):
            found = self.evaluate(reflectance)
        shape = next(iter(reflectance.values())).shape
        return np.broadcast_to(np.asarray(found, np.float32), shape)


@lru_cache(maxsize=256)
def parse(text: str, names: tuple[str, ...]) -> Formula:
    """A formula of the bands `names`; raises InvalidInput saying what does not fit."""
    if len(text) > MAX_LENGTH:
        raise InvalidInput(f"need an expression of at most {MAX_LENGTH} characters")
    reader = _Reader(list(_tokens(text)), names)
    evaluate = reader.sum(0)
    if reader.rest:
        raise InvalidInput(f"need an operator before {reader.rest[0]!r} in {text!r}")
    if not 1 <= len(reader.used) <= MAX_BANDS:
        raise InvalidInput(f"need 1 to {MAX_BANDS} bands in an expression, got {text!r}")
    return Formula(text, tuple(reader.used), evaluate)


def find_index(name: str, names: tuple[str, ...]) -> Formula:
    """A spectral index by its name in spyndex; raises InvalidInput where it cannot be had here."""
    text = _formulae().get(name)
    if text is None:
        raise InvalidInput(f"no index {name[:40]!r} here; /indices lists those there are")
    return parse(text, names)


@dataclass(frozen=True)
class Index:
    """A spectral index of spyndex: its short name, its long one and the bands that it needs."""

    name: str
    title: str
    bands: tuple[str, ...]


@lru_cache(maxsize=1)
def indices() -> tuple[Index, ...]:
    """Every index that can be computed of Sentinel-2's bands, in spyndex's order."""
    import spyndex  # noqa: PLC0415 - reads its tables when imported

    found = []
    for name, text in _formulae().items():
        words = dict.fromkeys(word for _, word, _ in _TOKEN.findall(text) if word)
        found.append(Index(name, spyndex.indices[name].long_name, tuple(words)))
    return tuple(found)


def index_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Every index that can be computed of these bands."""
    return tuple(one.name for one in indices() if set(one.bands) <= set(names))


@lru_cache(maxsize=1)
def _formulae() -> dict[str, str]:
    """Formulae of spyndex in the names of Sentinel-2's bands, those that fit the grammar."""
    import spyndex  # noqa: PLC0415 - reads its tables when imported

    meant = {}
    for key in spyndex.bands:
        sensor = getattr(spyndex.bands[key], "sentinel2a", None)
        if sensor is not None:
            meant[key] = band_in(sensor.band) or sensor.band
    for key in spyndex.constants:
        default = spyndex.constants[key].default
        if isinstance(default, int | float) and default >= 0:
            meant[key] = f"{default:f}".rstrip("0").rstrip(".") or "0"
    known = tuple(sorted(set(meant.values())))
    found = {}
    for name in spyndex.indices:
        formula = re.sub(
            r"[A-Za-z][A-Za-z0-9]*",
            lambda word: meant.get(word[0], "unknown"),
            spyndex.indices[name].formula,
        )
        try:
            parse(formula, known)
        except InvalidInput:
            continue
        found[name] = formula
    return found


def _tokens(text: str) -> Iterator[str]:
    place, text = 0, text.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise InvalidInput(
                f"need bands, numbers, + - * / and parentheses, got {text[place : place + 10]!r}"
            )
        place = found.end()
        yield found[1] or found[2] or found[3]


class _Reader:
    """Recursive descent over the tokens; `rest` is what was not read yet."""

    def __init__(self, tokens: list[str], names: tuple[str, ...]) -> None:
        self.rest = tokens
        self.names = names
        self.used: dict[str, None] = {}

    def sum(self, depth: int) -> _Evaluate:
        return self._chain(self.product, "+-", depth)

    def product(self, depth: int) -> _Evaluate:
        return self._chain(self.factor, "*/", depth)

    def factor(self, depth: int) -> _Evaluate:
        if depth > MAX_DEPTH:
            raise InvalidInput(f"need at most {MAX_DEPTH} levels of parentheses and signs")
        token = self._take()
        if token == "-":  # noqa: S105 - a sign
            inner = self.factor(depth + 1)
            return lambda values: operator.neg(inner(values))
        if token == "(":  # noqa: S105 - a parenthesis
            inner = self.sum(depth + 1)
            if self._take() != ")":
                raise InvalidInput("need a closing parenthesis for each opening one")
            return inner
        if token[0].isdigit():
            number = np.float32(token)
            return lambda _values: number
        return self._band(token)

    def _band(self, token: str) -> _Evaluate:
        if token not in self.names:
            raise InvalidInput(f"no band {token!r} here; the bands are {', '.join(self.names)}")
        self.used[token] = None
        return lambda values: values[token]

    def _chain(self, part: Callable[[int], _Evaluate], signs: str, depth: int) -> _Evaluate:
        terms = [("", part(depth))]
        while self.rest and self.rest[0] in signs:
            sign = self._take()
            terms.append((sign, part(depth)))
        if len(terms) == 1:
            return terms[0][1]

        def evaluate(values: Mapping[str, Values]) -> Any:
            found = terms[0][1](values)
            for sign, term in terms[1:]:
                found = _OPERATIONS[sign](found, term(values))
            return found

        return evaluate

    def _take(self) -> str:
        if not self.rest:
            raise InvalidInput("the expression ends too early")
        return self.rest.pop(0)
