"""Targets: where messages are sent, through Apprise."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import apprise

from sentinel.errors import ConfigurationError
from sentinel.notifications.responses import SendResult, interpret_failure, response_recorder

log = logging.getLogger("sentinel.notifier")

TIMEOUT_SECONDS = 8.0  # for a connection, and for each read
# For a whole attempt: a target that sends its response slowly never reaches the read timeout.
TOTAL_SECONDS = 30.0
LOG_TARGET = "log"  # messages go to the log if no target is configured


@dataclass(frozen=True, slots=True)
class Target:
    """Where messages are sent."""

    # A fingerprint of the address, which holds secrets.
    name: str
    # What messages and logs call the target, such as Telegram.
    label: str
    # None: the log.
    service: apprise.Apprise | None

    def send(self, title: str, body: str, now: datetime) -> SendResult:
        """Try to send a message once, for at most TOTAL_SECONDS."""
        service = self.service
        if service is None:
            log.warning("%s | %s", title, body.replace("\n", " | "))
            return SendResult(True)
        results: list[SendResult] = []
        thread = threading.Thread(
            target=lambda: results.append(self._notify(service, title, body, now)), daemon=True
        )
        thread.start()
        thread.join(TOTAL_SECONDS)
        if results:
            return results[0]
        response_recorder().add_unfinished(thread)
        return SendResult(False, f"{self.label} was not done after {TOTAL_SECONDS:.0f} s")

    def _notify(self, service: apprise.Apprise, title: str, body: str, now: datetime) -> SendResult:
        try:
            with response_recorder().recording() as responses:
                # As plain text: a coin's name may contain characters of HTML or Markdown.
                has_arrived = service.notify(
                    title=title, body=body, body_format=apprise.NotifyFormat.TEXT
                )
        except Exception as error:  # noqa: BLE001 - there are more than 100 plugins by others
            return SendResult(False, f"{self.label}: {type(error).__name__}")
        return SendResult(True) if has_arrived else interpret_failure(self.label, responses, now)


def make_targets(urls: Sequence[str]) -> list[Target]:
    """Return the targets of Apprise addresses; the log if there are none.

    Raises ConfigurationError, without repeating an address.
    """
    if not urls:
        return [Target(LOG_TARGET, "the log", None)]
    # Apprise logs whole addresses, with their tokens. Our errors name a target by its number.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    asset = apprise.AppriseAsset(app_id="Market Sentinel", storage_mode="memory")
    return [_make_target(url, number, len(urls), asset) for number, url in enumerate(urls, start=1)]


def _make_target(url: str, number: int, count: int, asset: apprise.AppriseAsset) -> Target:
    plugin = apprise.Apprise.instantiate(url, asset=asset)
    if plugin is None:
        raise ConfigurationError(
            f"Alert target {number} of {count} is not an Apprise address (see "
            "https://github.com/caronc/apprise/wiki): correct ALERT_URLS, or TELEGRAM_BOT_TOKEN "
            "and TELEGRAM_CHAT_ID"
        )
    plugin.request_rate_per_sec = 0  # `pacing` limits the rate
    plugin.socket_connect_timeout = plugin.socket_read_timeout = TIMEOUT_SECONDS
    service = apprise.Apprise(asset=asset)
    service.add(plugin)
    name = hashlib.sha256(url.encode()).hexdigest()[:12]
    return Target(name, str(plugin.service_name or "a target"), service)
