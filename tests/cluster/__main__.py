"""Runs real processes under a load that is recorded, for as long as one likes.

    python -m tests.cluster --seconds 300 --seed 7

Starts its own PostgreSQL. Exit status 1 if a promise is broken; the history and the logs of all
daemons are then kept, and where is said.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests import postgres
from tests.blackbox import history as lines
from tests.blackbox.checks import judge
from tests.cluster.plan import Plan, with_strikes
from tests.cluster.run import run

HISTORY = "history.jsonl"


def main() -> int:
    """The command."""
    asked = _arguments()
    if asked.judge:
        problems = judge(lines.load(asked.judge))
        print(*problems, f"{len(problems)} problems", sep="\n")
        return 1 if problems else 0
    plan = with_strikes(
        replace(
            Plan(), seed=asked.seed, seconds=asked.seconds, hubs=asked.hubs, edges=asked.edges,
            agents=asked.agents, frozen_s=asked.frozen,
        )
    )  # fmt: skip
    directory = Path(tempfile.mkdtemp(prefix="holdfast-cluster-"))
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    failed = True
    try:
        with postgres.serve() as server, server.database() as database:
            result = asyncio.run(run(plan, database, directory, say))
        print(result.summary())
        failed = bool(result.problems)
        if failed:
            lines.save(directory / HISTORY, result.history.lines())
    finally:
        if failed or asked.keep:
            print(f"kept in {directory}; judge again: --judge {directory / HISTORY}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    usual = Plan()
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long clients write")
    parser.add_argument("--hubs", type=int, default=usual.hubs)
    parser.add_argument("--edges", type=int, default=usual.edges)
    parser.add_argument("--agents", type=int, default=usual.agents)
    parser.add_argument(
        "--frozen", type=float, default=usual.frozen_s, help="seconds that a hub is frozen"
    )
    parser.add_argument("--keep", action="store_true", help="keep logs and history in any case")
    parser.add_argument("--judge", type=Path, metavar="FILE", help="only judge a history")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
