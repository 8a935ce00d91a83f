"""The settings of alerts, for both halves: options, and the addresses of the targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from safe_zone import KNOWN_KEYS
from sentinel.alerting.options import MonitorOptions
from sentinel.config import read_settings, validate
from sentinel.fields import HttpAddress, variable
from sentinel.notifications.addresses import read_alert_urls

# The keys of ingest_config.json, with those of its object `monitor`.
KEYS_WITH_OPTIONS = KNOWN_KEYS | {"monitor": tuple(MonitorOptions.model_fields)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """What the alerts of a deployment need. Secrets are left out of the repr."""

    # The object `monitor` of ingest_config.json.
    options: Annotated[MonitorOptions, Field(validation_alias="monitor")] = field(
        default_factory=MonitorOptions
    )
    # Apprise addresses that messages are sent to, Telegram first (ALERT_URLS, TELEGRAM_*).
    alert_urls: tuple[str, ...] = field(default=(), repr=False)
    # Where your browsers find the dashboard, for the links in messages. None: no such links.
    dashboard_url: Annotated[HttpAddress | None, variable("SENTINEL_DASHBOARD_URL")] = None


def load_alert_settings(
    *, config: str | None = None, environ: Mapping[str, str] | None = None
) -> AlertSettings:
    """Read the environment, `.env` and the key `monitor` of `ingest_config.json`.

    Raises ConfigurationError with all errors at once.
    """
    values, errors = read_settings(KEYS_WITH_OPTIONS, config=config, environ=environ)
    return validate(AlertSettings, values | {"alert_urls": read_alert_urls(values, errors)}, errors)
