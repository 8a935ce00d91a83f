"""What a coin's alerts caught and missed, in sentences."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.api_client import Json
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr, tr_count

DAY, WEEK = timedelta(days=1), timedelta(weeks=1)


def describe_alert_score(formatter: Formatter, score: Json) -> list[str]:
    """Return lines of plain text; none if the coin is not watched."""
    own = score["alerts"]
    if own is None:
        return []
    start, end = (datetime.fromisoformat(score[key]) for key in ("start", "end"))
    if end - start < DAY:
        return [
            tr("The coin has been watched for less than a day: it is too early to judge alerts.")
        ]
    period = end - start
    falls = _describe_falls(formatter, own, score["fall_depth"], period)
    lines = [f"{falls} {_describe_noise(formatter, own, period)}"]
    fixed = score["fixed_percentage"]
    if fixed and own["falls"]:
        text = tr(
            "For comparison: a fixed threshold of {threshold} for this coin, chosen in hindsight, "
            "would have announced {caught} of them.",
            threshold=formatter.percent(fixed["threshold"], signed=False),
            caught=fixed["caught"],
        )
        lines.append(f"{text} {_describe_noise(formatter, fixed, period)}")
    lines.append(
        tr(
            "From {start} to {end} {zone}, counted once an hour.",
            start=formatter.time(start),
            end=formatter.time(end),
            zone=formatter.zone.key,
        )
    )
    return lines


def _describe_falls(formatter: Formatter, own: Json, depth: float, period: timedelta) -> str:
    values = {"depth": f"{depth:.0%}", "age": formatter.duration(period)}
    if not own["falls"]:
        return tr("The price did not fall by {depth} within 24 hours in the last {age}.", **values)
    text = tr_count(
        "Of {count} fall of {depth} or more within 24 hours in the last {age}, these alerts "
        "announced {caught}.",
        "Of {count} falls of {depth} or more within 24 hours in the last {age}, these alerts "
        "announced {caught}.",
        own["falls"],
        caught=own["caught"],
        **values,
    )
    return f"{text}{_describe_delay(formatter, own, values['depth'])}"


def _describe_delay(formatter: Formatter, own: Json, depth: str) -> str:
    seconds = own["median_delay_seconds"]
    if seconds is None:
        return ""
    if abs(seconds) < 60:
        text = tr("Typically this was as soon as the price had fallen by {depth}.", depth=depth)
    else:
        age = formatter.duration(timedelta(seconds=abs(seconds)))
        if seconds > 0:
            text = tr(
                "Typically this was {age} after the price had fallen by {depth}.",
                age=age,
                depth=depth,
            )
        else:
            text = tr(
                "Typically this was {age} before the price had fallen by {depth}.",
                age=age,
                depth=depth,
            )
    return f" {text}"


def _describe_noise(formatter: Formatter, found: Json, period: timedelta) -> str:
    text = tr_count(
        "{count} panic alert was raised outside of such a fall.",
        "{count} panic alerts were raised outside of such a fall.",
        found["stray"],
    )
    rate = found["alerts_per_week"]
    if period < WEEK or rate is None:
        return text
    rate_text = tr(
        "In all there were {rate} alerts a week, with reversals.", rate=formatter.decimal(rate, 1)
    )
    return f"{text} {rate_text}"
