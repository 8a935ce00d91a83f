"""`python -m services.dashboard`: serve the dashboard's pages."""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import logging
import os
from http import HTTPStatus

import streamlit as st
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.web.bootstrap import load_config_options

from safe_zone import ROOT
from sentinel.arguments import make_parser
from sentinel.errors import EXIT_OK
from sentinel.process import run_as_script
from services.dashboard.elements.theme import THEME_OPTIONS
from services.dashboard.server import static_files, status_page, streamlit_files
from services.dashboard.server.streamlit_files import StaticFilesMiddleware
from services.local_users import LocalUserMiddleware, list_allowed_users
from services.settings import MonitorSettings, load_monitor_settings
from services.web_access import WebAccessMiddleware
from services.web_server import make_server, open_listener

log = logging.getLogger("sentinel.dashboard")

# Where the file of an import goes, and its largest size in MB, which is also the API's.
UPLOAD_PATH, MAX_UPLOAD_MB = "/_stcore/upload_file/", 5

# https://docs.streamlit.io/develop/api-reference/configuration/config.toml
STREAMLIT_OPTIONS = {
    "server.headless": True,
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": False,
    # The warning against a default beside a value from the code, which elements/address.py needs.
    "global.disableWidgetStateDuplicationWarning": True,
    "server.maxUploadSize": MAX_UPLOAD_MB,
    "client.showErrorDetails": "none",  # tracebacks go to the log only
    "client.toolbarMode": "minimal",
} | THEME_OPTIONS
# Streamlit's own choice. uvicorn's other implementation is deprecated.
WEBSOCKETS = "websockets-sansio"
# From a browser. The state of all widgets has some kB.
MAX_MESSAGE_BYTES = 1_000_000
READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Streamlit and its charts need inline styles and scripts. Nothing may come from another host, or
# go to one, whatever a coin is called.
CONTENT_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'"

EPILOG = """example: SENTINEL_API_URL=http://127.0.0.1:8000 python -m services.dashboard
The dashboard listens on 127.0.0.1:8501; SENTINEL_DASHBOARD_HOST and SENTINEL_DASHBOARD_PORT change
that. Anyone who can open it can add transactions: docs/monitor.md describes how to protect it."""


def main() -> int:
    """Serve until a signal stops the process; return 0."""
    make_parser("python -m services.dashboard", __doc__, EPILOG).parse_args()
    monitor = load_monitor_settings()
    os.chdir(ROOT)
    load_config_options(dict(STREAMLIT_OPTIONS))
    with open_listener("dashboard", monitor.dashboard_host, monitor.dashboard_port) as listener:
        log.warning("The dashboard listens on %s", monitor.own_dashboard_url)
        users = list_allowed_users(listener, monitor.local_users)
        app: ASGIApp = create_app(monitor)
        guarded = LocalUserMiddleware(app, users, _refuse) if users else app
        server = make_server(guarded, ws=WEBSOCKETS, ws_max_size=MAX_MESSAGE_BYTES)
        server.run(sockets=[listener])
    return EXIT_OK


def create_app(monitor: MonitorSettings) -> st.App:
    """Return Streamlit's application behind the checks of hosts, origins and methods."""
    access = Middleware(
        WebAccessMiddleware,
        hosts=monitor.hosts,
        public_hosts=monitor.public_hosts,
        content_policy=CONTENT_POLICY,
        refuse=_refuse,
    )
    middleware = [access, Middleware(UploadMiddleware), Middleware(StaticFilesMiddleware)]
    script = ROOT / "services/dashboard/app/main.py"
    return st.App(
        script,
        routes=[
            *status_page.make_routes(monitor),
            *static_files.make_routes(),
            *streamlit_files.make_routes(),
        ],
        middleware=middleware,
    )


class UploadMiddleware:
    """Refuse every HTTP request that is no read and no upload of a file to import.

    Clicks come over the WebSocket. Streamlit accepts an upload only with the id of an open page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a read or an upload on, or respond with 405."""
        app = self._app
        is_read = scope["type"] != "http" or scope["method"] in READ_METHODS
        if not is_read and not scope["path"].startswith(UPLOAD_PATH):
            app = _refuse(HTTPStatus.METHOD_NOT_ALLOWED, "The dashboard takes no such request.")
        await app(scope, receive, send)


def _refuse(status: int, reason: str) -> Response:
    return PlainTextResponse(f"{reason}\n", status)


if __name__ == "__main__":
    run_as_script(main)
