"""Price targets: preview, save, list, delete."""

from __future__ import annotations

import re
from decimal import Decimal

from pydantic import TypeAdapter

from sentinel.alerting import price_targets
from sentinel.alerting.price_targets import NewTarget, PriceTarget, TargetPreview, TargetRejected
from sentinel.alerting.target_prices import read_quote
from sentinel.amounts import DECIMAL_POINTS, parse_amount
from sentinel.analytics.price_targets import Currency
from sentinel.coin_names import is_valid_id
from sentinel.notifications.alert_buttons import MAX_DATA_BYTES
from sentinel.notifications.messages import format_coin
from services.telegram.conversation import Context, Reply, RequestRefused
from services.telegram.find_coin import find_coin, label_coin

SHOWN_TARGETS = 20
# Of two readings of a price, the one within this factor of the current price is meant.
LIKELY_FACTOR = 10
# A coin, a price, and perhaps a currency.
_FORM = re.compile(r"(.+?)\s+(\$|usd|rp|idr)?\s*([\d.,]+)\s*(\$|usd|rp|idr)?", re.IGNORECASE)
_RUPIAH = ("rp", "idr")
_NEW_TARGET = TypeAdapter(NewTarget)


def answer_target(context: Context, argument: str) -> Reply:
    """Preview a price target and ask whether to save it: /target BTC 100000."""
    match = _FORM.fullmatch(argument)
    if match is None:
        raise RequestRefused(context.text("usage", example="/target BTC 100000"))
    term, before, digits, after = match.groups()
    readings = _read_price(context, digits)
    found = find_coin(context, term)
    currency: Currency = "idr" if (before or after or "").lower() in _RUPIAH else "usd"
    price = _choose_reading(context, digits, readings, found.coin_id, currency)
    new = NewTarget(found.coin_id, price, currency, source="telegram")
    try:
        preview = price_targets.preview_target(context.connection, new, context.now)
    except TargetRejected as error:
        raise RequestRefused(context.text(f"rejected_{error.reason}")) from error
    data = f"save:{preview.direction}:{currency}:{price:f}:{found.coin_id}"
    if len(data.encode()) > MAX_DATA_BYTES:
        raise RequestRefused(context.text("long_id"))
    buttons = [(context.text("save_button"), data), (context.text("cancel_button"), "cancel")]
    lines = [*_describe_preview(context, preview, currency), *found.notes]
    question = context.text(
        f"preview_{preview.direction}",
        coin=found.label,
        price=format_amount(context, price, currency),
    )
    return Reply("\n".join(lines), title=question, buttons=[buttons])


def _read_price(context: Context, digits: str) -> list[Decimal]:
    """Return a price as each language reads it, the larger first: 100.000 is 100000 or 100."""
    parsed = (parse_amount(digits, language) for language in DECIMAL_POINTS)
    readings = {price for price in parsed if price is not None}
    if not readings:
        raise RequestRefused(context.text("bad_price", text=digits))
    return sorted(readings, reverse=True)


def _choose_reading(
    context: Context, digits: str, readings: list[Decimal], coin_id: str, currency: Currency
) -> Decimal:
    """Return the only reading of a price, or the only one that is near the current price."""
    if len(readings) == 1:
        return readings[0]
    current = read_quote(context.connection, coin_id, currency, context.now) or Decimal()
    near = [p for p in readings if current / LIKELY_FACTOR <= p <= current * LIKELY_FACTOR]
    if len(near) == 1:
        return near[0]
    large, small = (_write_plainly(context, price) for price in readings)
    raise RequestRefused(context.text("ambiguous_price", text=digits, large=large, small=small))


def _write_plainly(context: Context, price: Decimal) -> str:
    """Return a price that both languages read alike: three decimals could be thousands."""
    whole, _, decimals = f"{price.normalize():f}".partition(".")
    if not decimals:
        return whole
    symbol = DECIMAL_POINTS[context.formatter.language]
    return whole + symbol + (f"{decimals}0" if len(decimals) == 3 else decimals)


def _describe_preview(context: Context, preview: TargetPreview, currency: Currency) -> list[str]:
    lines = []
    if preview.current_price is not None:
        now = format_amount(context, preview.current_price, currency)
        lines.append(context.text("price_now", price=now))
    if preview.since is not None:
        since, count = context.formatter.format_time(preview.since), len(preview.crossings)
        if count:
            first = context.formatter.format_time(preview.crossings[0].at)
            lines.append(context.text("would_have_fired", time=first))
            lines.append(context.text("crossed", count=count, since=since))
        else:
            lines.append(context.text("would_not_have_fired", since=since))
    return lines


def format_amount(context: Context, price: Decimal, currency: Currency) -> str:
    """Return a price in its currency."""
    formatter = context.formatter
    return formatter.format_usd(price) if currency == "usd" else formatter.format_idr(price)


def save_target(context: Context, data: str) -> Reply:
    """Save the target of a preview; a second press of its button adds no second target."""
    names = ("direction", "currency", "price", "coin_id")
    try:
        fields = dict(zip(names, data.split(":", 3), strict=True))
        new = _NEW_TARGET.validate_python(fields | {"source": "telegram"})
    except ValueError:
        return Reply(context.text("old_button"))
    if not is_valid_id(new.coin_id):
        return Reply(context.text("old_button"))
    known = price_targets.list_targets(context.connection, coin_id=new.coin_id, states=("open",))
    line = (new.direction, new.price, new.currency)
    if any((t.direction, t.price, t.currency) == line for t in known):
        return Reply(context.text("target_exists"), is_edit=True)
    try:
        price_targets.add_target(context.connection, new, context.now)
    except TargetRejected as error:
        return Reply(context.text(f"rejected_{error.reason}"), is_edit=True)
    amount = format_amount(context, new.price, new.currency)
    coin = label_coin(context, new.coin_id)
    return Reply(context.text(f"saved_{new.direction}", coin=coin, price=amount), is_edit=True)


def answer_targets(context: Context, _argument: str) -> Reply:
    """List the price targets, each with a button that deletes it."""
    targets = price_targets.list_targets(context.connection)
    title = context.text("targets")
    if not targets:
        return Reply(context.text("no_targets"), title=title)
    shown = targets[:SHOWN_TARGETS]
    lines = [f"{n}. {_describe_target(context, t)}" for n, t in enumerate(shown, start=1)]
    if len(targets) > len(shown):
        lines.append(context.text("more", count=len(targets) - len(shown)))
    labels = [context.text("delete_button", target=_describe_line(context, t)) for t in shown]
    buttons = [[(label, f"delete:{t.target_id}")] for label, t in zip(labels, shown, strict=True)]
    return Reply("\n".join(lines), title=title, buttons=buttons)


def _describe_line(context: Context, target: PriceTarget) -> str:
    return context.text(
        f"target_{target.direction}",
        coin=format_coin(target.name, target.symbol),
        price=format_amount(context, target.price, target.currency),
    )


def _describe_target(context: Context, target: PriceTarget) -> str:
    formatter, parts = context.formatter, [_describe_line(context, target)]
    if target.repeats:
        parts.append(context.text("target_repeats"))
    if target.state == "expired":
        parts.append(context.text("target_expired"))
    elif target.expires_at:
        parts.append(context.text("target_expires", time=formatter.format_time(target.expires_at)))
    if target.last_fired_at:
        parts.append(context.text("target_fired", time=formatter.format_time(target.last_fired_at)))
    return ", ".join([*parts, *([target.note] if target.note else [])])


def ask_to_delete(context: Context, data: str) -> Reply:
    """Ask whether to delete a target: nothing brings it back."""
    target = _find_target(context, data)
    if target is None:
        return Reply(context.text("target_gone"))
    yes = (context.text("delete_yes"), f"delete-yes:{target.target_id}")
    no = (context.text("delete_no"), "cancel")
    text = context.text("delete_question", target=_describe_line(context, target))
    return Reply(text, buttons=[[yes, no]])


def delete_target(context: Context, data: str) -> Reply:
    """Delete a target after the question."""
    target = _find_target(context, data)
    if target is None:
        return Reply(context.text("target_gone"), is_edit=True)
    price_targets.delete_target(context.connection, target.target_id, context.now)
    return Reply(context.text("deleted", target=_describe_line(context, target)), is_edit=True)


def _find_target(context: Context, data: str) -> PriceTarget | None:
    if not (data.isascii() and data.isdecimal() and len(data) < 19):
        return None
    found = price_targets.list_targets(context.connection, target_id=int(data))
    return found[0] if found else None
