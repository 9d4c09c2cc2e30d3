"""Jobs: views to super-resolve, computed block by block beside the tiles, and never lost.

A database is the truth of what was asked and how far it is (`ledger`, `blocks`): a file of this
server (`sqlite`), or a PostgreSQL that several servers share (`postgres`). One thread
(`supervisor`) hands blocks out to an executor, which is worker processes of this server
(`workers`) or a Dask cluster (`cluster`), and writes down what comes back. `service` is what the
routes speak to.
"""
