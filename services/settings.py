"""What a deployment of the monitor decides: the key `monitor` of ingest_config.json, and the
environment."""

from __future__ import annotations

import ipaddress
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from safe_zone import Settings, load_settings, read_environment
from sentinel import config_values
from sentinel.errors import ConfigurationError

API_PORT = 8000
DASHBOARD_PORT = 8501
LOOPBACK = "127.0.0.1"


def _known_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("is no time zone such as Asia/Jakarta") from error
    return name


def _storable(name: str) -> str:
    if "\0" in name or name != name.encode("utf-8", "replace").decode():
        raise ValueError("holds characters that no coin's name has")
    return name


class MonitorOptions(BaseModel):
    """The object `monitor`: what is watched, what an alert takes, how people are spoken to."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    watchlist: Annotated[
        list[Annotated[str, AfterValidator(_storable)]], Field(max_length=500)
    ] = []
    """Coins by id, symbol or name; held coins and the `top_coins` ranked ones are watched too."""
    top_coins: Annotated[int, Field(ge=0, le=500)] = 20
    alerts_per_coin_week: Annotated[float, Field(gt=0, le=200)] | None = 2.0
    """The budget of alerts; null: `threshold_multiplier` stays as it is."""
    threshold_multiplier: Annotated[float, Field(gt=0, le=100)] = 1.5
    """Thresholds in standard deviations, until a budget is solved for."""
    window_hours: Annotated[float, Field(gt=0, le=24 * 60)] = 24.0
    horizon_hours: Annotated[float, Field(gt=0, le=24 * 60)] = 24.0
    volatility_half_life_hours: Annotated[float, Field(gt=0, le=24 * 60)] = 72.0
    min_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.01
    max_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.25
    language: Literal["en", "id"] = "en"
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorSettings:
    """The settings of the pipeline and of what is around it; secrets are left out of its repr."""

    settings: Settings
    options: MonitorOptions = field(default_factory=MonitorOptions)
    alert_urls: tuple[str, ...] = field(default=(), repr=False)
    api_token: str | None = field(default=None, repr=False)
    api_host: str = LOOPBACK
    api_port: int = API_PORT
    api_url: str = f"http://{LOOPBACK}:{API_PORT}"
    dashboard_host: str = LOOPBACK
    dashboard_port: int = DASHBOARD_PORT

    @property
    def own_api_url(self) -> str:
        """Where the API that is started with these settings answers on this machine."""
        return f"http://{_reachable(self.api_host)}:{self.api_port}"

    @property
    def own_dashboard_url(self) -> str:
        """The same for the dashboard."""
        return f"http://{_reachable(self.dashboard_host)}:{self.dashboard_port}"


def load_monitor_settings(
    *, config: str | None = None, environ: Mapping[str, str] | None = None
) -> MonitorSettings:
    """Read the environment, `.env` and `ingest_config.json`.

    Raises ConfigurationError with all complaints at once.
    """
    settings = load_settings({}, config=config, environ=environ)
    found: list[str] = []
    values = read_environment(environ, found)

    def port(name: str, default: int) -> int:
        return _port(name, values.get(name), default, found)

    api_port = port("SENTINEL_API_PORT", API_PORT)
    api_url = config_values.base_url(
        "SENTINEL_API_URL", values.get("SENTINEL_API_URL"), "http://api:8000", found
    )
    monitor = MonitorSettings(
        settings=settings,
        options=_wishes(settings.monitor, found),
        alert_urls=_alert_urls(values, found),
        api_token=config_values.key("SENTINEL_API_TOKEN", values.get("SENTINEL_API_TOKEN"), found),
        api_host=values.get("SENTINEL_API_HOST") or LOOPBACK,
        api_port=api_port,
        api_url=api_url or f"http://{LOOPBACK}:{api_port}",
        dashboard_host=values.get("SENTINEL_DASHBOARD_HOST") or LOOPBACK,
        dashboard_port=port("SENTINEL_DASHBOARD_PORT", DASHBOARD_PORT),
    )
    if found:
        raise ConfigurationError(config_values.one_line(found))
    return monitor


def _reachable(host: str) -> str:
    """Where to ask a server that listens on `host`: one on all addresses, on the loopback one."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return LOOPBACK if address.version == 4 else "[::1]"
    return f"[{address}]" if address.version == 6 else host


def _wishes(wished: Mapping[str, object], found: list[str]) -> MonitorOptions:
    try:
        wish = MonitorOptions.model_validate(wished)
    except ValidationError as error:
        found += [
            f"monitor.{'.'.join(map(str, complaint['loc']))} {complaint['input']!r:.60}: "
            f"{complaint['msg'].removeprefix('Value error, ')}"
            for complaint in error.errors()
        ]
        return MonitorOptions()
    if wish.min_threshold > wish.max_threshold:
        found.append(
            f"monitor.min_threshold {wish.min_threshold} is above "
            f"monitor.max_threshold {wish.max_threshold}"
        )
    return wish


def _alert_urls(values: Mapping[str, str], found: list[str]) -> tuple[str, ...]:
    """Where messages go, Telegram first. Never repeated in a complaint: they hold secrets."""
    token, chat = values.get("TELEGRAM_BOT_TOKEN"), values.get("TELEGRAM_CHAT_ID")
    if bool(token) != bool(chat):
        found.append("TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID go together: set both, or neither")
    telegram = [f"tgram://{token}/{chat}/"] if token and chat else []
    # A comma belongs to an address unless another address begins behind it.
    urls = re.split(
        r"\s*,\s*(?=[A-Za-z][A-Za-z0-9+.-]*://|$)", values.get("ALERT_URLS", "").strip()
    )
    urls = [url for url in urls if url]
    return tuple(dict.fromkeys([*telegram, *urls]))


def _port(name: str, value: str | None, default: int, found: list[str]) -> int:
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 65_536):
        found.append(f"{name} '{value[:40]}' must be a port, 1 to 65535")
        return default
    return int(value)
