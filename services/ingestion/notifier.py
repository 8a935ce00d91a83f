"""Delivering the outbox through Apprise: paced, patient, and never twice what has arrived."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import threading
from collections.abc import Sequence
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
from services.ingestion.outbox import Hold, Waiting

log = logging.getLogger("sentinel.notifier")

# Telegram takes 20 messages a minute to one group: https://core.telegram.org/bots/faq
MESSAGES_A_MINUTE = 20
MINUTE = timedelta(minutes=1)
TIMEOUT_SECONDS = 8.0  # for a connection, and for each read
TOTAL_SECONDS = 30.0
FIRST_WAIT = timedelta(seconds=5)
LONGEST_HOLD = timedelta(minutes=5)  # of a target that does not answer at all
OTHERS_TURN_SECONDS = 5.0
MOST_REFUSALS = 12  # of one message: five hours
MOST_BODY_BYTES = 10_000
TO_LOG = "log"  # the target where none is named


class Answer(NamedTuple):
    """What became of a send. `retry_after` is the wait in seconds that the target asked for;
    `is_refusal`: it answered and did not want this one message."""

    has_arrived: bool
    error: str = ""
    retry_after: float | None = None
    is_refusal: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where messages go. `name` is a fingerprint, for an address holds secrets."""

    name: str
    label: str
    service: apprise.Apprise | None

    def send(self, title: str, body: str, now: datetime) -> Answer:
        """One try, which ends after TOTAL_SECONDS however slowly the target drips."""
        service = self.service
        if service is None:
            log.warning("%s | %s", title, body.replace("\n", " | "))
            return Answer(True)
        answers: list[Answer] = []
        thread = threading.Thread(
            target=lambda: answers.append(self._send(service, title, body, now)), daemon=True
        )
        thread.start()
        thread.join(TOTAL_SECONDS)
        late = Answer(False, f"{self.label} was not done after {TOTAL_SECONDS:.0f} s")
        return answers[0] if answers else late

    def _send(self, service: apprise.Apprise, title: str, body: str, now: datetime) -> Answer:
        heard = _ear().listen()
        try:
            # Text, so that a coin's name is no markup wherever it goes.
            has_arrived = service.notify(
                title=title, body=body, body_format=apprise.NotifyFormat.TEXT
            )
        except Exception as error:  # noqa: BLE001 - a plugin is others' code, and there are many
            return Answer(False, f"{self.label}: {type(error).__name__}")
        return Answer(True) if has_arrived else _meaning(self.label, heard, now)


def make_targets(urls: Sequence[str]) -> list[Target]:
    """The targets behind Apprise addresses; the log where there are none.

    Raises ConfigurationError, without repeating an address.
    """
    if not urls:
        return [Target(TO_LOG, "the log", None)]
    # Its complaints quote addresses, tokens included; ours name the target by its number.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
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
        service = apprise.Apprise(asset=asset)
        service.add(plugin)
        name = hashlib.sha256(url.encode()).hexdigest()[:12]
        targets.append(Target(name, str(plugin.service_name or "a target"), service))
    return targets


@dataclass(frozen=True, slots=True)
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
            # A message is sent and marked in one transaction under the target's lock, so that two
            # who deliver never send the same one.
            with connection.transaction():
                if not outbox.is_mine(connection, target.name):
                    return OTHERS_TURN_SECONDS
                now = self.clocks.now()
                waiting = outbox.next_waiting(connection, target.name, now)
                if waiting is None:
                    return None
                held = outbox.read_hold(connection, target.name, now)
                ready = max(held.until, self._paced(connection, target, now), waiting.due_at)
                pause = max(0.0, (ready - now).total_seconds())
                if pause > 0 or self.clocks.monotonic() >= until:
                    return pause
                self._send(connection, target, waiting, held)

    def _paced(self, connection: Connection, target: Target, now: datetime) -> datetime:
        """From when on fewer than MESSAGES_A_MINUTE tries lie in the last minute."""
        oldest = outbox.nth_last_try(connection, target.name, now, MESSAGES_A_MINUTE)
        return now if oldest is None else oldest + MINUTE

    def _send(self, connection: Connection, target: Target, waiting: Waiting, held: Hold) -> None:
        answer = target.send(waiting.title, waiting.body, self.clocks.now())
        now = self.clocks.now()
        if answer.has_arrived:
            outbox.mark_delivered(connection, waiting, now)
            if held.failures:
                outbox.hold(connection, target.name, Hold(now, 0))
            return
        pause = _own_wait(waiting.attempts)
        if answer.retry_after is not None:
            asked = timedelta(seconds=answer.retry_after)
            pause = max(timedelta(seconds=1), min(asked, outbox.LONGEST_ASKED))
            # Who asks for nothing and refuses again is left alone for longer and longer.
            pause = max(pause, _own_wait(held.failures) if held.failures else pause)
            outbox.hold(connection, target.name, Hold(now + pause, held.failures + 1))
        elif not answer.is_refusal:
            pause = min(_own_wait(held.failures), LONGEST_HOLD)
            outbox.hold(connection, target.name, Hold(now + pause, held.failures + 1))
        is_given_up = answer.is_refusal and waiting.attempts + 1 >= MOST_REFUSALS
        outbox.mark_failed(
            connection, waiting, now, now + pause, answer.error, is_given_up=is_given_up
        )
        _report(waiting, answer, pause, is_given_up=is_given_up)

    def test(self, message: Message) -> list[str]:
        """Send a message to every target at once; returns one complaint for each that failed."""
        answers = [
            target.send(message.title, message.body, self.clocks.now()) for target in self.targets
        ]
        return [answer.error for answer in answers if not answer.has_arrived]


def _own_wait(tries: int) -> timedelta:
    """The pause after so many vain tries before."""
    return min(outbox.LONGEST_WAIT, FIRST_WAIT * (1 << min(tries, 20)))


def _report(waiting: Waiting, answer: Answer, pause: timedelta, *, is_given_up: bool) -> None:
    if is_given_up:
        log.error(
            "message %d is given up, refused %d times (%s): %s",
            waiting.message_id,
            waiting.attempts + 1,
            answer.error,
            waiting.title,
        )
        return
    log.warning(
        "message %d did not arrive (%s): try %d in %.0f s",
        waiting.message_id,
        answer.error,
        waiting.attempts + 2,
        pause.total_seconds(),
    )


class _Ear:
    """Hears the HTTP answers that requests gets.

    Apprise, which sends from threads of its own, says only whether a message arrived; how long a
    target wants to be left alone stands in its answer.
    """

    def __init__(self) -> None:
        self._send = requests.adapters.HTTPAdapter.send
        self._heard: list[requests.Response] = []
        ear = self

        def send_and_hear(adapter: Any, *arguments: Any, **options: Any) -> requests.Response:
            answer = ear._send(adapter, *arguments, **options)
            ear._heard.append(answer)
            return answer

        requests.adapters.HTTPAdapter.send = send_and_hear  # type: ignore[assignment, method-assign]

    def listen(self) -> list[requests.Response]:
        """A list that the answers from now on come into: one message is under way at a time."""
        self._heard = []
        return self._heard


@functools.cache
def _ear() -> _Ear:
    return _Ear()


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
        content = json.loads(answer.content[:MOST_BODY_BYTES])
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    places = (content.get("parameters"), content)
    for place in places:
        wait = place.get("retry_after") if isinstance(place, dict) else None
        if isinstance(wait, int | float) and not isinstance(wait, bool) and 0 <= wait < 1e7:
            return float(wait)
    return None
