"""The settings of the monitor: the key `monitor` of ingest_config.json, and the environment."""

from __future__ import annotations

import ipaddress
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from safe_zone import Settings, load_settings
from sentinel import config_validation
from sentinel.config import read_environment
from sentinel.errors import ConfigurationError

API_PORT = 8000
DASHBOARD_PORT = 8501
LOOPBACK = "127.0.0.1"


def _check_time_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("is not a time zone: write a name such as Asia/Jakarta") from error
    return name


def _check_term(term: str) -> str:
    """PostgreSQL stores neither NUL nor lone surrogates."""
    if "\0" in term or term != term.encode("utf-8", "replace").decode():
        raise ValueError("has characters that no coin id, symbol or name has: remove them")
    return term


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
    max_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.25
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
    options: MonitorOptions = field(default_factory=MonitorOptions)
    # Apprise addresses that messages are sent to, Telegram first (ALERT_URLS, TELEGRAM_*).
    alert_urls: tuple[str, ...] = field(default=(), repr=False)
    # The API's bearer token (SENTINEL_API_TOKEN). None: the API needs no token.
    api_token: str | None = field(default=None, repr=False)
    # Where the API listens (SENTINEL_API_HOST, SENTINEL_API_PORT).
    api_host: str = LOOPBACK
    api_port: int = API_PORT
    # Where the dashboard finds the API (SENTINEL_API_URL).
    api_url: str = f"http://{LOOPBACK}:{API_PORT}"
    # Where the dashboard listens (SENTINEL_DASHBOARD_HOST, SENTINEL_DASHBOARD_PORT).
    dashboard_host: str = LOOPBACK
    dashboard_port: int = DASHBOARD_PORT

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
    settings = load_settings({}, config=config, environ=environ)
    errors: list[str] = []
    values = read_environment(environ, errors)
    api_port = _read_port("SENTINEL_API_PORT", values, API_PORT, errors)
    api_url = config_validation.parse_base_url(
        "SENTINEL_API_URL", values.get("SENTINEL_API_URL"), "http://api:8000", errors
    )
    monitor = MonitorSettings(
        settings=settings,
        options=_validate_options(settings.monitor, errors),
        alert_urls=_read_alert_urls(values, errors),
        api_token=config_validation.parse_key(
            "SENTINEL_API_TOKEN", values.get("SENTINEL_API_TOKEN"), errors
        ),
        api_host=values.get("SENTINEL_API_HOST") or LOOPBACK,
        api_port=api_port,
        api_url=api_url or f"http://{LOOPBACK}:{api_port}",
        dashboard_host=values.get("SENTINEL_DASHBOARD_HOST") or LOOPBACK,
        dashboard_port=_read_port("SENTINEL_DASHBOARD_PORT", values, DASHBOARD_PORT, errors),
    )
    if errors:
        raise ConfigurationError(config_validation.join_errors(errors))
    return monitor


def _reachable_host(host: str) -> str:
    """Return the host of a URL for a server that listens on `host`.

    A server that listens on all addresses (0.0.0.0, ::) is reached on the loopback address.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return LOOPBACK if address.version == 4 else "[::1]"
    return f"[{address}]" if address.version == 6 else host


def _validate_options(content: Mapping[str, object], errors: list[str]) -> MonitorOptions:
    try:
        options = MonitorOptions.model_validate(content)
    except ValidationError as error:
        errors += [
            f"monitor.{'.'.join(map(str, detail['loc']))} {detail['input']!r:.60}: "
            f"{detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors()
        ]
        return MonitorOptions()
    if options.min_threshold > options.max_threshold:
        errors.append(
            f"monitor.min_threshold {options.min_threshold} is above "
            f"monitor.max_threshold {options.max_threshold}: lower one or raise the other"
        )
    return options


def _read_alert_urls(values: Mapping[str, str], errors: list[str]) -> tuple[str, ...]:
    """Return the addresses of the alert targets. Errors never repeat one: they hold secrets."""
    token, chat = values.get("TELEGRAM_BOT_TOKEN"), values.get("TELEGRAM_CHAT_ID")
    if bool(token) != bool(chat):
        errors.append("TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID go together: set both, or neither")
    telegram = [f"tgram://{token}/{chat}/"] if token and chat else []
    # An address may contain commas: only a comma before another address separates two of them.
    urls = re.split(
        r"\s*,\s*(?=[A-Za-z][A-Za-z0-9+.-]*://|$)", values.get("ALERT_URLS", "").strip()
    )
    urls = [url for url in urls if url]
    return tuple(dict.fromkeys([*telegram, *urls]))


def _read_port(name: str, values: Mapping[str, str], default: int, errors: list[str]) -> int:
    value = values.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 65_536):
        errors.append(f"{name} '{value[:40]}' must be a port from 1 to 65535")
        return default
    return int(value)
