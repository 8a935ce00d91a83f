"""The message of a price target that fires."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sentinel.analytics.price_targets import Currency, Line
from sentinel.notifications.messages import Message, MessageFormatter, without_links


class FiredTarget(NamedTuple):
    """A price target that fires, with what its message says."""

    target_id: int
    coin_id: str
    symbol: str
    name: str
    # In `currency`, as all prices here.
    line: Line
    currency: Currency
    repeats: bool
    note: str
    # The observation that confirmed the crossing.
    crossed_at: datetime
    price: Decimal
    # The newest price if the crossing was found late, such as after an outage. None: it is new.
    late_price: Decimal | None


def compose_target_message(fired: FiredTarget, formatter: MessageFormatter) -> Message:
    """Return the message of a price target."""
    format_price = formatter.format_usd if fired.currency == "usd" else formatter.format_idr
    is_late = fired.late_price is not None
    title = formatter.translate(
        f"target_{fired.line.direction}{'_late' if is_late else ''}",
        name=without_links(fired.name),
        symbol=without_links(fired.symbol.upper()),
        line=format_price(fired.line.price),
    )
    time = formatter.format_time(fired.crossed_at)
    lines = [without_links(fired.note)] if fired.note else []
    if fired.late_price is None:
        lines += [formatter.translate("price", value=format_price(fired.price)), time]
    else:
        crossed = {"time": time, "price": format_price(fired.price)}
        lines.append(formatter.translate("target_late", **crossed))
        lines.append(formatter.translate("price_now", value=format_price(fired.late_price)))
    if fired.repeats:
        lines.append(formatter.translate("target_repeats"))
    lines += formatter.list_links(fired.coin_id)
    key = f"target:{fired.target_id}:{fired.crossed_at.isoformat()}"
    body = "\n".join(lines)
    return Message(fired.coin_id, key, title, body, kind="target", coin_id=fired.coin_id)
