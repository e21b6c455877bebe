"""What was seen from outside, and whether it keeps the promises.

A history (history.py) is what clients asked for and were told, what watchers were told, and what
the hub's log holds in the end, as lines of JSON that a checker of another hand can read. The
checkers (checks/) know nothing else: no file of an edge, no state of a process. The simulation and
the runs with real processes (tests/cluster) record into the same history, and the same checkers
judge both.

Every checker has scenarios in tests/unit/blackbox that it must catch, and some that it must not.
"""
