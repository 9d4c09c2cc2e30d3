"""How a cube lies on disk or in an object store: files, chunks, arrays, and the atomic commit.

`layout` plans the arrays, `appending` writes a scene into new chunks, `commit` publishes it with
one atomic write of the root, `reading` hands out verified chunks.
"""
