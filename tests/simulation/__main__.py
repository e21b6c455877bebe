"""Runs seeds: `python -m tests.simulation --seeds 500 --from 1`, or one: `--seed 7 --trace`.

Exit status 1 if any seed breaks a promise. The order of sets of texts depends on a seed of Python's
own, which is therefore fixed, by starting again, before anything is run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from functools import partial

from tests.simulation import counted, sweep
from tests.simulation.world import Result


def main() -> int:
    """The command."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    asked = _arguments()
    if asked.commits:
        return counted.main(asked.seed or 1, asked.commits)
    without = frozenset(asked.without)
    if asked.seed is not None:
        return _one(asked.seed, without, trace=asked.trace)
    seeds = range(asked.first, asked.first + asked.seeds)
    began = time.monotonic()
    failed: list[Result] = []
    reached: Counter[str] = Counter()
    with multiprocessing.get_context("fork").Pool(asked.jobs, maxtasksperchild=200) as pool:
        for done, result in enumerate(
            pool.imap(partial(sweep.run_checked, without=without), seeds), 1
        ):
            reached += result.reached
            if result.problems:
                failed.append(result)
                left_out = without or sweep.shrunk(result.seed)
                print(sweep.failure(result, left_out), flush=True)
            if done % 50 == 0:
                rate = done / (time.monotonic() - began)
                left_s = (len(seeds) - done) / rate
                print(
                    f"{done} of {len(seeds)} seeds, {len(failed)} failed, {rate:.1f} seeds/s,"
                    f" {left_s:.0f} s left", flush=True
                )  # fmt: skip
    print(sweep.summary(len(seeds), failed, reached, time.monotonic() - began))
    return 1 if failed else 0


def _one(seed: int, without: frozenset[str], *, trace: bool) -> int:
    print(sweep.plan(seed, without).describe())
    result = sweep.run_seed(seed, without)
    if trace:
        print("\n".join(result.trace))
    for problem in result.problems:
        print(problem)
    print(
        f"seed {seed}: {len(result.problems)} problems, {result.commits} commits,"
        f" {result.virtual_s:.1f} virtual s, digest {result.digest}"
    )
    return 1 if result.problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first")
    parser.add_argument("--seed", type=int, help="one alone")
    parser.add_argument(
        "--commits", type=int, help="one long run of so many commits, each accounted for"
    )
    parser.add_argument("--trace", action="store_true", help="print all that happened")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument(
        "--without", action="append", default=[], metavar="KIND", help="leave a kind of fault out"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
