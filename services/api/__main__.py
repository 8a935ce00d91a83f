"""`python -m services.api`: serve what is stored."""

from __future__ import annotations

import argparse
import logging

import uvicorn

import console
import postgres
from errors import EXIT_OK, SentinelError, run_as_script
from safe_zone import ensure_state_dir
from services.api.app import create_app
from services.api.store import Store
from services.settings import load_monitor

log = logging.getLogger("sentinel.api")

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
    console.speak_through_logging()
    monitor = load_monitor(config=arguments.config)
    ensure_state_dir(monitor.settings.state_dir)
    with postgres.reach(monitor.settings) as address:
        config = uvicorn.Config(
            create_app(monitor, Store(address)),
            host=monitor.api_host,
            port=monitor.api_port,
            log_config=None,
            access_log=False,
        )
        server = uvicorn.Server(config)
        log.warning("serving http://%s:%d", monitor.api_host, monitor.api_port)
        server.run()
    if not server.started:
        raise SentinelError(
            f"Nothing can listen on {monitor.api_host}:{monitor.api_port}: stop what is there, or "
            "set SENTINEL_API_PORT."
        )
    return EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
