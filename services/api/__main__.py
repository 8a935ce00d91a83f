"""`python -m services.api`: serve the stored data over HTTP."""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import logging
import sys

from sentinel.arguments import make_parser
from sentinel.config import ensure_state_dir
from sentinel.errors import EXIT_OK
from sentinel.process import run_as_script
from sentinel.storage.connection import resolve_database
from services.api.app import create_app
from services.api.connection_pool import ConnectionPool
from services.api.problems import problem_response
from services.local_users import LocalUserMiddleware, list_allowed_users
from services.settings import load_monitor_settings
from services.web_server import make_server, open_listener

log = logging.getLogger("sentinel.api")

# Python switches threads every 5 ms by default. The thread that serves cached responses releases
# the interpreter at every socket call; with 0.5 ms it waits less for a thread that renders.
THREAD_SWITCH_SECONDS = 0.0005

EPILOG = """example: SENTINEL_API_TOKEN=$(openssl rand -hex 24) python -m services.api
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
        with open_listener("API", monitor.api_host, monitor.api_port) as listener:
            log.warning("The API listens on %s", monitor.own_api_url)
            # The token is enough where there is one.
            users = None if monitor.api_token else list_allowed_users(listener, monitor.local_users)
            guarded = LocalUserMiddleware(app, users, problem_response) if users else app
            make_server(guarded).run(sockets=[listener])
    return EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
