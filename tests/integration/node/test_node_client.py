"""Node's gRPC loads the .proto files as they are; what it then sees at a door.

The packages are installed beside the script from its lock file, which names no registry. Where Node
is absent, or the packages cannot be had, the tests are skipped and say so.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.contract import doors

HERE = Path(__file__).parent
PROTO = HERE.parents[2] / "proto"
INSTALL_SECONDS = 90
RUN_SECONDS = 30

pytestmark = [pytest.mark.integration, pytest.mark.needs_node]


@pytest.fixture(scope="session")
def node() -> str:
    """The program, with the packages beside the script."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("there is no Node.js on this machine")
    with (HERE / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other test processes install the same
        if not (HERE / "node_modules" / "@grpc" / "grpc-js").exists():
            _install()
    return found


def _install() -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm to install the Node client's packages with")
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(
            command, cwd=HERE, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm could not install the Node client's packages in {INSTALL_SECONDS} s")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        pytest.skip(f"npm could not install the Node client's packages: {lines[-1]}")


@pytest.mark.parametrize("kind", doors.KINDS)
async def test_a_node_client_commits_watches_and_resumes(
    node: str, kind: str, tmp_path: Path
) -> None:
    async with doors.opened(kind, tmp_path) as door:
        seen = await _run(node, door.address)
    assert seen["sameCommit"]
    assert [[change["key"] for change in commit] for commit in seen["before"]] == [["a"], ["b"]]
    (third,), (deletion,) = seen["after"]
    assert (third["key"], third["json"], third["deleted"]) == ("c", '{"n":3}', False)
    assert (deletion["key"], deletion["json"], deletion["deleted"]) == ("a", '{"n":1}', True)
    revisions = [int(commit[0]["revision"]) for commit in seen["before"] + seen["after"]]
    assert revisions == sorted(set(revisions))
    assert seen["refused"]["reason"] == "INVALID_NAME"
    assert seen["refused"]["domain"] == "holdfast"
    assert seen["refused"]["remedy"]
    assert seen["read"] == '{"n":3}'
    assert seen["actor"] == {"id": "node", "kind": "ACTOR_KIND_AI"}


async def _run(node: str, address: str) -> dict[str, Any]:
    program = await asyncio.create_subprocess_exec(
        *(node, str(HERE / "client.js"), str(PROTO), address),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(program.communicate(), RUN_SECONDS)
    except TimeoutError:
        program.kill()
        await program.wait()
        raise
    assert program.returncode == 0, errors.decode()
    seen: dict[str, Any] = json.loads(output)
    return seen
