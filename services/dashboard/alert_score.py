"""What a coin's alerts caught and missed, in sentences."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.api_client import Json
from services.dashboard.formatting import Formatter
from services.dashboard.text import format_age

DAY, WEEK = timedelta(days=1), timedelta(weeks=1)


def describe_alert_score(formatter: Formatter, score: Json) -> list[str]:
    """Return lines of plain text; none if the coin is not watched."""
    own = score["alerts"]
    if own is None:
        return []
    start, end = (datetime.fromisoformat(score[key]) for key in ("start", "end"))
    if end - start < DAY:
        return ["The coin has been watched for less than a day: it is too early to judge alerts."]
    depth = f"{score['fall_depth']:.0%}"
    period = end - start
    lines = [f"{_describe_falls(own, depth, period)} {_describe_noise(own, period)}"]
    fixed = score["fixed_percentage"]
    if fixed and own["falls"]:
        lines.append(
            f"For comparison: a fixed threshold of {fixed['threshold']:.1%} for this coin, chosen "
            f"in hindsight, would have announced {fixed['caught']} of them. "
            f"{_describe_noise(fixed, period)}"
        )
    lines.append(
        f"From {formatter.time(start)} to {formatter.time(end)} {formatter.zone.key}, counted "
        "once an hour."
    )
    return lines


def _describe_falls(own: Json, depth: str, period: timedelta) -> str:
    span = f"in the last {format_age(period)}"
    if not own["falls"]:
        return f"The price did not fall by {depth} within 24 hours {span}."
    text = f"Of {_count(own['falls'], 'fall')} of {depth} or more within 24 hours {span}, these "
    return f"{text}alerts announced {own['caught']}{_describe_delay(own, depth)}."


def _describe_delay(own: Json, depth: str) -> str:
    seconds = own["median_delay_seconds"]
    if seconds is None:
        return ""
    if abs(seconds) < 60:
        return f", typically as soon as the price had fallen by {depth}"
    age = format_age(timedelta(seconds=abs(seconds)))
    return (
        f", typically {age} {'after' if seconds > 0 else 'before'} the price had fallen by {depth}"
    )


def _describe_noise(found: Json, period: timedelta) -> str:
    verb = "was" if found["stray"] == 1 else "were"
    stray = f"{_count(found['stray'], 'panic alert')} {verb} raised outside of such a fall"
    rate = found["alerts_per_week"]
    if period < WEEK or rate is None:
        return f"{stray}."
    return f"{stray}; {rate:.1f} alerts a week in all, with reversals."


def _count(number: int, noun: str) -> str:
    return f"{number or 'No'} {noun}{'' if number == 1 else 's'}"
