"""Mute a coin, and unmute it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sentinel.alerting import mutes
from sentinel.notifications.alert_buttons import MAX_DATA_BYTES
from services.telegram.conversation import Context, Reply, RequestRefused
from services.telegram.durations import parse_duration
from services.telegram.find_coin import find_coin, find_label, label_coin

MAX_MUTE = timedelta(days=365)
DAY = timedelta(days=1)


def answer_mute(context: Context, argument: str) -> Reply:
    """Mute a coin for a time, a day by default: /mute BTC 2h."""
    term, _, last = argument.rpartition(" ")
    duration = parse_duration(last, MAX_MUTE) if term else None
    if duration is None and term and last[:1].isdigit():
        raise RequestRefused(context.text("bad_duration", text=last, days=MAX_MUTE.days))
    found = find_coin(context, term if duration else argument)
    return mute(context, found.coin_id, duration or DAY, found.notes)


def mute(
    context: Context, coin_id: str, duration: timedelta = DAY, notes: Sequence[str] = ()
) -> Reply:
    """Mute a coin by its id; the answer ends with the notes."""
    label = find_label(context, coin_id)
    if label is None:
        raise RequestRefused(context.text("unknown_coin", term=coin_id))
    until = context.now + duration
    mutes.mute(context.connection, coin_id, until, context.now)
    time = context.formatter.format_time(until)
    data = f"unmute:{coin_id}"
    is_short = len(data.encode()) <= MAX_DATA_BYTES
    return Reply(
        "\n".join([context.text("muted", coin=label, time=time), *notes]),
        buttons=[[(context.text("unmute_button"), data)]] if is_short else (),
    )


def answer_unmute(context: Context, argument: str) -> Reply:
    """End the mute of a coin."""
    found = find_coin(context, argument)
    return unmute(context, found.coin_id)


def unmute(context: Context, coin_id: str) -> Reply:
    """End the mute of a coin by its id."""
    key = "unmuted" if mutes.unmute(context.connection, coin_id) else "not_muted"
    return Reply(context.text(key, coin=label_coin(context, coin_id)))
