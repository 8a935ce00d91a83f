"""`python -m services.db`: keep the embedded PostgreSQL running.

The process ends when the server ends, so that its supervisor restarts both. It also ends when a
user or a program that empties /tmp deletes the server's socket: the next start restarts the server.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import logging
from pathlib import Path
from typing import NoReturn

import psycopg

from safe_zone import load_settings
from sentinel.arguments import make_parser
from sentinel.errors import ConfigurationError, StorageUnavailable
from sentinel.process import configure_logging, run_as_script
from sentinel.storage.embedded import ensure_running

log = logging.getLogger("sentinel.db")
CHECK_SECONDS = 10.0


def main() -> NoReturn:
    """Run the server until this process is stopped. Raises StorageUnavailable if it ends."""
    make_parser(
        "python -m services.db",
        __doc__,
        "example: SENTINEL_STATE_DIR=/srv/sentinel python -m services.db",
    ).parse_args()
    configure_logging(verbose=True)
    settings = load_settings()
    if settings.database_url:
        raise ConfigurationError(
            "DATABASE_URL is set, and services.db runs only the embedded PostgreSQL: unset it, or "
            "do not start services.db."
        )
    with ensure_running(settings.state_dir) as conninfo:
        log.info("the embedded PostgreSQL of %s is running", settings.state_dir)
        try:
            _wait_for_end(conninfo)
            problem = "has lost its socket, which was deleted"
        except psycopg.OperationalError as error:
            problem = f"has ended ({str(error).strip().partition(chr(10))[0]})"
    raise StorageUnavailable(
        f"The embedded PostgreSQL of {settings.state_dir} {problem}: start services.db again."
    )


def _wait_for_end(conninfo: str) -> None:
    """Wait until the server closes a connection, or the file of its socket is deleted.

    No process ever sends a notification to the connection.
    """
    with psycopg.connect(conninfo, autocommit=True) as connection:
        folder = Path(connection.info.host)  # of the socket; on Windows the host of a port
        while not folder.is_absolute() or (folder / f".s.PGSQL.{connection.info.port}").exists():
            for _ in connection.notifies(timeout=CHECK_SECONDS):
                pass


if __name__ == "__main__":
    run_as_script(main)
