"""Delivering the outbox through Apprise: paced, patient, at least once."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import apprise
import requests

from api_library import retry_after_seconds
from sentinel.clocks import Clocks
from sentinel.errors import ConfigurationError
from sentinel.notifications import outbox
from sentinel.notifications.messages import Message
from sentinel.notifications.outbox import KEPT_TRIES, TargetState, Waiting
from sentinel.storage.connection import Connection

log = logging.getLogger("sentinel.notifier")

# Telegram takes 20 messages a minute to one group: https://core.telegram.org/bots/faq
MESSAGES_A_MINUTE = KEPT_TRIES
MINUTE = timedelta(minutes=1)
TIMEOUT_SECONDS = 8.0  # for a connection, and for each read
TOTAL_SECONDS = 30.0
FIRST_WAIT = timedelta(seconds=5)
LONGEST_HOLD = timedelta(minutes=5)  # of a target that does not answer at all
OTHERS_TURN_SECONDS = 5.0
MOST_REFUSALS = 12  # of one message: five hours
MOST_BODY_BYTES = 10_000
TO_LOG = "log"  # the target where none is named


class SendResult(NamedTuple):
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

    def send(self, title: str, body: str, now: datetime) -> SendResult:
        """One try, which ends after TOTAL_SECONDS however slowly the target drips."""
        service = self.service
        if service is None:
            log.warning("%s | %s", title, body.replace("\n", " | "))
            return SendResult(True)
        answers: list[SendResult] = []
        thread = threading.Thread(
            target=lambda: answers.append(self._send(service, title, body, now)), daemon=True
        )
        thread.start()
        thread.join(TOTAL_SECONDS)
        if answers:
            return answers[0]
        _ear().late.append(thread)
        return SendResult(False, f"{self.label} was not done after {TOTAL_SECONDS:.0f} s")

    def _send(self, service: apprise.Apprise, title: str, body: str, now: datetime) -> SendResult:
        try:
            with _ear().listening() as heard:
                # Text, so that a coin's name is no markup wherever it goes.
                has_arrived = service.notify(
                    title=title, body=body, body_format=apprise.NotifyFormat.TEXT
                )
        except Exception as error:  # noqa: BLE001 - a plugin is others' code, and there are many
            return SendResult(False, f"{self.label}: {type(error).__name__}")
        return SendResult(True) if has_arrived else _meaning(self.label, heard, now)


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
                if not outbox.try_lock_target(connection, target.name):
                    return OTHERS_TURN_SECONDS
                now = self.clocks.now()
                waiting = outbox.next_waiting(connection, target.name, now)
                if waiting is None:
                    return None
                standing = outbox.read_standing(connection, target.name, now)
                ready = max(standing.retry_after, _paced(standing, now), waiting.due_at)
                pause = max(0.0, (ready - now).total_seconds())
                if pause > 0 or self.clocks.monotonic() >= until:
                    return pause
                self._send(connection, target, waiting, standing)

    def _send(
        self, connection: Connection, target: Target, waiting: Waiting, standing: TargetState
    ) -> None:
        answer = target.send(waiting.title, waiting.body, self.clocks.now())
        now = self.clocks.now()
        failures = _failures(answer, standing.failures)
        held = _held(answer, standing.failures)
        outbox.note_try(connection, target.name, now, now + held, failures)
        if answer.has_arrived:
            outbox.mark_delivered(connection, waiting, now)
            return
        pause = held or _own_wait(waiting.attempts)
        is_given_up = answer.is_refusal and waiting.attempts + 1 >= MOST_REFUSALS
        outbox.mark_failed(
            connection, waiting, now, now + pause, answer.error, is_given_up=is_given_up
        )
        _report(waiting, answer, pause, is_given_up=is_given_up)

    def send_past_outbox(self, message: Message) -> list[str]:
        """Send a message to every target at once; returns one complaint for each that failed."""
        answers = [
            target.send(message.title, message.body, self.clocks.now()) for target in self.targets
        ]
        return [answer.error for answer in answers if not answer.has_arrived]


def _paced(standing: TargetState, now: datetime) -> datetime:
    """From when on fewer than MESSAGES_A_MINUTE tries lie in the last minute."""
    if len(standing.tried_at) < MESSAGES_A_MINUTE:
        return now
    return standing.tried_at[MESSAGES_A_MINUTE - 1] + MINUTE


def _failures(answer: SendResult, before: int) -> int:
    """How often in a row a target did not take what it was sent; a refusal is about a message."""
    if answer.has_arrived:
        return 0
    is_about_target = answer.retry_after is not None or not answer.is_refusal
    return before + 1 if is_about_target else before


def _held(answer: SendResult, failures: int) -> timedelta:
    """How long a target is left alone, whatever waits for it, after `failures` before."""
    if answer.has_arrived:
        return timedelta()
    if answer.retry_after is not None:
        asked = timedelta(seconds=max(1.0, answer.retry_after))
        # Who asks for nothing and refuses again is left alone for longer and longer.
        own = _own_wait(failures) if failures else timedelta()
        return max(own, min(asked, outbox.LONGEST_ASKED))
    return timedelta() if answer.is_refusal else min(_own_wait(failures), LONGEST_HOLD)


def _own_wait(tries: int) -> timedelta:
    """The pause after so many vain tries before."""
    return min(outbox.LONGEST_WAIT, FIRST_WAIT * (1 << min(tries, 20)))


def _report(waiting: Waiting, answer: SendResult, pause: timedelta, *, is_given_up: bool) -> None:
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


class ResponseRecorder:
    """Hears the HTTP answers that requests gets.

    Apprise, which sends from threads of its own, says only whether a message arrived; how long a
    target wants to be left alone stands in its answer.
    """

    def __init__(self) -> None:
        self._send = requests.adapters.HTTPAdapter.send
        self._heard: list[requests.Response] | None = None
        self.late: list[threading.Thread] = []
        ear = self

        def send_and_hear(adapter: Any, *arguments: Any, **options: Any) -> requests.Response:
            answer = ear._send(adapter, *arguments, **options)
            if ear._heard is not None:
                ear._heard.append(answer)
            return answer

        requests.adapters.HTTPAdapter.send = send_and_hear  # type: ignore[assignment, method-assign]

    @contextlib.contextmanager
    def listening(self) -> Iterator[list[requests.Response]]:
        """Yield a list that the answers come into meanwhile.

        One message is under way at a time, but for those that were late: while one of them still
        is, nobody can tell whose an answer is, and the list stays empty.
        """
        self.late = [thread for thread in self.late if thread.is_alive()]
        self._heard = []
        try:
            yield [] if self.late else self._heard
        finally:
            self._heard = None


@functools.cache
def _ear() -> ResponseRecorder:
    return ResponseRecorder()


def _meaning(label: str, heard: Sequence[requests.Response], now: datetime) -> SendResult:
    """What a failed send means, by the target's last answer."""
    if not heard:
        return SendResult(False, f"{label} does not answer")
    answer = heard[-1]
    status = answer.status_code
    wait = retry_after_seconds(answer.headers.get("Retry-After"), now)
    if wait is None:
        wait = _wait_in_body(answer)
    is_refusal = 400 <= status < 500 and status not in (401, 403, 404, 408, 429)
    return SendResult(False, f"{label} answered {status}", wait, is_refusal)


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
