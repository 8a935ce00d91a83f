"""`python -m services.db`: keep the embedded PostgreSQL running.

It ends when the server does, so that its supervisor starts both afresh.
"""

from __future__ import annotations

import argparse
import logging

import psycopg

from safe_zone import load_settings
from sentinel import console
from sentinel.errors import EXIT_OK, ConfigurationError, StorageUnavailable
from sentinel.process import run_as_script
from sentinel.storage.embedded import ensure_running

log = logging.getLogger("sentinel.db")


def main() -> int:
    """Hold the server until this process is stopped. Raises StorageUnavailable when it ends."""
    argparse.ArgumentParser(
        prog="python -m services.db",
        description=__doc__,
        epilog="example: SENTINEL_STATE_DIR=/srv/sentinel python -m services.db",
    ).parse_args()
    console.configure_logging(verbose=True)
    settings = load_settings()
    if settings.database_url:
        raise ConfigurationError(
            "DATABASE_URL is set: that server is somebody else's to keep. Unset it for the "
            "embedded PostgreSQL."
        )
    with ensure_running(settings.state_dir) as conninfo:
        log.info("the embedded PostgreSQL of %s runs", settings.state_dir)
        try:
            _watch(conninfo)
        except psycopg.OperationalError as error:
            cause = str(error).strip().partition("\n")[0]
            raise StorageUnavailable(
                f"The embedded PostgreSQL of {settings.state_dir} has ended ({cause}): to be "
                "started afresh."
            ) from error
    return EXIT_OK


def _watch(conninfo: str) -> None:
    """Wait at a connection for what the server has to say: its end, nobody notifies this one."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for _ in connection.notifies():
            pass


if __name__ == "__main__":
    run_as_script(main)
