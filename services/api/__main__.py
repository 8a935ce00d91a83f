"""`python -m services.api`: serve the stored data over HTTP."""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import contextlib
import logging
import socket
import sys

import uvicorn

from sentinel.arguments import make_parser
from sentinel.config import ensure_state_dir
from sentinel.errors import EXIT_OK, ConfigurationError
from sentinel.process import run_as_script
from sentinel.storage.connection import resolve_database
from services.api.app import create_app
from services.api.connection_pool import ConnectionPool
from services.settings import load_monitor_settings

log = logging.getLogger("sentinel.api")

# Connections that may wait to be accepted.
BACKLOG = 1024
# Python switches threads every 5 ms by default. The thread that serves cached responses releases
# the interpreter at every socket call; with 0.5 ms it waits less for a thread that renders.
THREAD_SWITCH_SECONDS = 0.0005

EPILOG = """example: SENTINEL_API_TOKEN=secret python -m services.api
The API listens on 127.0.0.1:8000; SENTINEL_API_HOST and SENTINEL_API_PORT change that. GET /docs
describes every route."""


def main() -> int:
    """Serve until a signal stops the process; return 0."""
    parser = make_parser("python -m services.api", __doc__, EPILOG)
    parser.add_argument("--config", help="a file to read instead of ingest_config.json")
    arguments = parser.parse_args()
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    monitor = load_monitor_settings(config=arguments.config)
    ensure_state_dir(monitor.settings.state_dir)
    with resolve_database(monitor.settings) as address:
        app = create_app(monitor, ConnectionPool(address))
        with _open_listener(monitor.api_host, monitor.api_port) as listener:
            log.warning("The API listens on http://%s:%d", monitor.api_host, monitor.api_port)
            config = uvicorn.Config(app, log_config=None, access_log=False)
            uvicorn.Server(config).run(sockets=[listener])
    return EXIT_OK


def _open_listener(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises ConfigurationError if the address cannot be used."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio turns off Nagle's algorithm only for sockets with an explicit protocol; with it,
        # responses wait 40 ms.
        with contextlib.ExitStack() as on_error:
            listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            on_error.enter_context(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(BACKLOG)
            on_error.pop_all()
    except OSError as error:
        raise ConfigurationError(
            f"The API cannot listen on {host}:{port} ({error.strerror}): stop the program that "
            "uses the address, or set SENTINEL_API_HOST and SENTINEL_API_PORT."
        ) from error
    return listener


if __name__ == "__main__":
    run_as_script(main)
