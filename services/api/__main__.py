"""`python -m services.api`: serve what is stored."""

from __future__ import annotations

import argparse
import logging
import socket
import sys

import uvicorn

from safe_zone import ensure_state_dir
from sentinel import console
from sentinel.errors import EXIT_OK, ConfigurationError
from sentinel.process import run_as_script
from sentinel.storage.connection import resolve_database
from services.api.app import create_app
from services.api.connection_pool import Store
from services.settings import load_monitor_settings

log = logging.getLogger("sentinel.api")

BACKLOG = 1024
# A thread that renders lets go of the interpreter ten times as often as usual, so that the one that
# serves kept answers, and lets go of it with every socket, is not kept waiting 5 ms each time.
SWITCH_SECONDS = 0.0005

EPILOG = """example: SENTINEL_API_TOKEN=secret python -m services.api
It listens on 127.0.0.1:8000 unless SENTINEL_API_HOST and SENTINEL_API_PORT say otherwise; GET /docs
describes it."""


def main() -> int:
    """Serve until stopped; returns 0."""
    parser = argparse.ArgumentParser(
        prog="python -m services.api",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", help="another file than ingest_config.json")
    arguments = parser.parse_args()
    console.configure_logging()
    sys.setswitchinterval(SWITCH_SECONDS)
    monitor = load_monitor_settings(config=arguments.config)
    ensure_state_dir(monitor.settings.state_dir)
    with resolve_database(monitor.settings) as address:
        app = create_app(monitor, Store(address))
        with _listen(monitor.api_host, monitor.api_port) as listener:
            log.warning("serving http://%s:%d", monitor.api_host, monitor.api_port)
            config = uvicorn.Config(app, log_config=None, access_log=False)
            uvicorn.Server(config).run(sockets=[listener])
    return EXIT_OK


def _listen(host: str, port: int) -> socket.socket:
    """Raises ConfigurationError where nothing can listen there."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # With its protocol named, asyncio turns Nagle's algorithm off: else answers wait 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"Nothing can listen on {host}:{port} ({error.strerror}): stop what is there, or set "
            "SENTINEL_API_HOST and SENTINEL_API_PORT."
        ) from error
    return listener


if __name__ == "__main__":
    run_as_script(main)
