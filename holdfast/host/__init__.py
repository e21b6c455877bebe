"""What a daemon needs of its machine: clock, disk, configuration, logs, service manager, command
line.

Both daemons stand on it and the client never does, so that importing the client costs none of this.
Nothing here knows what Holdfast replicates. Invariant: this file imports nothing, so that each
program loads only what it uses.
"""
