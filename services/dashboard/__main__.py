"""`python -m services.dashboard`: serve the dashboard's pages."""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import os

from streamlit.web import cli as streamlit

from safe_zone import ROOT
from sentinel.arguments import make_parser
from sentinel.errors import EXIT_OK
from sentinel.process import run_as_script
from services.settings import MonitorSettings, load_monitor_settings

EPILOG = """example: SENTINEL_API_URL=http://127.0.0.1:8000 python -m services.dashboard
The dashboard listens on 127.0.0.1:8501; SENTINEL_DASHBOARD_HOST and SENTINEL_DASHBOARD_PORT change
that. Anyone who can open it can add transactions: docs/monitor.md describes how to protect it."""


def main() -> int:
    """Serve until a signal stops the process; return 0."""
    make_parser("python -m services.dashboard", __doc__, EPILOG).parse_args()
    os.chdir(ROOT)
    streamlit.main(_list_arguments(load_monitor_settings()), "streamlit", standalone_mode=False)
    return EXIT_OK


def _list_arguments(monitor: MonitorSettings) -> list[str]:
    # https://docs.streamlit.io/develop/api-reference/configuration/config.toml
    options = {
        "server.address": monitor.dashboard_host,
        "server.port": monitor.dashboard_port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",  # tracebacks go to the log only
        "client.toolbarMode": "minimal",
        "theme.light.primaryColor": "#2a78d6",
        "theme.dark.primaryColor": "#5b9df0",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return ["run", "services/dashboard/app/main.py", *flags]


if __name__ == "__main__":
    run_as_script(main)
