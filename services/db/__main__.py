"""`python -m services.db`: keep the embedded PostgreSQL running.

The process ends when the server ends, so that its supervisor restarts both.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import logging

import psycopg

from safe_zone import load_settings
from sentinel.arguments import make_parser
from sentinel.errors import EXIT_OK, ConfigurationError, StorageUnavailable
from sentinel.process import configure_logging, run_as_script
from sentinel.storage.embedded import ensure_running

log = logging.getLogger("sentinel.db")


def main() -> int:
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
        except psycopg.OperationalError as error:
            cause = str(error).strip().partition("\n")[0]
            raise StorageUnavailable(
                f"The embedded PostgreSQL of {settings.state_dir} has ended ({cause}): start "
                "services.db again."
            ) from error
    return EXIT_OK


def _wait_for_end(conninfo: str) -> None:
    """Wait until the server closes a connection. No process ever sends a notification to it."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for _ in connection.notifies():
            pass


if __name__ == "__main__":
    run_as_script(main)
