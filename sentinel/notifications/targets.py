"""Targets: where messages are sent, through Telegram's Bot API or Apprise."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import logging
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import apprise
from apprise.plugins.telegram import NotifyTelegram

from sentinel.errors import ConfigurationError
from sentinel.notifications.messages import OutgoingMessage
from sentinel.notifications.responses import SendResult, interpret_status
from sentinel.notifications.telegram import TIMEOUT_SECONDS, TelegramChat

log = logging.getLogger("sentinel.notifier")

# For a whole attempt: a target that sends its response slowly never reaches the read timeout.
TOTAL_SECONDS = 30.0
LOG_TARGET = "log"  # messages go to the log if no target is configured
STATUS_IN_LOG = re.compile(r"\berror=(\d{3})\b")  # as Apprise's plugins write it


@dataclass(frozen=True, slots=True)
class Target:
    """Where messages are sent."""

    # A fingerprint of the address, which holds secrets.
    name: str
    # What messages and logs call the target, such as Telegram.
    label: str
    # Sends a message at a time. It may raise any error.
    service: Callable[[OutgoingMessage, datetime], SendResult]
    # Returns why messages cannot arrive, without sending one. None: only a message tells.
    find_problem: Callable[[], str | None] | None = None
    # The fingerprint of a Telegram chat, where messages may have buttons.
    chat: str | None = None
    # For a whole attempt to send a message.
    timeout_seconds: float = TOTAL_SECONDS

    def send(self, message: OutgoingMessage, now: datetime) -> SendResult:
        """Try to send a message once, for at most `timeout_seconds`."""
        results: list[SendResult] = []
        thread = threading.Thread(
            target=lambda: results.append(self._try_service(message, now)), daemon=True
        )
        thread.start()
        thread.join(self.timeout_seconds)
        if results:
            return results[0]
        return SendResult(False, f"{self.label} was not done after {self.timeout_seconds:.0f} s")

    def _try_service(self, message: OutgoingMessage, now: datetime) -> SendResult:
        try:
            return self.service(message, now)
        except Exception as error:  # noqa: BLE001 - there are more than 100 plugins by others
            # The error's text may hold the address.
            return SendResult(False, f"{self.label}: {type(error).__name__}")


def make_targets(urls: Sequence[str]) -> list[Target]:
    """Return the targets of Apprise addresses, one for each Telegram chat; the log without any.

    Raises ConfigurationError, without repeating an address.
    """
    if not urls:
        return [Target(LOG_TARGET, "the log", _log_message)]
    # Apprise logs whole addresses, with their tokens. Our errors name a target by its number.
    logging.getLogger("apprise").propagate = False
    targets: list[Target] = []
    for number, url in enumerate(urls, start=1):
        targets += _parse_address(url, f"{number} of {len(urls)}")
    return _number_equal_labels(targets)


def _number_equal_labels(targets: Sequence[Target]) -> list[Target]:
    """Return the targets with labels that tell them apart: Telegram 1, Telegram 2."""
    labels = [target.label for target in targets]
    return [
        dataclasses.replace(target, label=f"{label} {labels[: n + 1].count(label)}")
        if labels.count(label) > 1
        else target
        for n, (target, label) in enumerate(zip(targets, labels, strict=True))
    ]


def _log_message(message: OutgoingMessage, _now: datetime) -> SendResult:
    log.warning("%s | %s", message.title, message.body.replace("\n", " | "))
    return SendResult(True)


def _parse_address(url: str, position: str) -> list[Target]:
    asset = apprise.AppriseAsset(app_id="Market Sentinel", storage_mode="memory")
    plugin = apprise.Apprise.instantiate(url, asset=asset)
    if plugin is None:
        raise ConfigurationError(
            f"Alert target {position} is not an Apprise address (see "
            "https://github.com/caronc/apprise/wiki): correct ALERT_URLS, or TELEGRAM_BOT_TOKEN "
            "and TELEGRAM_CHAT_ID"
        )
    label = str(plugin.service_name or "a target")
    # An address without a chat means the bot's owner, whom Apprise finds.
    if isinstance(plugin, NotifyTelegram) and plugin.targets:
        chats = [
            TelegramChat(plugin.bot_token, chat_id, topic_id, bool(plugin.silent))
            for chat_id, topic_id in plugin.targets
        ]
        return [
            Target(
                _fingerprint(f"{url} {chat}"),
                label,
                chat.send,
                chat.find_problem,
                chat.fingerprint,
            )
            for chat in chats
        ]
    loud = _make_service(plugin, asset)
    silent = _make_low_priority(url, plugin, asset) or loud
    return [Target(_fingerprint(url), label, functools.partial(_notify, loud, silent, label))]


def _make_service(plugin: apprise.NotifyBase, asset: apprise.AppriseAsset) -> apprise.Apprise:
    plugin.request_rate_per_sec = 0  # `pacing` limits the rate
    plugin.socket_connect_timeout = plugin.socket_read_timeout = TIMEOUT_SECONDS
    service = apprise.Apprise(asset=asset)
    service.add(plugin)
    return service


def _make_low_priority(
    url: str, plugin: apprise.NotifyBase, asset: apprise.AppriseAsset
) -> apprise.Apprise | None:
    """Return the service for messages without a sound; None if it knows no low priority."""
    if "priority" not in plugin.template_args:
        return None
    address = f"{url}{'&' if '?' in url else '?'}priority=low"
    low = apprise.Apprise.instantiate(address, asset=asset)
    return _make_service(low, asset) if low else None


def _fingerprint(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()[:12]


def _notify(
    loud: apprise.Apprise,
    silent: apprise.Apprise,
    label: str,
    message: OutgoingMessage,
    _now: datetime,
) -> SendResult:
    # As plain text: a coin's name may contain characters of HTML or Markdown.
    service = silent if message.is_silent else loud
    result = service.notify(
        title=message.title, body=message.body, body_format=apprise.NotifyFormat.TEXT
    )
    if result:
        return SendResult(True)
    # Apprise returns no HTTP status, but its log of this message has it.
    statuses = STATUS_IN_LOG.findall(" ".join(entry.message for entry in result.logs()))
    if not statuses:
        return SendResult(False, f"{label} did not accept the message, or did not answer")
    return interpret_status(label, int(statuses[-1]))
