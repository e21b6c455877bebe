"""The commands that both command lines share, and what they print.

A command asks a running daemon through the public client and prints the answer; it knows nothing of
the daemons' code. So the same `get`, `put` and `watch` serve at an edge's socket and at a hub.
"""
