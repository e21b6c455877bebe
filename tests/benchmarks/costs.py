"""Rows of what things cost by themselves: the check that a value is canonical JSON, and an edge's
memory with many records."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import orjson

from sync import values
from tests.benchmarks import calls, workload
from tests.benchmarks.bench import Bench, house
from tests.benchmarks.figures import Figure
from tests.benchmarks.processes import Process

BLOCK = 1_000
OPS = 100
MIB = 1 << 20


async def json_check(bench: Bench) -> list[Figure]:
    """The check of a value, beside parsing it; and its share of what a drained change costs."""
    rng = random.Random(1)
    block = [workload.value(rng, number) for number in range(BLOCK)]
    bare, product = [], []
    for _ in range(7):
        bare.append(_us_per_value(lambda some: [orjson.loads(one) for one in some], block))
        product.append(_us_per_value(values.check_block, block))
    found = [
        Figure.of("JSON check of a value of 200 bytes, beside parsing it", "us", product, bare)
    ]
    small = [workload.patch(rng) for _ in range(BLOCK)]
    checks = [_us_per_value(values.check_block, small) for _ in range(7)]
    for kind, spent in (("put", product), ("patch", checks)):
        if f"hub {kind}" in bench.cpu_us:
            shares = [100 * each / bench.cpu_us[f"hub {kind}"] for each in spent]
            name = f"JSON check, share of the hub's CPU in a drain, {kind}, at most"
            found.append(Figure.of(name, "%", shares))
    return found


def _us_per_value(work: Callable[[list[bytes]], object], block: list[bytes]) -> float:
    began = time.perf_counter()
    for _ in range(20):
        work(block)
    return (time.perf_counter() - began) / 20 / len(block) * 1e6


async def memory(bench: Bench) -> list[Figure]:
    """Resident memory of an edge that has sent, and of one that has received, many records."""
    count = bench.size.records
    theirs, ours = [await _resident(bench, side, count) for side in ("bare", "product")]
    return [
        Figure.of(f"resident memory of an edge that {did} {count:,} records", "MiB", [mine], [bare])
        for did, mine, bare in zip(("wrote", "received"), ours, theirs, strict=True)
    ]


async def _resident(bench: Bench, side: str, count: int) -> Sequence[float]:
    with bench.place() as root:
        async with house(side, root, 2) as daemons:
            writer, reader = daemons.edges
            await asyncio.gather(writer.ask("drain"), reader.ask("drain"))
            async with calls.stub(writer.ready["socket"]) as stub:
                changes = list(workload.every_record(count=count))
                for start in range(0, count, OPS):
                    await stub.Commit(calls.commit(changes[start : start + OPS]))
            await writer.ask("drain")
            if side == "product":
                await writer.ask("settle")
            await _received(reader, -(-count // OPS) if side == "product" else count)
            usages = [await edge.ask("usage") for edge in daemons.edges]
    return [usage["resident_bytes"] / MIB for usage in usages]


async def _received(reader: Process, commits: int) -> None:
    """Waits until an edge has commits of another up to that seq."""
    last = 0
    while last < commits:
        report = await reader.ask("report")
        last = max([last, *(seq for _, seq, _ in report["applied"])])
        await asyncio.sleep(0.05)
