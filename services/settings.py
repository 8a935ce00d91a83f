"""The settings of the monitor: the key `monitor` of ingest_config.json, and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from safe_zone import Settings
from sentinel.alerting.settings import KEYS_WITH_OPTIONS, AlertSettings
from sentinel.config import read_settings, validate
from sentinel.fields import (
    HostNames,
    HttpAddress,
    Key,
    LocalUsers,
    Origins,
    Port,
    Token,
    UserIds,
    variable,
)
from sentinel.notifications.addresses import read_alert_urls

API_PORT = 8000
DASHBOARD_PORT = 8501
LOOPBACK = "127.0.0.1"
# A server that listens on all addresses (only recognized here), and how it is reached locally.
ALL_ADDRESSES = {"0.0.0.0": LOOPBACK, "::": "[::1]"}  # noqa: S104 # nosec B104


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorSettings(AlertSettings):
    """The settings of a monitor. Secrets are left out of the repr."""

    # The pipeline's settings.
    settings: Settings
    # The bot and the chat of TELEGRAM_*, for the process that answers commands.
    telegram_bot_token: Annotated[Key | None, variable("TELEGRAM_BOT_TOKEN")] = field(
        default=None, repr=False
    )
    telegram_chat_id: Annotated[Key | None, variable("TELEGRAM_CHAT_ID")] = None
    # Who may command in the chat. Empty: the person of a private chat, no person in a group.
    telegram_user_ids: Annotated[UserIds, variable("TELEGRAM_USER_IDS")] = ()
    # The dead man's switches that the loop reports its ticks to, and a backup its result.
    monitor_heartbeat_url: Annotated[HttpAddress | None, variable("HEARTBEAT_URL_MONITOR")] = field(
        default=None, repr=False
    )
    backup_heartbeat_url: Annotated[HttpAddress | None, variable("HEARTBEAT_URL_BACKUP")] = field(
        default=None, repr=False
    )
    # The API's bearer token. None: the API needs no token.
    api_token: Annotated[Token | None, variable("SENTINEL_API_TOKEN")] = field(
        default=None, repr=False
    )
    # Where the API listens.
    api_host: Annotated[str, variable("SENTINEL_API_HOST")] = LOOPBACK
    api_port: Annotated[Port, variable("SENTINEL_API_PORT")] = API_PORT
    # Where the dashboard finds the API.
    api_url: Annotated[HttpAddress, variable("SENTINEL_API_URL")] = f"http://{LOOPBACK}:{API_PORT}"
    # Where the dashboard listens.
    dashboard_host: Annotated[str, variable("SENTINEL_DASHBOARD_HOST")] = LOOPBACK
    dashboard_port: Annotated[Port, variable("SENTINEL_DASHBOARD_PORT")] = DASHBOARD_PORT

    # Names under which a proxy or the network knows API and dashboard.
    public_hosts: Annotated[HostNames, variable("SENTINEL_PUBLIC_HOSTS")] = ()

    # Origins of other web pages that may use the API in a browser.
    api_origins: Annotated[Origins, variable("SENTINEL_API_ORIGINS")] = ()

    # Users of this machine who may open the dashboard, besides its own and root.
    local_users: Annotated[LocalUsers, variable("SENTINEL_LOCAL_USERS")] = ()

    @property
    def hosts(self) -> frozenset[str]:
        """The names, besides IP addresses, that a request to API or dashboard may be sent to."""
        own = {self.api_host.lower(), self.dashboard_host.lower()}
        # In containers the dashboard knows the API by the name of its service.
        service = {"api"} if self.api_host in ALL_ADDRESSES else set()
        return frozenset({"localhost", *self.public_hosts} | own | service)

    @property
    def own_api_url(self) -> str:
        """The address, on this machine, of the API that runs with these settings."""
        return f"http://{_reachable_host(self.api_host)}:{self.api_port}"

    @property
    def own_dashboard_url(self) -> str:
        """The address, on this machine, of the dashboard that runs with these settings."""
        return f"http://{_reachable_host(self.dashboard_host)}:{self.dashboard_port}"


def load_monitor_settings(
    *, config: str | None = None, environ: Mapping[str, str] | None = None
) -> MonitorSettings:
    """Read the environment, `.env` and `ingest_config.json`.

    Raises ConfigurationError with all errors at once.
    """
    values, errors = read_settings(KEYS_WITH_OPTIONS, config=config, environ=environ)
    own = {"settings": values, "alert_urls": read_alert_urls(values, errors)}
    monitor = validate(MonitorSettings, values | own, errors)
    if "SENTINEL_API_URL" in values:
        return monitor
    return replace(monitor, api_url=monitor.own_api_url)


def _reachable_host(host: str) -> str:
    """Return the host of a URL, on this machine, for a server that listens on `host`."""
    return ALL_ADDRESSES.get(host) or (f"[{host}]" if ":" in host else host)
