"""`python -m tests.benchmarks [--quick] [--only NAME] [--out FILE.json]`."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

from holdfast.host import loops
from tests.benchmarks import bench as benches
from tests.benchmarks import costs, drain, figures, latency, levels, local, reading, texts, wire
from tests.benchmarks.bench import Bench, Row
from tests.benchmarks.figures import Figure

ROWS: dict[str, Row] = {
    "drain-put": drain.put_one,
    "drain-patch": drain.patch_one,
    "drain-put-4": drain.put_four,
    "drain-patch-4": drain.patch_four,
    "drain-postgres": drain.put_postgres,
    "latency": latency.rows,
    "write-levels": levels.writes,
    "local-write": local.writes,
    "local-read": local.reads,
    "read-levels": reading.rows,
    "texts": texts.rows,
    "texts-recorded": texts.recorded,
    "wire": wire.rows,
    "json-check": costs.json_check,
    "memory": costs.memory,
}

PEERS = ("etcd", "nats-server", "redis-server")
SIZES = {"full": benches.FULL, "quick": benches.QUICK, "tiny": benches.TINY}


def main(arguments: list[str] | None = None) -> int:
    """Runs the rows that are asked for; 0 whatever the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, under five minutes")
    parser.add_argument("--tiny", action="store_true", help="only to see that it runs")
    parser.add_argument("--only", action="append", metavar="NAME", help=", ".join(ROWS))
    parser.add_argument(
        "--text",
        action="append",
        type=int,
        metavar="LETTERS",
        help="how long a text is that people type into; several times for several",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    options = parser.parse_args(arguments)
    unknown = set(options.only or ()) - ROWS.keys()
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    size = "tiny" if options.tiny else "quick" if options.quick else "full"
    sizes = SIZES[size]
    bench = Bench(replace(sizes, texts=tuple(options.text or sizes.texts)))
    found = loops.run(_measured(bench, options.only or list(ROWS)))
    print(figures.table(found))
    for note in [_machine(), *bench.notes, *_peers()]:
        print(f"- {note}")
    if options.out:
        figures.write(found, options.out)
    return 0


async def _measured(bench: Bench, names: list[str]) -> list[Figure]:
    found: list[Figure] = []
    for name in names:
        bench.say(name)
        began = time.monotonic()
        found += await ROWS[name](bench)
        bench.say(f"{name}: {time.monotonic() - began:.1f} s")
    return found


def _machine() -> str:
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}"


def _peers() -> list[str]:
    there = [name for name in PEERS if shutil.which(name)]
    absent = ", ".join(name for name in PEERS if name not in there)
    found = [f"peers not installed here, so not measured: {absent}"] if absent else []
    return found + [f"{name} is installed, but this bench has no row for it" for name in there]


if __name__ == "__main__":
    sys.exit(main())
