"""The monitor: alert targets, dead man's switches, and the public address."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

import requests

from safe_zone import Settings
from sentinel.config import read_environment, validate
from sentinel.errors import ConfigurationError
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
from sentinel.health.facts import HealthCheck
from sentinel.notifications.addresses import read_alert_urls

HEARTBEATS = ("HEARTBEAT_URL", "HEARTBEAT_URL_MONITOR", "HEARTBEAT_URL_BACKUP")
TIMEOUT_SECONDS = 8.0
# Where Cloudflare Access sends those who have not signed in.
ACCESS_DOMAIN = "cloudflareaccess.com"


@dataclass(frozen=True, slots=True)
class MonitorVariables:
    """Variables that only the monitor reads (services/settings.py), which may not be installed."""

    public_hosts: Annotated[HostNames, variable("SENTINEL_PUBLIC_HOSTS")] = ()
    api_origins: Annotated[Origins, variable("SENTINEL_API_ORIGINS")] = ()
    api_token: Annotated[Token | None, variable("SENTINEL_API_TOKEN")] = None
    monitor_heartbeat_url: Annotated[HttpAddress | None, variable("HEARTBEAT_URL_MONITOR")] = None
    backup_heartbeat_url: Annotated[HttpAddress | None, variable("HEARTBEAT_URL_BACKUP")] = None
    api_port: Annotated[Port | None, variable("SENTINEL_API_PORT")] = None
    api_url: Annotated[HttpAddress | None, variable("SENTINEL_API_URL")] = None
    dashboard_port: Annotated[Port | None, variable("SENTINEL_DASHBOARD_PORT")] = None
    dashboard_url: Annotated[HttpAddress | None, variable("SENTINEL_DASHBOARD_URL")] = None
    telegram_bot_token: Annotated[Key | None, variable("TELEGRAM_BOT_TOKEN")] = None
    telegram_chat_id: Annotated[Key | None, variable("TELEGRAM_CHAT_ID")] = None
    telegram_user_ids: Annotated[UserIds, variable("TELEGRAM_USER_IDS")] = ()
    local_users: Annotated[LocalUsers, variable("SENTINEL_LOCAL_USERS")] = ()


def check(_settings: Settings, _now: datetime) -> Iterator[HealthCheck]:
    """Yield the checks of what the monitor talks to. Raises ConfigurationError."""
    values = read_environment([])
    yield from _check_targets(values)
    yield _check_heartbeats(values)
    variables = validate(MonitorVariables, values, [])
    yield from _check_public_hosts(variables.public_hosts, has_tunnel="TUNNEL_TOKEN" in values)


def _check_targets(values: Mapping[str, str]) -> Iterator[HealthCheck]:
    errors: list[str] = []
    urls = read_alert_urls(values, errors)
    if errors:
        yield HealthCheck("alerts", "unhealthy", f"{errors[0]}.")
    elif not urls:
        text = "No alert target is set: alerts only go to the log (docs/monitor.md#messages)."
        yield HealthCheck("alerts", "ok", text)
    elif importlib.util.find_spec("apprise") is None:
        text = "Not checked: install requirements/alerts.txt, or the monitor (make up)."
        yield HealthCheck("alerts", "ok", text)
    else:
        yield from _check_addresses(urls)


def _check_addresses(urls: tuple[str, ...]) -> Iterator[HealthCheck]:
    from sentinel.notifications.targets import make_targets

    try:
        targets = make_targets(urls)
    except ConfigurationError as error:
        yield HealthCheck("alerts", "unhealthy", str(error))
        return
    for target in targets:
        if target.find_problem:
            yield _check_target(target.label, target.find_problem)
    if others := [target.label for target in targets if not target.find_problem]:
        text = (
            f"{', '.join(others)}: valid addresses. Only a message shows whether they work: "
            "python -m services.ingestion --test-notification"
        )
        yield HealthCheck("alerts", "ok", text)


def _check_target(label: str, find_problem: Callable[[], str | None]) -> HealthCheck:
    try:
        problem = find_problem()
    except requests.RequestException as error:  # its text holds the token
        problem = f"{label} does not respond ({type(error).__name__})"
    if problem is None:
        return HealthCheck("alerts", "ok", f"{label}: the bot sees the chat.")
    remedy = "check TELEGRAM_BOT_TOKEN, TELEGRAM_CHAT_ID, and that the bot is in the chat"
    return HealthCheck("alerts", "unhealthy", f"{problem.rstrip('.')}: {remedy}.")


def _check_heartbeats(values: Mapping[str, str]) -> HealthCheck:
    configured = [name for name in HEARTBEATS if values.get(name)]
    if set(configured) - {"HEARTBEAT_URL_BACKUP"}:
        return HealthCheck("heartbeat", "ok", f"{', '.join(configured)}: set.")
    text = (
        "No alarm follows if this machine or the schedule stops: set HEARTBEAT_URL "
        "(docs/monitor.md#a-dead-mans-switch)."
    )
    return HealthCheck("heartbeat", "warning", text)


def _check_public_hosts(hosts: Sequence[str], *, has_tunnel: bool) -> Iterator[HealthCheck]:
    if has_tunnel and not hosts:
        text = "TUNNEL_TOKEN is set: name the tunnel's public host in SENTINEL_PUBLIC_HOSTS."
        yield HealthCheck("tunnel", "warning", text)
    for host in hosts:
        yield _check_public_host(host)


def _check_public_host(host: str) -> HealthCheck:
    """Ask for the dashboard as a stranger would: Cloudflare Access must be in the way."""
    try:
        response = requests.get(
            f"https://{host}/", timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
        )
    except requests.RequestException as error:
        text = f"{host} does not answer ({type(error).__name__}): look at the tunnel's log."
        return HealthCheck("tunnel", "warning", text)
    response.close()
    return judge_public_host(host, response.status_code, response.headers.get("Location", ""))


def judge_public_host(host: str, status: int, location: str) -> HealthCheck:
    """Return the check of a host that answers a stranger so; `location` is a redirect's target."""
    is_access = (urlsplit(location).hostname or "").endswith(f".{ACCESS_DOMAIN}")
    if status in (401, 403) or (300 <= status < 400 and is_access):
        return HealthCheck("tunnel", "ok", f"{host} asks strangers to sign in.")
    if status >= 500:
        text = f"{host} answers {status}: look at the tunnel's log."
        return HealthCheck("tunnel", "warning", text)
    text = (
        f"{host} answers a stranger with {status}: put Cloudflare Access in front of it "
        "(docs/monitor.md#the-tunnel)."
    )
    return HealthCheck("tunnel", "unhealthy", text)
