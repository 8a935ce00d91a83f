"""Delivering the outbox through Apprise: paced, patient, and never twice what has arrived."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import apprise
import requests

from api_library import retry_after_seconds
from errors import ConfigurationError
from postgres import Connection
from run_state import Clocks
from services.ingestion import outbox
from services.ingestion.messages import Message
from services.ingestion.outbox import Waiting

log = logging.getLogger("sentinel.notifier")

# Telegram takes 20 messages a minute to one group: https://core.telegram.org/bots/faq
MESSAGES_A_MINUTE = 20
MINUTE = timedelta(minutes=1)
TIMEOUT_SECONDS = 8.0
FIRST_WAIT_SECONDS = 5.0
LONGEST_HOLD_SECONDS = 300.0  # of a target that does not answer at all
TO_LOG = "log"  # the target where none is named


class Answer(NamedTuple):
    """What became of a send. `retry_after` is the wait in seconds that the target asked for;
    `is_refusal`: it answered and did not want this one message."""

    has_arrived: bool
    error: str = ""
    retry_after: float | None = None
    is_refusal: bool = False


@dataclass(slots=True)
class Target:
    """Where messages go. `name` is a fingerprint, for an address holds secrets.

    After failures it is held until `held_until` (the steady clock).
    """

    name: str
    label: str
    plugin: Any
    held_until: float = 0.0
    failures: int = 0

    def send(self, title: str, body: str, now: datetime) -> Answer:
        """One try."""
        if self.plugin is None:
            log.warning("%s | %s", title, body.replace("\n", " | "))
            return Answer(True)
        with _listening() as heard:
            try:
                has_arrived = bool(self.plugin.notify(title=title, body=body))
            except Exception as error:  # noqa: BLE001 - a plugin is others' code, and there are many
                return Answer(False, f"{self.label}: {type(error).__name__}")
        if has_arrived:
            return Answer(True)
        return _meaning(self.label, heard, now)


def make_targets(urls: Sequence[str]) -> list[Target]:
    """The targets behind Apprise addresses; the log where there are none.

    Raises ConfigurationError, without repeating an address.
    """
    if not urls:
        return [Target(TO_LOG, "the log", None)]
    asset = apprise.AppriseAsset(app_id="Market Sentinel", storage_mode="memory")
    targets = []
    for number, url in enumerate(urls, start=1):
        plugin = apprise.Apprise.instantiate(url, asset=asset)
        if plugin is None:
            raise ConfigurationError(
                f"Alert target {number} of {len(urls)} is no Apprise address (see "
                "https://github.com/caronc/apprise/wiki): correct ALERT_URLS or the TELEGRAM_ pair"
            )
        plugin.request_rate_per_sec = 0  # the outbox paces
        plugin.socket_connect_timeout = plugin.socket_read_timeout = TIMEOUT_SECONDS
        name = hashlib.sha256(url.encode()).hexdigest()[:12]
        targets.append(Target(name, str(plugin.service_name or "a target"), plugin))
    return targets


@dataclass(slots=True)
class Notifier:
    """Delivers what waits in the outbox to the targets."""

    targets: Sequence[Target]
    clocks: Clocks

    @property
    def names(self) -> list[str]:
        """The fingerprints under which messages are queued."""
        return [target.name for target in self.targets]

    def deliver(self, connection: Connection, *, seconds: float) -> float | None:
        """Send what is due for at most about so many seconds.

        Returns in how many seconds to look again, None where nothing waits.
        """
        until = self.clocks.monotonic() + seconds
        pauses = [self._deliver_to(connection, target, until) for target in self.targets]
        return min((pause for pause in pauses if pause is not None), default=None)

    def _deliver_to(self, connection: Connection, target: Target, until: float) -> float | None:
        """Send to one target until nothing is due, the target wants a pause, or time is up."""
        while True:
            now = self.clocks.now()
            waiting = outbox.next_waiting(connection, target.name, now)
            if waiting is None:
                return None
            held = target.held_until - self.clocks.monotonic()
            paced = self._until_paced(connection, target, now)
            pause = max(0.0, held, paced, (waiting.due_at - now).total_seconds())
            if pause > 0 or self.clocks.monotonic() >= until:
                return pause
            self._send(connection, target, waiting)

    def _until_paced(self, connection: Connection, target: Target, now: datetime) -> float:
        """Seconds until fewer than MESSAGES_A_MINUTE lie in the last minute."""
        oldest = outbox.nth_last_delivery(connection, target.name, now, MESSAGES_A_MINUTE)
        return 0.0 if oldest is None else max(0.0, (oldest + MINUTE - now).total_seconds())

    def _send(self, connection: Connection, target: Target, waiting: Waiting) -> None:
        answer = target.send(waiting.title, waiting.body, self.clocks.now())
        if answer.has_arrived:
            outbox.mark_delivered(connection, waiting, self.clocks.now())
            target.failures = 0
            return
        pause = self._hold(target, waiting, answer)
        due_at = self.clocks.now() + timedelta(seconds=pause)
        outbox.mark_failed(connection, waiting, due_at, answer.error)
        log.warning(
            "message %d did not arrive (%s): try %d in %.0f s",
            waiting.message_id,
            answer.error,
            waiting.attempts + 2,
            pause,
        )

    def _hold(self, target: Target, waiting: Waiting, answer: Answer) -> float:
        """Seconds until this message is tried again; a target in trouble is left alone as long,
        or a few minutes, whatever else waits for it."""
        longest = outbox.LONGEST_WAIT.total_seconds()
        if answer.retry_after is not None:
            pause = min(longest, answer.retry_after)
            target.held_until = self.clocks.monotonic() + pause
            return pause
        pause = float(min(longest, FIRST_WAIT_SECONDS * 2 ** min(waiting.attempts, 20)))
        if not answer.is_refusal:
            hold = FIRST_WAIT_SECONDS * 2 ** min(target.failures, 20)
            target.failures += 1
            pause = min(pause, LONGEST_HOLD_SECONDS)
            target.held_until = self.clocks.monotonic() + min(hold, LONGEST_HOLD_SECONDS)
        return pause

    def test(self, message: Message) -> list[str]:
        """Send a message to every target at once; returns one complaint for each that failed."""
        answers = [
            target.send(message.title, message.body, self.clocks.now()) for target in self.targets
        ]
        return [answer.error for answer in answers if not answer.has_arrived]


@contextlib.contextmanager
def _listening() -> Iterator[list[requests.Response]]:
    """The HTTP answers that come meanwhile. Apprise says only whether a message arrived; how long a
    target wants to be left alone stands in its answer."""
    heard: list[requests.Response] = []
    send = requests.adapters.HTTPAdapter.send

    def listen(*arguments: Any, **options: Any) -> requests.Response:
        heard.append(send(*arguments, **options))
        return heard[-1]

    requests.adapters.HTTPAdapter.send = listen  # type: ignore[method-assign]
    try:
        yield heard
    finally:
        requests.adapters.HTTPAdapter.send = send  # type: ignore[method-assign]


def _meaning(label: str, heard: Sequence[requests.Response], now: datetime) -> Answer:
    """What a failed send means, by the target's last answer."""
    if not heard:
        return Answer(False, f"{label} does not answer")
    answer = heard[-1]
    status = answer.status_code
    wait = retry_after_seconds(answer.headers.get("Retry-After"), now)
    if wait is None:
        wait = _wait_in_body(answer)
    is_refusal = 400 <= status < 500 and status not in (401, 403, 404, 408, 429)
    return Answer(False, f"{label} answered {status}", wait, is_refusal)


def _wait_in_body(answer: requests.Response) -> float | None:
    """`retry_after` as Telegram and Discord write it: seconds, in JSON.

    https://core.telegram.org/bots/api#responseparameters
    """
    try:
        content = json.loads(answer.content)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    places = (content.get("parameters"), content)
    for place in places:
        wait = place.get("retry_after") if isinstance(place, dict) else None
        if isinstance(wait, int | float) and not isinstance(wait, bool) and 0 <= wait < 1e7:
            return float(wait)
    return None
