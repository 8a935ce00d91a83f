"""Compose the messages about alerts: one coin, a market-wide move, and what came of alerts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sentinel.analytics.crossings import Alert
from sentinel.analytics.peg import PEG_USD
from sentinel.notifications.messages import Message, MessageFormatter, format_coin, without_links

MAX_SHOWN_COINS = 20  # in one message


class AlertContext(NamedTuple):
    """An alert with what its message says about the coin."""

    alert: Alert
    coin_id: str
    symbol: str
    name: str
    # What the user holds.
    quantity: Decimal
    # None: unknown.
    idr_per_usd: float | None
    # The price 24 hours before the alert; None: unknown.
    day_ago_usd: float | None = None


class Mover(NamedTuple):
    """A coin in a market-wide message."""

    symbol: str
    move: float
    price_usd: float
    # What the user holds.
    quantity: Decimal


class Outcome(NamedTuple):
    """An alert of a day ago, with the price change since."""

    alert_id: int
    coin_id: str
    symbol: str
    name: str
    kind: str
    observed_at: datetime
    price_usd: float
    # Fractions: of the mark until the alert, and of the alert's price since.
    move: float
    after_24h: float


def compose_coin_message(context: AlertContext, formatter: MessageFormatter) -> Message:
    """Return the message about one coin."""
    alert = context.alert
    title = formatter.translate(
        _find_title(alert),
        coin=format_coin(context.name, context.symbol),
        move=formatter.format_percent(abs(alert.move)),
    )
    lines = [
        *_describe_price(context, formatter),
        *_describe_mark(alert, formatter),
        *_explain(alert, formatter),
        *_describe_holding(context, formatter),
        formatter.format_time(alert.observed_at),
        *formatter.list_links(context.coin_id),
    ]
    key = f"{alert.kind}:{context.coin_id}:{alert.observed_at.isoformat()}"
    return Message(
        context.coin_id, key, title, "\n".join(lines), kind=alert.kind, coin_id=context.coin_id
    )


def _find_title(alert: Alert) -> str:
    """Return the key of the title in the catalog."""
    if _has_peg_again(alert):
        return "peg_again"
    return f"{alert.kind}_{alert.basis}" if alert.basis in ("week", "peg") else alert.kind


def _describe_mark(alert: Alert, formatter: MessageFormatter) -> list[str]:
    """Return the mark that the move is measured from; nothing for the peg."""
    if _is_at_peg(alert):
        return []
    price, time = formatter.format_usd(alert.reference_usd), formatter.format_time(alert.marked_at)
    lines = [formatter.translate(f"{alert.kind}_mark", price=price, time=time)]
    if alert.basis == "outage":
        lines.append(formatter.translate(f"{alert.kind}_outage"))
    return lines


def _is_at_peg(alert: Alert) -> bool:
    """Return whether the move is measured from the peg, which has no time."""
    return alert.basis == "peg" and alert.reference_usd == PEG_USD


def _has_peg_again(alert: Alert) -> bool:
    """Return whether the coin came back to its peg: the move is measured from its extreme."""
    return alert.basis == "peg" and not _is_at_peg(alert)


def _explain(alert: Alert, formatter: MessageFormatter) -> list[str]:
    """Return why the user gets the message."""
    if _has_peg_again(alert):
        return []
    lines = [formatter.translate("unusual", threshold=formatter.format_percent(alert.threshold))]
    if alert.level > 1:
        lines.append(formatter.translate(f"{alert.kind}_level", level=alert.level))
    return lines


def _describe_price(context: AlertContext, formatter: MessageFormatter) -> list[str]:
    price = Decimal(repr(context.alert.price_usd))
    lines = [
        formatter.translate("price", value=formatter.format_usd(price)),
        formatter.translate(
            "in_rupiah", value=formatter.format_idr(_to_idr(price, context.idr_per_usd))
        ),
    ]
    if context.day_ago_usd:
        change = context.alert.price_usd / context.day_ago_usd - 1
        percent = formatter.format_percent(change, signed=True)
        lines.append(formatter.translate("day_change", change=percent))
    return lines


def _describe_holding(context: AlertContext, formatter: MessageFormatter) -> list[str]:
    """Return the value of what the user holds, and its change since the mark."""
    if not context.quantity:
        return []
    alert, price = context.alert, Decimal(repr(context.alert.price_usd))
    value = context.quantity * price
    change = context.quantity * (price - Decimal(repr(alert.reference_usd)))
    lines = [
        formatter.translate(
            "holding_at_peg" if _is_at_peg(alert) else "holding",
            quantity=formatter.format_quantity(context.quantity),
            symbol=without_links(context.symbol.upper()),
            value=formatter.format_own_usd(value),
            change=formatter.format_own_usd(change),
        )
    ]
    if context.idr_per_usd is not None:
        rate = Decimal(repr(context.idr_per_usd))
        rupiah = ", ".join(formatter.format_own_idr(usd * rate) for usd in (value, change))
        lines.append(formatter.translate("in_rupiah", value=rupiah))
    return lines


def compose_market_message(
    kind: str,
    movers: Sequence[Mover],
    watched: int,
    minutes: int,
    at: datetime,
    idr_per_usd: float | None,
    formatter: MessageFormatter,
) -> Message:
    """Return one message about a market-wide move within so many minutes.

    It lists held coins first, with the value of the holding, then the largest moves. `watched` is
    the number of watched coins.
    """
    title = formatter.translate(f"market_{kind}", count=len(movers), watched=watched)
    ordered = sorted(movers, key=lambda mover: (not mover.quantity, -abs(mover.move)))
    lines = [formatter.translate("within", minutes=minutes)]
    for mover in ordered[:MAX_SHOWN_COINS]:
        lines += _describe_mover(mover, idr_per_usd, formatter)
    if len(ordered) > MAX_SHOWN_COINS:
        lines.append(formatter.translate("more", count=len(ordered) - MAX_SHOWN_COINS))
    lines.append(formatter.format_time(at))
    if formatter.dashboard_url:
        lines.append(formatter.dashboard_url)
    key = f"market:{kind}:{len(movers)}:{at.isoformat()}"
    return Message("market", key, title, "\n".join(lines), "market")


def _describe_mover(
    mover: Mover, idr_per_usd: float | None, formatter: MessageFormatter
) -> list[str]:
    symbol = without_links(mover.symbol.upper())
    price = Decimal(repr(mover.price_usd))
    move = formatter.format_percent(mover.move, signed=True)
    lines = [f"{symbol} {move}, {formatter.format_usd(price)}"]
    if mover.quantity:
        value = mover.quantity * price
        line = formatter.translate(
            "holding_value",
            quantity=formatter.format_quantity(mover.quantity),
            symbol=symbol,
            value=formatter.format_own_usd(value),
        )
        lines.append(f"  {line}")
        if idr_per_usd is not None:
            rupiah = formatter.format_own_idr(value * Decimal(repr(idr_per_usd)))
            lines.append(f"  {formatter.translate('in_rupiah', value=rupiah)}")
    return lines


def compose_follow_up(outcomes: Sequence[Outcome], formatter: MessageFormatter) -> Message:
    """Return one message about what came of alerts within the day after them."""
    first = outcomes[0]
    if len(outcomes) == 1:
        coin_id: str | None = first.coin_id
        title = formatter.translate(
            "follow_up_one",
            coin=format_coin(first.name, first.symbol),
            change=formatter.format_percent(first.after_24h, signed=True),
        )
    else:
        coin_id, title = None, formatter.translate("follow_up_many", count=len(outcomes))
    lines = [_describe_outcome(outcome, formatter) for outcome in outcomes[:MAX_SHOWN_COINS]]
    if len(outcomes) > MAX_SHOWN_COINS:
        lines.append(formatter.translate("digest_more", count=len(outcomes) - MAX_SHOWN_COINS))
    if coin_id:
        lines += formatter.list_links(coin_id)
    key = f"follow_up:{first.alert_id}"
    # A queue of its own: a digest then shows each of them.
    return Message(key, key, title, "\n".join(lines), "follow_up", coin_id)


def _describe_outcome(outcome: Outcome, formatter: MessageFormatter) -> str:
    return formatter.translate(
        f"follow_up_{outcome.kind}",
        symbol=without_links(outcome.symbol.upper()),
        move=formatter.format_percent(abs(outcome.move)),
        price=formatter.format_usd(outcome.price_usd),
        time=formatter.format_time(outcome.observed_at),
        later=formatter.format_usd(outcome.price_usd * (1 + outcome.after_24h)),
        change=formatter.format_percent(outcome.after_24h, signed=True),
    )


def _to_idr(usd: Decimal, idr_per_usd: float | None) -> Decimal | None:
    return None if idr_per_usd is None else usd * Decimal(repr(idr_per_usd))
