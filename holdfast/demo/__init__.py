"""What `make run` shows: a hub and two edges on this machine, with agents that share state.

Everything here goes through the installed commands and the public client, as it would on machines
of their own: nothing is simulated but the agents' intentions. The telemetry is this machine's.
"""
