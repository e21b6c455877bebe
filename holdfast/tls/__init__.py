"""TLS as both daemons and the client use it: identities, files, and why a connection fails.

Only the standard library: reading and checking certificates needs no package, so that the smallest
device can say what is wrong with its own.
"""
