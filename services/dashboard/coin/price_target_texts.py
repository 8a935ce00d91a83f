"""Price targets in words, as plain text."""

from __future__ import annotations

from datetime import datetime

from sentinel import amounts
from sentinel.amounts import Currency
from services.api_client import Json
from services.dashboard.formatting import HIDDEN, Formatter
from services.dashboard.language import current_language, tr

SHOWN_CROSSINGS = 5


def format_target_price(target: Json) -> str:
    """Return the price of a target in its own currency."""
    currency: Currency = "IDR" if target["currency"] == "idr" else "USD"
    return amounts.format_price(target["price"], currency, current_language())


def convert_target(formatter: Formatter, target: Json) -> float | None:
    """Return the price of a target in USD, None if the rate is unknown."""
    price = float(target["price"])
    if target["currency"] == "usd":
        return price
    return price / formatter.idr_per_usd if formatter.idr_per_usd else None


def describe_target(target: Json) -> str:
    """Return the price of a target, and how often it fires."""
    price = format_target_price(target)
    if target["direction"] == "above":
        if target["repeats"]:
            return tr("At or above {price}, each time", price=price)
        return tr("At or above {price}, once", price=price)
    if target["repeats"]:
        return tr("At or below {price}, each time", price=price)
    return tr("At or below {price}, once", price=price)


def describe_preview(formatter: Formatter, target: Json, preview: Json) -> str:
    """Return when a target would have fired."""
    texts = []
    if preview["is_reached"]:
        texts.append(tr("The price is there already: it has to return before the target can fire."))
    if preview["since"] is None:
        return " ".join([*texts, tr("No prices of this coin are stored yet.")])
    age = formatter.duration(formatter.now - datetime.fromisoformat(preview["since"]))
    times = [formatter.time(crossing["observed_at"]) for crossing in preview["crossings"]]
    if not times:
        texts.append(tr("It would not have fired in the last {age}.", age=age))
    elif target["repeats"] or len(times) == 1:
        texts.append(_describe_repeated(times, age))
    else:
        texts.append(tr("It would have fired on {time}.", time=times[0]))
        texts.append(
            tr(
                "The price crossed it {count} times in the last {age}: {times}.",
                count=len(times),
                age=age,
                times=_list(times),
            )
        )
    return " ".join(texts)


def _describe_repeated(times: list[str], age: str) -> str:
    if len(times) == 1:
        return tr("It would have fired once in the last {age}: {time}.", age=age, time=times[0])
    return tr(
        "It would have fired {count} times in the last {age}: {times}.",
        count=len(times),
        age=age,
        times=_list(times),
    )


def _list(times: list[str]) -> str:
    """Return the newest times."""
    shown = times[-SHOWN_CROSSINGS:]
    return ("…, " if len(shown) < len(times) else "") + ", ".join(shown)


def format_state(formatter: Formatter, target: Json) -> str:
    """Return what became of a target, its expiry and its note."""
    parts = []
    if target["fired_count"]:
        last = formatter.time(target["last_fired_at"])
        if target["fired_count"] == 1:
            parts.append(tr("fired {time}", time=last))
        else:
            count = target["fired_count"]
            parts.append(tr("fired {count} times, last {time}", count=count, time=last))
    if target["state"] == "expired":
        parts.append(tr("expired {time}", time=formatter.time(target["expires_at"])))
    elif target["state"] == "open":
        if target["is_armed"] is False:
            parts.append(tr("waits until the price has returned"))
        if target["expires_at"]:
            parts.append(tr("until {time}", time=formatter.time(target["expires_at"])))
    if target["note"]:
        parts.append(HIDDEN if formatter.hide_amounts else target["note"])
    return " · ".join(parts)
