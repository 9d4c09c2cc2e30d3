"""What `srcube bench load` measures: a server as an operator starts it, and all that befalls it.

Every server is a process of its own (`process`), its clients are in the process that measures,
on the same machine: ratios compare what was measured in one run, times themselves are not told.
"""
