"""Locks of files that several processes write."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import filelock
import pytest

from safe_zone import ROOT
from sentinel import files
from sentinel.errors import ConfigurationError

# A process that takes the lock, says whether it has it, and holds it until its input ends.
HOLDER = """
import sys
from pathlib import Path
from sentinel import files
with files.try_lock(Path(sys.argv[1])) as has_lock:
    print(has_lock, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True, params=["this system", "Windows"])
def lock_function(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test filelock's function, which Windows uses, on this system too."""
    if request.param == "Windows":
        monkeypatch.setattr(files, "lock_descriptor", filelock.lock_descriptor)


def test_only_one_of_two_holders_in_a_process_gets_the_lock(tmp_path: Path) -> None:
    with files.try_lock(tmp_path / "work") as first, files.try_lock(tmp_path / "work") as second:
        assert (first, second) == (True, False)
    with files.try_lock(tmp_path / "work") as again:
        assert again


def test_locks_of_different_paths_are_independent(tmp_path: Path) -> None:
    with files.try_lock(tmp_path / "one"), files.try_lock(tmp_path / "two") as has_lock:
        assert has_lock


def test_a_lock_that_is_not_available_raises_the_callers_error(tmp_path: Path) -> None:
    refusal = ConfigurationError("another one is running")
    with (
        files.try_lock(tmp_path / "work"),
        pytest.raises(ConfigurationError, match="another one"),
        files.lock_or_refuse(tmp_path / "work", refusal),
    ):
        pass


def test_an_exclusive_lock_waits_until_another_thread_releases_it(tmp_path: Path) -> None:
    order: list[str] = []

    def wait_for_lock() -> None:
        with files.exclusive_lock(tmp_path / "work"):
            order.append("second")

    thread = threading.Thread(target=wait_for_lock)
    with files.exclusive_lock(tmp_path / "work"):
        thread.start()
        thread.join(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path / "work"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with files.try_lock(tmp_path / "work") as has_lock:
            assert not has_lock
        holder.kill()
    with files.exclusive_lock(tmp_path / "work"):
        pass


def test_a_lock_file_that_cannot_be_created_counts_as_a_lock_that_is_not_available(
    tmp_path: Path,
) -> None:
    with files.try_lock(tmp_path / "missing" / "work") as has_lock:
        assert not has_lock
    with pytest.raises(FileNotFoundError), files.exclusive_lock(tmp_path / "missing" / "work"):
        pass
