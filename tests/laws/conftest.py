"""How long laws are searched: a little on every change, for long at night.

`HOLDFAST_LAWS=nightly` chooses the long search; give it time with `--timeout 0`.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

PROJECT = settings.get_profile("project")
# A slow machine is no fault of a law.
SLOW = (HealthCheck.too_slow,)

settings.register_profile("fast", PROJECT, max_examples=100, suppress_health_check=SLOW)
settings.register_profile("nightly", PROJECT, max_examples=5_000, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("HOLDFAST_LAWS", "fast"))
