"""Deliver the messages of the outbox to the targets: at least once, in order, and paced."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sentinel.clocks import Clocks
from sentinel.notifications import digest, outbox, pacing
from sentinel.notifications.alert_buttons import find_alert_buttons
from sentinel.notifications.delivery_rules import DeliveryRules
from sentinel.notifications.messages import Message, OutgoingMessage
from sentinel.notifications.outbox import QueuedMessage, TargetState
from sentinel.notifications.responses import SendResult
from sentinel.notifications.targets import Target
from sentinel.storage.connection import Connection
from sentinel.storage.transactions import pipelined_transaction

log = logging.getLogger("sentinel.notifier")

LOCKED_TARGET_SECONDS = 5.0  # another process is sending to the target; try again after this


@dataclass(frozen=True, slots=True)
class Notifier:
    """Delivers messages to the configured targets."""

    targets: Sequence[Target]
    clocks: Clocks
    rules: DeliveryRules = field(default_factory=DeliveryRules)

    @property
    def names(self) -> list[str]:
        """The fingerprints under which messages are queued."""
        return [target.name for target in self.targets]

    @property
    def labels(self) -> dict[str, str]:
        """What messages call each target, by its fingerprint."""
        return {target.name: target.label for target in self.targets}

    def deliver(self, connection: Connection, *, seconds: float) -> float | None:
        """Send the messages that are due, for about `seconds` to each target: one that hangs takes
        no time from the others.

        Return the seconds until the next message is due; None if no message waits.
        """
        pauses = [self._deliver_to(connection, target, seconds) for target in self.targets]
        return min((pause for pause in pauses if pause is not None), default=None)

    def _deliver_to(self, connection: Connection, target: Target, seconds: float) -> float | None:
        """Send to one target until nothing is due, the target needs a pause, or time is up."""
        until = self.clocks.monotonic() + seconds
        while True:
            # Sending and marking a message is one transaction under the target's lock. Two
            # processes that deliver therefore never send the same message.
            with pipelined_transaction(connection):
                if not outbox.try_lock_target(connection, target.name):
                    return LOCKED_TARGET_SECONDS
                now = self.clocks.now()
                message = self._find_next(connection, target.name, now)
                if message is None:
                    return None
                state = outbox.read_target_state(connection, target.name, now)
                earliest = pacing.earliest_attempt(state, now)
                ready_at = max(state.retry_after, earliest, message.due_at)
                pause = max(0.0, (ready_at - now).total_seconds())
                if pause > 0 or self.clocks.monotonic() >= until:
                    return pause
                self._send(connection, target, message, state)

    def _find_next(
        self, connection: Connection, target: str, now: datetime
    ) -> QueuedMessage | None:
        """Return the message to send next: a digest if many are late, None if none waits."""
        if quiet_end := self.rules.find_quiet_end(now):
            outbox.hold(connection, target, self.rules.list_held_kinds(), quiet_end)
        waiting = digest.read_waiting_together(connection, target, now)
        if waiting:
            return digest.compose_digest(waiting, self.rules.formatter, now)
        return outbox.read_next(connection, target, now)

    def _send(
        self, connection: Connection, target: Target, message: QueuedMessage, state: TargetState
    ) -> None:
        """Send one message and record the result."""
        now = self.clocks.now()
        outgoing = self.rules.make_outgoing(message, now)
        buttons = find_alert_buttons(connection, target.chat, outgoing.kind, outgoing.coin_id, now)
        result = target.send(outgoing._replace(buttons=buttons), now)
        now = self.clocks.now()
        failures = pacing.count_failures(result, state.failures)
        target_pause = pacing.target_pause(result, state.failures)
        outbox.record_attempt(connection, target.name, now, now + target_pause, failures)
        if result.has_arrived:
            outbox.mark_delivered(connection, message, now)
            return
        pause = target_pause or pacing.backoff(message.attempts)
        is_abandoned = pacing.is_abandoned(result, message.rejections)
        outbox.mark_failed(
            connection,
            message,
            now,
            now + pause,
            result.error,
            is_rejected=result.is_rejected,
            is_abandoned=is_abandoned,
        )
        _log_failure(message, result, pause, is_abandoned=is_abandoned)

    def send_directly(self, message: Message) -> list[str]:
        """Send a message to every target now, without the outbox; return the errors."""
        if self.rules.is_off(message.kind):
            return []
        now = self.clocks.now()
        outgoing = OutgoingMessage(
            message.title,
            message.body,
            message.kind,
            message.coin_id,
            is_silent=self.rules.is_silent([message.kind]) or self.rules.is_held(message.kind, now),
        )
        results = [target.send(outgoing, now) for target in self.targets]
        return [result.error for result in results if not result.has_arrived]


def _log_failure(
    message: QueuedMessage, result: SendResult, pause: timedelta, *, is_abandoned: bool
) -> None:
    number, attempts = message.message_ids[0], message.attempts + 1
    if is_abandoned:
        text = "message %d is abandoned after %d rejections (%s): %s"
        log.error(text, number, attempts, result.error, message.title)
        return
    text = "message %d did not arrive (%s): attempt %d in %.0f s"
    log.warning(text, number, result.error, attempts + 1, pause.total_seconds())
