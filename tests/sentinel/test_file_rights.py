"""Which rights other users of the machine have on our files and folders."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentinel import files
from sentinel.config import ensure_state_dir, read_environment
from sentinel.errors import ConfigurationError
from services.ingestion.announced_incidents import AnnouncedIncidents
from services.stack import control
from services.stack.control import Stack
from services.stack.log_file import LogFile, locate_log
from services.stack.supervisor_config import control_socket

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
ONLY_ROOT = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can be two users"
)
OTHER_USER = 65534


@contextlib.contextmanager
def folder_and_other_user(owner: int, mode: int) -> Iterator[Path]:
    """Yield a folder of `owner`; during the block this process has the rights of OTHER_USER."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(mode)
        os.chown(folder, owner, owner)
        with files.exclusive_lock(Path(folder) / "work"):
            pass  # root creates the lock file
        os.setegid(OTHER_USER)
        os.seteuid(OTHER_USER)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)
            os.setegid(0)


@ONLY_ROOT
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_another_user_cannot_hold_a_lock(mode: int) -> None:
    with (
        folder_and_other_user(0, mode) as folder,
        files.try_lock(folder / "work") as has_lock,
        pytest.raises(PermissionError),
    ):
        assert not has_lock
        os.open(folder / ".work.lock", os.O_RDONLY)


@ONLY_ROOT
@pytest.mark.parametrize(("owner", "mode"), [(65534, 0o755), (0, 0o777)])
def test_a_lock_file_that_root_created_is_for_those_who_may_write_in_its_folder(
    owner: int, mode: int
) -> None:
    with (
        folder_and_other_user(owner, mode) as folder,
        files.exclusive_lock(folder / "work"),
        files.try_lock(folder / "work") as has_second,
    ):
        assert not has_second


@ONLY_ROOT
def test_a_folder_that_root_creates_is_for_the_owner_of_the_one_around_it(tmp_path: Path) -> None:
    os.chown(tmp_path, OTHER_USER, OTHER_USER)
    folder = tmp_path / "a" / "b"
    files.create_folder(folder)
    assert [path.stat().st_uid for path in (folder, folder.parent)] == [OTHER_USER, OTHER_USER]


@ONLY_ROOT
def test_logs_and_incidents_that_root_creates_are_for_the_folders_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, OTHER_USER, OTHER_USER)
    control._prepare_folder(Stack(tmp_path / "stack", {}, {}, {}))
    api_log = locate_log(tmp_path / "stack", "api")
    LogFile(api_log, [])
    AnnouncedIncidents(tmp_path / "incidents.json").since("disk")
    control_socket(tmp_path / "stack").parent.rmdir()
    made = [path for path in tmp_path.rglob("*") if path.stat().st_uid != OTHER_USER]
    assert (api_log.exists(), made) == (True, [])


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PermissionError(13, "Permission denied", "/a"), "/a. Run the command as the owner"),
        (OSError(28, "No space left on device", "/a"), "/a. Free disk space there"),
        (IsADirectoryError(21, "Is a directory", "/a"), "/a. Check that file and its disk"),
        (PermissionError("The folder is open. Delete it."), "The folder is open. Delete it"),
    ],
)
def test_an_error_of_the_system_comes_with_its_own_remedy(error: OSError, text: str) -> None:
    assert text in files.describe_os_error(error)


def test_a_lock_that_cannot_be_opened_is_not_held_by_another_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".backfill.lock").mkdir()
    with files.try_lock(tmp_path / "backfill") as has_lock:
        assert not has_lock
    assert "backfill cannot be locked: Is a directory" in caplog.text
    with (
        pytest.raises(ConfigurationError, match="backfill cannot be locked: Is a directory"),
        files.lock_or_refuse(tmp_path / "backfill", ValueError("another process holds it")),
    ):
        pass


@ONLY_ROOT
def test_a_file_that_root_replaces_stays_its_owners(tmp_path: Path) -> None:
    os.chown(tmp_path, OTHER_USER, OTHER_USER)
    for _ in range(2):  # a new file is the folder's owner's
        files.replace_atomically(tmp_path / "state", b"x")
        assert (tmp_path / "state").stat().st_uid == OTHER_USER


def test_a_new_file_is_for_its_owner_only_and_an_old_one_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "state"
    for mode in (0o600, 0o640):
        files.replace_atomically(path, b"x")
        assert path.stat().st_mode & 0o777 == mode
        path.chmod(0o640)
    files.replace_atomically(tmp_path / "shared", b"x", new_mode=0o644)
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o644


def test_a_folder_is_created_closed_and_an_open_one_is_closed_with_a_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "a" / "state"
    before = os.umask(0o077)
    files.create_closed_folder(folder, 0o711)
    os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o711, 0o711]
    files.create_closed_folder(tmp_path / "b")
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o700
    assert not caplog.messages
    for kept, mode in ((0o700, 0o700), (0o711, 0o711)):
        folder.chmod(0o755)
        files.create_closed_folder(folder, kept)
        assert folder.stat().st_mode & 0o777 == mode
    assert all("was open to other users" in message for message in caplog.messages)


@pytest.mark.parametrize("umask", [0, 0o777])
def test_a_new_folder_has_its_owners_rights_whatever_the_umask_is(
    tmp_path: Path, umask: int
) -> None:
    folder = tmp_path / "a" / "b"
    before = os.umask(umask)
    try:
        files.create_folder(folder)
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]
    folder.chmod(0o750)
    files.create_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o750
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        files.create_folder(tmp_path / "file")


def test_a_state_directory_that_is_no_folder_is_named(tmp_path: Path) -> None:
    link = tmp_path / "state"
    link.symlink_to("/mnt/not-mounted/state")
    with pytest.raises(ConfigurationError, match=r"is a link to /mnt/not-mounted/state.*mount"):
        ensure_state_dir(link)
    link.unlink()
    link.touch()
    with pytest.raises(ConfigurationError, match="is a file: set SENTINEL_STATE_DIR"):
        ensure_state_dir(link)


def test_a_shared_folder_stays_open_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o1777)
    files.create_closed_folder(tmp_path)
    assert tmp_path.stat().st_mode & 0o7777 == 0o1777
    assert "is open to other users" in caplog.text


@pytest.mark.parametrize(("mode", "warns"), [(0o644, True), (0o640, True), (0o600, False)])
def test_an_env_file_that_others_can_read_is_reported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mode: int,
    warns: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("SENTINEL_API_TOKEN=hunter2")
    (tmp_path / ".env").chmod(mode)
    assert read_environment([], {}) == {"SENTINEL_API_TOKEN": "hunter2"}
    assert ("chmod 600 .env" in caplog.text) == warns
    assert "hunter2" not in caplog.text
