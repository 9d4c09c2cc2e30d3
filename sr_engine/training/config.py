"""Settings of a training, from a TOML file into frozen dataclasses.

A key that nobody reads is a mistake that nobody notices, so unknown keys and wrong types are
refused. What is read can be written down again with the weights, word for word.
"""

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

from datacube.errors import InvalidInput, NotFound, Unavailable

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class LoopSettings:
    """How a training runs, whatever is trained.

    `learning_rate` is the highest: it rises over `warmup_steps`, then falls along half a cosine
    to a hundredth. `average` is the decay per step of the running mean of the weights, which is
    what gets validated and kept; 0 keeps the weights themselves. Gradients are cut at the norm
    `clip_norm`. Every `..._every` is in steps.
    """

    steps: int = 1000
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    average: float = 0.0
    log_every: int = 20
    validate_every: int = 500
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        every = (self.log_every, self.validate_every, self.checkpoint_every)
        if self.steps < 1 or min(every) < 1 or self.warmup_steps < 0:
            raise InvalidInput(
                "need steps and every ..._every of at least 1 and warmup_steps >= 0, got "
                f"{self.steps}, {every} and {self.warmup_steps}"
            )
        if self.learning_rate <= 0 or self.clip_norm <= 0 or not 0 <= self.average < 1:
            raise InvalidInput(
                "need learning_rate > 0, clip_norm > 0 and 0 <= average < 1, got "
                f"{self.learning_rate}, {self.clip_norm} and {self.average}"
            )


def read_config(path: Path, schema: type[T]) -> T:
    """Read a TOML file as `schema`, a frozen dataclass whose tables are dataclasses too.

    Raises NotFound where there is no file, InvalidInput for what is not TOML, for a key that
    the schema has not, a value of another type, or one that the schema itself refuses.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise NotFound(f"no configuration {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not TOML: {error}") from error
    return build(schema, document)


def build(schema: type[T], document: Mapping[str, Any], at: str = "") -> T:
    """Make a dataclass of a document; `at` names its place in messages."""
    hints = get_type_hints(schema)
    names = [field.name for field in dataclasses.fields(schema)]  # type: ignore[arg-type]
    unknown = sorted(set(document) - set(names))
    if unknown:
        raise InvalidInput(f"no setting {at}{unknown[0]}; there are {', '.join(names)}")
    values = {name: _value(hints[name], value, at + name) for name, value in document.items()}
    try:
        return schema(**values)
    except TypeError as error:
        raise InvalidInput(f"{at or 'the configuration: '}{error}") from error


def need_extras() -> None:
    """Raise Unavailable where the packages that only training needs are not installed."""
    missing = [name for name in ("onnx", "tensorboard") if find_spec(name) is None]
    if missing:
        raise Unavailable(
            f"training needs {' and '.join(missing)}: install srcube with the extra `train`"
        )


def config_document(config: Any) -> dict[str, Any]:
    """The settings as JSON holds them."""
    document: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return document


def config_sha256(config: Any) -> str:
    """Digest of all settings."""
    text = json.dumps(config_document(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _value(hint: Any, value: Any, at: str) -> Any:
    """The value as its hint wants it: whole numbers pass for floats, arrays become tuples."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise InvalidInput(f"need a table [{at}], got {value!r}")
        return build(hint, value, f"{at}.")
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise InvalidInput(f"need an array for {at}, got {value!r}")
        return tuple(_value(hint.__args__[0], each, at) for each in value)
    if hint is float and type(value) is int:
        return float(value)
    if isinstance(hint, type) and type(value) is not hint:
        raise InvalidInput(f"need {hint.__name__} for {at}, got {value!r}")
    return value
