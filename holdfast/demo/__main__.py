"""`python -m holdfast.demo`, which is what `make run` starts."""

from __future__ import annotations

import sys

from holdfast.host import commands

sys.exit(commands.run("holdfast.demo.command:cli", program="make run", extra="edge,hub,demo"))
