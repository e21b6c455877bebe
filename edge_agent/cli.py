"""The command `edge-agent`: where it begins. The commands themselves are in `commands`, which is
loaded only if what it needs is installed."""

from __future__ import annotations

import sys

from holdfast.host import commands


def main() -> None:
    """Runs the command line of this process."""
    sys.exit(commands.run("edge_agent.commands:cli", program="edge-agent", extra="edge"))


if __name__ == "__main__":
    main()
