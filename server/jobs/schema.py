"""The tables of the jobs, in words that SQLite and PostgreSQL both understand.

Tables are only ever added (`IF NOT EXISTS`): files of older versions are opened as they are.
"""

# A block is unfinished while it is `waiting` or `leased`, and there is one of a key at most then.
# `boot` names the clock that `until` is counted on: a block may be handed out (again) at once
# where that is another clock, else when `until` has passed. So may a task.
# `watched` says when a server, its `owner`, last had somebody who follows a job's events.
TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
  number {numbered}, id TEXT UNIQUE NOT NULL, key TEXT NOT NULL,
  client TEXT NOT NULL, process TEXT NOT NULL, asked TEXT NOT NULL,
  state TEXT NOT NULL, message TEXT NOT NULL DEFAULT '',
  total BIGINT NOT NULL, cached BIGINT NOT NULL, done BIGINT NOT NULL DEFAULT 0,
  taken BIGINT NOT NULL DEFAULT 0, estimated_s DOUBLE PRECISION NOT NULL,
  created DOUBLE PRECISION NOT NULL, started DOUBLE PRECISION, finished DOUBLE PRECISION,
  updated DOUBLE PRECISION NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS one_active_job_of_a_key
  ON jobs (key) WHERE state IN ('accepted', 'running');
CREATE TABLE IF NOT EXISTS blocks (
  id {numbered}, key TEXT NOT NULL, task TEXT NOT NULL,
  model TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
  attempts BIGINT NOT NULL DEFAULT 0, seconds DOUBLE PRECISION,
  owner TEXT NOT NULL DEFAULT '', boot TEXT NOT NULL DEFAULT '',
  until DOUBLE PRECISION NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX IF NOT EXISTS one_unfinished_block_of_a_key
  ON blocks (key) WHERE state IN ('waiting', 'leased');
CREATE TABLE IF NOT EXISTS wants (
  job BIGINT NOT NULL REFERENCES jobs ON DELETE CASCADE,
  block BIGINT NOT NULL REFERENCES blocks ON DELETE CASCADE,
  position BIGINT NOT NULL, PRIMARY KEY (job, block)) {compact};
CREATE INDEX IF NOT EXISTS wants_of_a_block ON wants (block);
CREATE TABLE IF NOT EXISTS events (
  job BIGINT NOT NULL REFERENCES jobs ON DELETE CASCADE,
  number BIGINT NOT NULL, kind TEXT NOT NULL, content TEXT NOT NULL,
  PRIMARY KEY (job, number)) {compact};
CREATE TABLE IF NOT EXISTS tasks (
  job BIGINT PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
  spec TEXT NOT NULL, result TEXT, attempts BIGINT NOT NULL DEFAULT 0,
  owner TEXT NOT NULL DEFAULT '', boot TEXT NOT NULL DEFAULT '',
  until DOUBLE PRECISION NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS watched (
  job BIGINT NOT NULL REFERENCES jobs ON DELETE CASCADE, owner TEXT NOT NULL,
  boot TEXT NOT NULL, seen DOUBLE PRECISION NOT NULL, PRIMARY KEY (job, owner)) {compact}
"""


def statements(*, numbered: str, compact: str = "") -> list[str]:
    """What makes the tables; `numbered` is how a dialect has rows number themselves."""
    return TABLES.format(numbered=numbered, compact=compact).split(";")
