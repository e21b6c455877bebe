"""`python -m holdfast.demo.tell`, which is what `make demo` starts."""

from __future__ import annotations

import os
import sys

from holdfast.host import commands

# A daemon is started again while threads of gRPC run; their handlers of fork() have no part in it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

sys.exit(commands.run("holdfast.demo.story:cli", program="make demo", extra="edge,hub,demo"))
