"""API keys: who may do what, from a file of hashes that the operator keeps.

A key is random and long, so that a plain SHA-256 of it tells nothing about it. The file is JSON:
`{"name": {"sha256": "...", "scopes": ["view", "compute"], "per_second": 50}}`.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datacube.errors import InvalidInput

SCOPES = ("view", "compute", "ingest")
KEY_BYTES = 32


@dataclass(frozen=True)
class Caller:
    """Who asks: a name to count by, what it may do, and how often (None: no limit)."""

    name: str
    scopes: frozenset[str]
    per_second: float | None = None


class KeyRing:
    """The keys there are, found by their hash."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self._callers = dict(callers)

    @classmethod
    def load(cls, path: Path | None) -> "KeyRing":
        """Read a file of keys; raises InvalidInput for one that is not."""
        if path is None:
            return cls({})
        try:
            entries = json.loads(path.read_text())
            callers = {
                _sha256(entry["sha256"]): Caller(
                    f"key:{name}",
                    _scopes(entry["scopes"]),
                    _rate(entry.get("per_second")),
                )
                for name, entry in entries.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(
                f"cannot read the keys in {path}: need JSON like "
                '{"name": {"sha256": 64 hex digits, "scopes": ["view"], "per_second": 50}}, '
                f"with scopes of {', '.join(SCOPES)}; `srcube key` writes it"
            ) from error
        return cls(callers)

    def find(self, key: str) -> Caller | None:
        """Who has this key; None where nobody has."""
        return self._callers.get(key_sha256(key))


def key_sha256(key: str) -> str:
    """What the file keeps of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def add_key(path: Path, name: str, scopes: frozenset[str]) -> str:
    """Make a key, add its hash to the file, and return it: it is nowhere else."""
    if not scopes or not scopes <= set(SCOPES):
        raise InvalidInput(f"need scopes of {', '.join(SCOPES)}, got {', '.join(sorted(scopes))}")
    entries = json.loads(path.read_text()) if path.exists() else {}
    if name in entries:
        raise InvalidInput(f"there is a key named {name!r} already; choose another name")
    key = secrets.token_urlsafe(KEY_BYTES)
    entries[name] = {"sha256": key_sha256(key), "scopes": sorted(scopes)}
    partial = path.with_name(path.name + ".partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(entries, indent=2) + "\n")
    partial.replace(path)
    return key


def _sha256(text: str) -> str:
    if len(bytes.fromhex(text)) != hashlib.sha256().digest_size:
        raise ValueError("not a SHA-256")
    return text.lower()


def _scopes(names: object) -> frozenset[str]:
    if not isinstance(names, list) or not names or not set(names) <= set(SCOPES):
        raise ValueError("not scopes")
    return frozenset(names)


def _rate(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not value > 0:
        raise ValueError("not a rate")
    return float(value)
