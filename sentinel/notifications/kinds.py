"""The kinds of messages, and how loud the user wants each: loud, silent or off."""

from __future__ import annotations

from typing import Literal, get_args

# market: a market-wide move. target: the price reached a target. follow_up: what came of an alert.
# incident: something is wrong with the monitor itself.
MessageKind = Literal[
    "panic", "reversal", "market", "target", "follow_up", "summary", "incident", "test"
]
# silent: the message arrives without a sound. off: no message is queued.
Loudness = Literal["loud", "silent", "off"]
# A test message is always loud.
AdjustableKind = Literal[
    "panic", "reversal", "market", "target", "follow_up", "summary", "incident"
]
DEFAULT_LOUDNESS: dict[AdjustableKind, Loudness] = {
    kind: "silent" if kind in ("follow_up", "summary") else "loud"
    for kind in get_args(AdjustableKind)
}
