"""When a target gets its next message: at most 20 a minute, with back-off after failures. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from sentinel.notifications.outbox import MAX_REQUESTED_PAUSE, STORED_ATTEMPTS, TargetState
from sentinel.notifications.responses import SendResult

# Telegram accepts 20 messages a minute in one group: https://core.telegram.org/bots/faq
MESSAGES_PER_MINUTE = STORED_ATTEMPTS
MINUTE = timedelta(minutes=1)
FIRST_BACKOFF = timedelta(seconds=5)
MAX_BACKOFF = timedelta(hours=1)  # of one message
MAX_UNREACHABLE_PAUSE = timedelta(minutes=5)  # of a target that sends no response
MIN_REQUESTED_SECONDS = 1.0
MAX_REJECTIONS = 12  # of one message, over five hours; then it is abandoned


def earliest_attempt(state: TargetState, now: datetime) -> datetime:
    """Return from when on a further message stays within MESSAGES_PER_MINUTE."""
    if len(state.attempted_at) < MESSAGES_PER_MINUTE:
        return now
    return state.attempted_at[MESSAGES_PER_MINUTE - 1] + MINUTE


def count_failures(result: SendResult, failures: int) -> int:
    """Return the target's failures in a row, after `failures` before this result.

    A rejected message does not count: the target works.
    """
    if result.has_arrived:
        return 0
    is_about_target = result.retry_after_seconds is not None or not result.is_rejected
    return failures + 1 if is_about_target else failures


def target_pause(result: SendResult, failures: int) -> timedelta:
    """Return how long the target gets no message at all, after `failures` before this result."""
    if result.has_arrived:
        return timedelta()
    if result.retry_after_seconds is not None:
        requested = timedelta(seconds=max(MIN_REQUESTED_SECONDS, result.retry_after_seconds))
        # A target that asks for a very short pause and fails again gets growing pauses.
        own = backoff(failures) if failures else timedelta()
        return max(own, min(requested, MAX_REQUESTED_PAUSE))
    return timedelta() if result.is_rejected else min(backoff(failures), MAX_UNREACHABLE_PAUSE)


def backoff(failures: int) -> timedelta:
    """Return the pause after this many failures: it doubles up to MAX_BACKOFF."""
    return min(MAX_BACKOFF, FIRST_BACKOFF * (1 << min(failures, 20)))


def is_abandoned(result: SendResult, rejections: int) -> bool:
    """Return whether a message is never sent again, after `rejections` before this result."""
    return result.is_rejected and rejections + 1 >= MAX_REJECTIONS
