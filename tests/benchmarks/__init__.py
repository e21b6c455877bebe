"""How fast, beside a bare baseline: `make bench`. Numbers are shown, never asserted."""

import os

# Daemons are started while a channel is open: gRPC's fork handlers have no business there.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
