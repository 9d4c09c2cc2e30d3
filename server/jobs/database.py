"""The database file of the jobs: whole transactions, written safely, and told apart when not.

SQLite in WAL mode with synchronous FULL: what was acknowledged survives `kill -9` and a power
cut. A small file beside it is kept in reserve and given up when the disk is full, so that even
then it can be written down why a job failed.
"""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from datacube.errors import OutOfSpace, SrcubeError, Unavailable

RESERVE_BYTES = 1_000_000  # room for thousands of changes of state
BUSY_S = 10  # how long another server's transaction is waited for

# A block is unfinished while it is `waiting` or `leased`, and there is one of a key at most then.
# `boot` and `until` say when a block may be handed out (again): at once under another boot of
# the machine, else when its monotonic clock has passed `until`.
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, key TEXT NOT NULL,
  client TEXT NOT NULL, process TEXT NOT NULL, asked TEXT NOT NULL,
  state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '',
  total INTEGER NOT NULL, cached INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0,
  taken INTEGER NOT NULL DEFAULT 0, estimated_s REAL NOT NULL,
  created REAL NOT NULL, started REAL, finished REAL, updated REAL NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS one_active_job_of_a_key
  ON jobs (key) WHERE state IN ('accepted', 'running');
CREATE TABLE IF NOT EXISTS blocks (
  id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, task TEXT NOT NULL,
  model TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
  attempts INTEGER NOT NULL DEFAULT 0, seconds REAL,
  owner TEXT NOT NULL DEFAULT '', boot TEXT NOT NULL DEFAULT '', until REAL NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX IF NOT EXISTS one_unfinished_block_of_a_key
  ON blocks (key) WHERE state IN ('waiting', 'leased');
CREATE TABLE IF NOT EXISTS wants (
  job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  block INTEGER NOT NULL REFERENCES blocks ON DELETE CASCADE,
  position INTEGER NOT NULL, PRIMARY KEY (job, block)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS wants_of_a_block ON wants (block);
CREATE TABLE IF NOT EXISTS events (
  job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  number INTEGER NOT NULL, kind TEXT NOT NULL, content TEXT NOT NULL,
  PRIMARY KEY (job, number)) WITHOUT ROWID;
"""
T = TypeVar("T")


class Database:
    """One connection, shared by the threads of a process one transaction at a time."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; raises Unavailable or OutOfSpace."""
        self._reserve = path.with_name(path.name + "-reserve")
        self._lock = threading.Lock()
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

    def read(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """What `ask` finds in one consistent state."""
        return self._transaction("BEGIN", ask)

    def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
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

    def close(self) -> None:
        """Close the file; nothing is lost if this is never called."""
        with self._lock:
            self._connection.close()

    def _prepare(self) -> None:
        def make(db: sqlite3.Connection) -> None:
            for statement in SCHEMA.split(";"):
                db.execute(statement)

        with self._lock, _typed_errors():
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self.write(make)

    def _transaction(self, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
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
