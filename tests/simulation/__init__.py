"""A deterministic simulator in which the production code runs.

Edges and a hub run on an event loop whose time is virtual, over a simulated network, on real
SQLite files without threads. Everything that is chance comes from the seed, so one seed is one run,
and a failure prints the command that repeats it.

Faults and checkers are apart: faults (faults.py) know nothing of what must hold, and checkers
(checks/) judge only what clients were told, what watchers saw, and what is in the files.
"""
