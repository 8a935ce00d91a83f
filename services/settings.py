"""The settings of the monitor: the key `monitor` of ingest_config.json, and the environment."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from safe_zone import KNOWN_KEYS, Settings
from sentinel.config import read_settings, validate
from sentinel.fields import HostNames, HttpAddress, LocalUsers, Port, Token, variable
from sentinel.notifications.addresses import read_alert_urls

API_PORT = 8000
DASHBOARD_PORT = 8501
LOOPBACK = "127.0.0.1"
# A server that listens on all addresses (only recognized here), and how it is reached locally.
ALL_ADDRESSES = {"0.0.0.0": LOOPBACK, "::": "[::1]"}  # noqa: S104 # nosec B104


def _check_time_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"{name!r:.60} is not a time zone: write one such as Asia/Jakarta"
        ) from error
    return name


def _check_term(term: str) -> str:
    """PostgreSQL stores neither NUL nor lone surrogates."""
    if "\0" in term or term != term.encode("utf-8", "replace").decode():
        raise ValueError(
            f"{term!r:.60} has characters that no coin id, symbol or name has: remove them"
        )
    return term


def _check_max_threshold(value: float, info: ValidationInfo) -> float:
    if value < (least := info.data.get("min_threshold", value)):
        raise ValueError(
            f"{value} is below monitor.min_threshold {least}: raise it, or lower the other"
        )
    return value


class MonitorOptions(BaseModel):
    """The object `monitor` of ingest_config.json: watched coins, alert rules, language."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # Coins to watch, by id, symbol or name. Held coins and `top_coins` are watched too.
    watchlist: Annotated[
        list[Annotated[str, AfterValidator(_check_term)]], Field(max_length=500)
    ] = []
    # This many of the best-ranked coins are watched.
    top_coins: Annotated[int, Field(ge=0, le=500)] = 20
    # Target rate: the threshold multiplier of each coin is calibrated for so many alerts.
    # Null: every coin keeps `threshold_multiplier`.
    alerts_per_coin_week: Annotated[float, Field(gt=0, le=200)] | None = 2.0
    # The threshold in standard deviations of the price change, until a coin is calibrated.
    threshold_multiplier: Annotated[float, Field(gt=0, le=100)] = 1.5
    # High-water and low-water marks are taken from this many hours.
    window_hours: Annotated[float, Field(gt=0, le=24 * 60)] = 24.0
    # The volatility is that of a price change over this many hours.
    horizon_hours: Annotated[float, Field(gt=0, le=24 * 60)] = 24.0
    # Older price changes lose half of their weight in the volatility after this many hours.
    volatility_half_life_hours: Annotated[float, Field(gt=0, le=24 * 60)] = 72.0
    # Limits of the threshold, as fractions of the price.
    min_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.01
    max_threshold: Annotated[
        float, Field(gt=0, lt=1, validate_default=True), AfterValidator(_check_max_threshold)
    ] = 0.25
    # Of the messages: English or Indonesian.
    language: Literal["en", "id"] = "en"
    # Of the times in messages, by its IANA name.
    time_zone: Annotated[str, AfterValidator(_check_time_zone)] = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorSettings:
    """The settings of a monitor. Secrets are left out of the repr."""

    # The pipeline's settings.
    settings: Settings
    # The object `monitor` of ingest_config.json.
    options: Annotated[MonitorOptions, Field(validation_alias="monitor")] = field(
        default_factory=MonitorOptions
    )
    # Apprise addresses that messages are sent to, Telegram first (ALERT_URLS, TELEGRAM_*).
    alert_urls: tuple[str, ...] = field(default=(), repr=False)
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
    values, errors = read_settings(
        KNOWN_KEYS | {"monitor": tuple(MonitorOptions.model_fields)}, config=config, environ=environ
    )
    own = {"settings": values, "alert_urls": read_alert_urls(values, errors)}
    monitor = validate(MonitorSettings, values | own, errors)
    if "SENTINEL_API_URL" in values:
        return monitor
    return replace(monitor, api_url=monitor.own_api_url)


def _reachable_host(host: str) -> str:
    """Return the host of a URL, on this machine, for a server that listens on `host`."""
    return ALL_ADDRESSES.get(host) or (f"[{host}]" if ":" in host else host)
