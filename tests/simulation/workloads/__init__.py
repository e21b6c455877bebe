"""What clients do in a run, one file for each kind of work.

A workload names the policies that it needs and puts its clients into the world. To add one, write a
file with a `WORKLOAD` and name it here. Whether a seed has it is decided by a stream of chance of
its own; the agents of clients.py are part of every run.
"""

from __future__ import annotations

from tests.simulation.workloads import answers, levels, ruled, typing_pages
from tests.simulation.workloads.workload import Workload

WORKLOADS: tuple[Workload, ...] = (
    typing_pages.WORKLOAD, ruled.WORKLOAD, answers.WORKLOAD, levels.WORKLOAD,
)  # fmt: skip

BY_NAME = {workload.name: workload for workload in WORKLOADS}
