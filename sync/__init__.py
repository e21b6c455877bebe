"""Pure decisions about shared state: no I/O, no clock, no randomness, no logging.

The daemons perform what these modules decide, so the same rules run in production and in
the simulator.
"""
