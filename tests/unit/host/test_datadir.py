"""A data directory has one holder."""

import os
import stat
from pathlib import Path

import pytest

from holdfast.host.datadir import LOCK_NAME, DataDirectory, DirectoryInUse, DirectoryUnusable


def test_it_is_made_for_its_owner_only_with_its_parents(tmp_path: Path) -> None:
    with DataDirectory.acquire(tmp_path / "a" / "b") as directory:
        assert directory.path == tmp_path / "a" / "b"
        for made in (directory.path, directory.path.parent):
            assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_an_existing_one_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    with DataDirectory.acquire(tmp_path):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_the_second_is_told_who_holds_it_and_what_to_do(tmp_path: Path) -> None:
    # flock binds to the open file: a second acquisition here meets what another process would.
    with DataDirectory.acquire(tmp_path), pytest.raises(DirectoryInUse) as refused:
        DataDirectory.acquire(tmp_path)
    assert f"process {os.getpid()}" in refused.value.message
    assert f"kill {os.getpid()}" in refused.value.remedy


def test_a_holder_that_could_not_write_its_number_still_holds(tmp_path: Path) -> None:
    with DataDirectory.acquire(tmp_path):
        (tmp_path / LOCK_NAME).write_bytes(b"")
        with pytest.raises(DirectoryInUse, match="another process"):
            DataDirectory.acquire(tmp_path)


def test_released_it_can_be_taken_again(tmp_path: Path) -> None:
    first = DataDirectory.acquire(tmp_path)
    first.release()
    first.release()
    DataDirectory.acquire(tmp_path).release()
    assert (tmp_path / LOCK_NAME).read_text() == str(os.getpid())


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DirectoryUnusable):
        DataDirectory.acquire(tmp_path / "file")
    with pytest.raises(DirectoryUnusable):
        DataDirectory.acquire(tmp_path / "file" / "below")
