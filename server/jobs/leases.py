"""Leases: rows that one owner works on, until a time that it has to put off again and again.

A table has columns `owner`, `boot` and `until` for it. Times are counted on the database's clock
(`Database.now`): a row of another clock is free, and so is one whose lease ends later than any
lease may, since then the clock was set back. Whose lease ran out, or whose process is gone, is
not asked: the row is handed out again. Doing something twice would do no harm, only cost.
"""

import os
import uuid
from typing import Any

from server.jobs.database import Database, Transaction

LEASE_S = 10.0
FREE = "(boot != ? OR until <= ? OR until > ?)"  # with the values of `Leases.free`


class Leases:
    """The leases of one owner, which is named by its process and where that has its number."""

    def __init__(self, database: Database) -> None:
        self._database = database
        place = f"@{database.machine}" if database.machine else ""
        self.owner = f"{os.getpid()}:{uuid.uuid4().hex}{place}"

    def free(self, db: Transaction) -> tuple[Any, ...]:
        """Values for `FREE`."""
        now = self._database.now(db)
        return self._database.clock_id, now, now + LEASE_S

    def taken(self, db: Transaction) -> tuple[Any, ...]:
        """Values for `owner`, `boot` and `until` of a row that is taken now."""
        return self.owner, self._database.clock_id, self.until(db)

    def until(self, db: Transaction, seconds: float = LEASE_S) -> float:
        """So long from now."""
        return self._database.now(db) + seconds

    def recover(self, db: Transaction, table: str) -> None:
        """Make free what processes had taken that are gone: their work will not come back."""
        rows = db.execute(f"SELECT DISTINCT owner FROM {table} WHERE until > 0").fetchall()  # noqa: S608 (a name of ours)
        for (owner,) in rows:
            if owner not in {"", self.owner} and not is_alive(owner, self._database.machine):
                db.execute(f"UPDATE {table} SET until = 0 WHERE owner = ?", (owner,))  # noqa: S608


def is_alive(owner: str, machine: str) -> bool:
    """Whether an owner's process may still be there; its leases end by themselves if it hangs.

    One of another machine may be.
    """
    name, _, place = owner.partition("@")
    if place != machine:
        return True
    pid = int(name.partition(":")[0])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()  # a container's server has the same number each time it starts
