"""The command `cloud-hub`: where it begins. The commands themselves are in `commands`, which is
loaded only if what it needs is installed."""

from __future__ import annotations

import sys

from holdfast.host import commands


def main() -> None:
    """Runs the command line of this process."""
    sys.exit(commands.run("cloud_hub.commands:cli", program="cloud-hub", extra="hub"))


if __name__ == "__main__":
    main()
