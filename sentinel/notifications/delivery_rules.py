"""What the user's settings say about delivery: language, loudness and quiet hours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sentinel.notifications.kinds import (
    ADJUSTABLE_KINDS,
    DEFAULT_LOUDNESS,
    AdjustableKind,
    Loudness,
    MessageKind,
    find_loudness,
)
from sentinel.notifications.messages import MessageFormatter, OutgoingMessage
from sentinel.notifications.outbox import QueuedMessage
from sentinel.notifications.quiet_hours import QuietHours

LATE_AFTER = timedelta(hours=1)  # an older message says that it is late


@dataclass(frozen=True, slots=True)
class DeliveryRules:
    """How messages are delivered."""

    formatter: MessageFormatter = field(
        default_factory=lambda: MessageFormatter("en", ZoneInfo("UTC"))
    )
    loudness: Mapping[AdjustableKind, Loudness] = field(default_factory=lambda: DEFAULT_LOUDNESS)
    quiet_hours: QuietHours | None = None

    def find_quiet_end(self, now: datetime) -> datetime | None:
        """Return when the quiet hours end that hold now; None outside them."""
        if self.quiet_hours is None:
            return None
        return self.quiet_hours.find_end(now, self.formatter.zone)

    def list_held_kinds(self) -> list[MessageKind]:
        """Return the kinds of messages that wait during quiet hours."""
        passing = self.quiet_hours.let_through if self.quiet_hours else ADJUSTABLE_KINDS
        return [kind for kind in ADJUSTABLE_KINDS if kind not in passing]

    def is_held(self, kind: MessageKind, now: datetime) -> bool:
        """Return whether a message of a kind has to wait for the end of quiet hours."""
        return self.find_quiet_end(now) is not None and kind in self.list_held_kinds()

    def is_off(self, kind: MessageKind) -> bool:
        """Return whether the user wants no messages of a kind."""
        return find_loudness(self.loudness, kind) == "off"

    def is_silent(self, kinds: Iterable[MessageKind]) -> bool:
        """Return whether a message about these kinds makes no sound: no loud one is among them."""
        return all(find_loudness(self.loudness, kind) != "loud" for kind in kinds)

    def make_outgoing(self, message: QueuedMessage, now: datetime) -> OutgoingMessage:
        """Return a message as a target gets it; its title says so if it is late."""
        title = message.title
        if now - message.created_at > LATE_AFTER:
            time = self.formatter.format_time(message.created_at)
            title = self.formatter.translate("late", time=time, title=title)
        kind = message.kinds[0] if len(message.kinds) == 1 else "digest"
        is_silent = self.is_silent(message.kinds)
        return OutgoingMessage(title, message.body, kind, message.coin_id, is_silent)
