"""The jobs in a file: whole transactions, written safely, and told apart when not.

SQLite in WAL mode with synchronous FULL: what was acknowledged survives `kill -9` and a power
cut. A small file beside it is kept in reserve and given up when the disk is full, so that even
then it can be written down why a job failed.
"""

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from datacube.errors import OutOfSpace, SrcubeError, Unavailable
from server.jobs.database import Transaction
from server.jobs.schema import statements

RESERVE_BYTES = 1_000_000  # room for thousands of changes of state
BUSY_S = 10  # how long another server's transaction is waited for

T = TypeVar("T")


class SqliteDatabase:
    """One connection, shared by the threads of a process one transaction at a time.

    Its clock is the monotonic one of this boot of the machine: setting the time changes nothing.
    """

    machine = ""  # a file is opened by processes of one machine
    answers = True

    def __init__(self, path: Path) -> None:
        """Open or make the file; raises Unavailable or OutOfSpace."""
        self._reserve = path.with_name(path.name + "-reserve")
        self._lock = threading.Lock()
        self.clock_id = boot_id()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise Unavailable(
                f"cannot open the jobs' database {path}; let SRCUBE_JOBS_DB name a file on a "
                "local disk that may be written"
            ) from error
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare()
        except SrcubeError:
            self._connection.close()
            raise

    def read(self, ask: Callable[[Transaction], T]) -> T:
        """What `ask` finds in one consistent state; raises Unavailable."""
        return self._transaction("BEGIN", ask)

    def write(self, change: Callable[[Transaction], T]) -> T:
        """Do all of `change` or nothing of it; it is on the disk when this returns.

        Raises OutOfSpace where the reserve has gone already, Unavailable for any other fault.
        """
        try:
            made = self._transaction("BEGIN IMMEDIATE", change)
        except OutOfSpace:
            with suppress(OSError):
                self._reserve.unlink()
            return self._transaction("BEGIN IMMEDIATE", change)
        self._keep_reserve()
        return made

    def now(self, _db: Transaction) -> float:
        """Seconds since the machine was started."""
        return time.monotonic()

    def close(self) -> None:
        """Close the file; nothing is lost if this is never called."""
        with self._lock:
            self._connection.close()

    def _prepare(self) -> None:
        def make(db: Transaction) -> None:
            numbered = "INTEGER PRIMARY KEY AUTOINCREMENT"
            for statement in statements(numbered=numbered, compact="WITHOUT ROWID"):
                db.execute(statement)

        with self._lock, _typed_errors():
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self.write(make)

    def _transaction(self, begin: str, work: Callable[[Transaction], T]) -> T:
        with self._lock, _typed_errors():
            self._connection.execute(begin)
            try:
                made = work(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        return made

    def _keep_reserve(self) -> None:
        """Put the reserve back where it has gone and there is room again."""
        if not self._reserve.exists():
            try:
                self._reserve.write_bytes(bytes(RESERVE_BYTES))
            except OSError:
                with suppress(OSError):
                    self._reserve.unlink()


def boot_id() -> str:
    """Another text after each start of the machine, which sets the monotonic clock back."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return "unknown"


class _typed_errors:  # noqa: N801 (used as a context manager)
    """Turn what SQLite says into an error of ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, sqlite3.Error):
            return
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise OutOfSpace("no room for the jobs' database; free some space") from error
        raise Unavailable(f"the jobs' database does not answer: {error}") from error
