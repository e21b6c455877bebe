"""Real processes under a load that is recorded: several hubs on one PostgreSQL, many edges, clients
that wander between all of their doors, and hubs that are killed and frozen in turn.

What clients and watchers were told becomes a history (tests/blackbox), which its checkers judge.
`make simulate-real ARGS="--seconds 300 --seed 7"` runs it for as long as one likes; a short run is
part of the tests.
"""
