"""What the jobs need of a database, which is a file (`sqlite`) or a PostgreSQL (`postgres`).

Both take the same SQL, with `?` for values, and in both writers take turns: what a transaction
has read still holds when it writes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Row(Protocol):
    """A row, whose values are found by name and by position."""

    def __getitem__(self, key: int | str, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...


class Rows(Protocol):
    """What a statement found."""

    @property
    def rowcount(self) -> int:
        """How many rows it found or changed."""

    def fetchone(self) -> Any:
        """The next row, None after the last."""

    def fetchall(self) -> list[Any]:
        """All that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Transaction(Protocol):
    """What may be done in a transaction: statements."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Rows:
        """Carry out a statement, with values for its question marks."""


class Database(Protocol):
    """Whole transactions, one at a time for all threads of a process.

    `clock_id` names the clock that `now` tells: times by another clock mean nothing to it.
    `machine` names where numbers of processes mean something, empty if that is taken for granted.
    """

    clock_id: str
    machine: str

    @property
    def answers(self) -> bool:
        """Whether the last transaction was carried out."""

    def read(self, ask: Callable[[Transaction], T]) -> T:
        """What `ask` finds in one consistent state; raises Unavailable."""

    def write(self, change: Callable[[Transaction], T]) -> T:
        """Do all of `change` or nothing of it; it is on the disk when this returns.

        Raises OutOfSpace, or Unavailable for any other fault.
        """

    def now(self, db: Transaction) -> float:
        """Seconds by the clock that leases are counted on."""

    def close(self) -> None:
        """Close it; nothing is lost if this is never called."""
