"""This machine's readings, as records of the collection `telemetry`.

What a machine does not tell (a container without disks, a hardened /proc) is left out.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil

Reading = dict[str, Any]

TOP_PROCESSES = 5
SLOW_EVERY = 4
"""Disks and processes are read with every fourth reading: walking /proc costs more than the rest
together."""


class Machine:
    """Reads the machine; rates are over the time since the reading before."""

    def __init__(self) -> None:
        self._count = 0
        self._network: tuple[float, int, int] | None = None
        psutil.cpu_percent(percpu=True)

    def read(self) -> dict[str, Reading]:
        """Readings by key. Blocks for some milliseconds."""
        found = {"cpu": _cpu, "memory": _memory, "network": self._net}
        if self._count % SLOW_EVERY == 0:
            found["processes"] = _processes
        readings = {key: reading for key, read in found.items() if (reading := _tried(read))}
        if self._count % SLOW_EVERY == 0:
            readings |= dict(_disks())
        self._count += 1
        return readings

    def _net(self) -> Reading:
        counters, now = psutil.net_io_counters(), time.monotonic()
        before, self._network = self._network, (now, counters.bytes_recv, counters.bytes_sent)
        reading = {"received_bytes": counters.bytes_recv, "sent_bytes": counters.bytes_sent}
        if before is not None and now > before[0]:
            seconds = now - before[0]
            reading["received_per_s"] = round((counters.bytes_recv - before[1]) / seconds)
            reading["sent_per_s"] = round((counters.bytes_sent - before[2]) / seconds)
        return reading


def _tried(read: Callable[[], Reading]) -> Reading | None:
    with contextlib.suppress(psutil.Error, OSError, AttributeError):
        return read()
    return None


def _cpu() -> Reading:
    cores = psutil.cpu_percent(percpu=True)
    load = [round(one, 2) for one in os.getloadavg()]
    return {"percent": round(sum(cores) / max(1, len(cores)), 1), "cores": cores, "load": load}


def _memory() -> Reading:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "total_bytes": memory.total,
        "available_bytes": memory.available,
        "percent": memory.percent,
        "swap_percent": swap.percent,
    }


def _processes() -> Reading:
    wanted = ("pid", "name", "memory_percent")
    found = [one.info for one in psutil.process_iter(wanted)]
    found.sort(key=lambda one: one["memory_percent"] or 0.0, reverse=True)
    top = [
        {"pid": one["pid"], "name": one["name"], "percent": round(one["memory_percent"] or 0.0, 1)}
        for one in found[:TOP_PROCESSES]
    ]
    return {"count": len(found), "top_memory": top}


def _disks() -> Iterator[tuple[str, Reading]]:
    mounts = {"/"}
    with contextlib.suppress(psutil.Error, OSError):
        mounts |= {one.mountpoint for one in psutil.disk_partitions()}
    for mount in sorted(mounts)[:16]:
        with contextlib.suppress(psutil.Error, OSError):
            usage = psutil.disk_usage(mount)
            yield (
                f"disk:{mount}",
                {"total_bytes": usage.total, "free_bytes": usage.free, "percent": usage.percent},
            )
