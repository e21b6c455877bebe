"""Services that stand at both doors, written once: what they decide, and the little that they ask
of the StateService of the daemon beside them.

All of it is reading records and making commits, so nothing here knows which daemon it is in, and
nothing here is done past the one way by which each daemon writes.
"""
