"""The kinds of messages, and how loud the user wants each: loud, silent or off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

# market: a market-wide move. target: the price reached a target. follow_up: what came of an alert.
# incident: something is wrong with the monitor itself.
AdjustableKind = Literal[
    "panic", "reversal", "market", "target", "follow_up", "summary", "incident"
]
# digest: one message instead of those that waited.
MessageKind = Literal[AdjustableKind, "digest", "test"]
# silent: the message arrives without a sound. off: no message is queued.
Loudness = Literal["loud", "silent", "off"]
ADJUSTABLE_KINDS: tuple[AdjustableKind, ...] = get_args(AdjustableKind)
DEFAULT_LOUDNESS: dict[AdjustableKind, Loudness] = {
    kind: "off" if kind == "follow_up" else "silent" if kind == "summary" else "loud"
    for kind in ADJUSTABLE_KINDS
}
# The kinds of alerts, which a digest counts as such.
ALERT_KINDS = ("panic", "reversal", "market", "target")


def find_loudness(loudness: Mapping[AdjustableKind, Loudness], kind: MessageKind) -> Loudness:
    """Return how loud a message of a kind is."""
    return "loud" if kind == "digest" or kind == "test" else loudness[kind]  # noqa: PLR1714
