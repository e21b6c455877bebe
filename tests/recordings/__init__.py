"""No tests: documents that two people typed together, recorded or generated, and what replays them.

`recording` reads one and tells in which order its keystrokes can be typed again; `generated` makes
one from a seed; `replay` types it at two edges, through `held` links.
"""
