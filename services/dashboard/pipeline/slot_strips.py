"""The strips of slots on the Pipeline page: each slot of seven days, each day of sixty. Pure HTML.

A delivered slot is a solid cell, a backfilled one hatched, an open one only a base line, so that no
color alone carries a meaning. The stylesheet shows the text of a cell below the pointer, and the
text of a row below the focus: a row is one step of the keyboard.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from html import escape

from sentinel import times
from services.api_client import Json
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr

DAY = timedelta(days=1)
# Days of the long strip that are one step of the keyboard.
GROUP_DAYS = 10
# Pauses that the text of a row names.
NAMED_PAUSES = 4
HOURS = (0, 6, 12, 18, 24)
# The classes of the cells by state; the stylesheet has their patterns.
CLASSES = {"d": "delivered", "b": "backfilled", "-": "open"}


def state_names() -> Mapping[str, str]:
    """Return the names of the states of a slot."""
    return {"d": tr("delivered"), "b": tr("backfilled"), "-": tr("open slot")}


def draw_legend(formatter: Formatter, totals: Json) -> str:
    """Return the shares of the states in words, each beside its pattern."""
    counts = _count(totals)
    parts = [
        f'<span class="ms-cell ms-{CLASSES[state]}"></span>{escape(name)} '
        f"<b>{formatter.percent(_share(counts[state], totals['expected']), signed=False)}</b>"
        for state, name in state_names().items()
    ]
    return '<p class="ms-states">' + "".join(f"<span>{part}</span>" for part in parts) + "</p>"


def _count(slots: Json) -> dict[str, int]:
    """Return the number of slots in each state."""
    delivered, backfilled = slots["delivered"], slots["backfilled"]
    return {
        "d": delivered,
        "b": backfilled,
        "-": max(0, slots["expected"] - delivered - backfilled),
    }


def _share(number: int, expected: int) -> float | None:
    return number / expected if expected else None


# --- slots -----------------------------------------------------------------------------------


def draw_slots(formatter: Formatter, slots: Json) -> str:
    """Return a row for each day of the viewer's zone, with a cell for each slot."""
    slot = timedelta(minutes=slots["slot_minutes"])
    # In UTC: in a zone with clock changes, Python adds to the clock, not to the time.
    start = datetime.fromisoformat(slots["start"])
    cells = [(start + n * slot, state) for n, state in enumerate(slots["states"])]
    days = itertools.groupby(cells, lambda cell: cell[0].astimezone(formatter.zone).date())
    rows = "".join(_draw_day(formatter, list(day), slot) for _, day in days)
    hours = "".join(f"<span>{hour:02}</span>" for hour in HOURS)
    return (
        f'<div class="ms-strip">{rows}<div class="ms-hours" aria-hidden="true">{hours}</div></div>'
    )


def _draw_day(formatter: Formatter, cells: Sequence[tuple[datetime, str]], slot: timedelta) -> str:
    """Return the row of a day; a day of a clock change has fewer or more slots than others."""
    first = cells[0][0].astimezone(formatter.zone)
    midnight = datetime.combine(first.date(), time(), formatter.zone)
    end = datetime.combine(first.date() + DAY, time(), formatter.zone)
    before = (first.timestamp() - midnight.timestamp()) / slot.total_seconds()
    after = (end.timestamp() - cells[-1][0].timestamp()) / slot.total_seconds() - 1
    names, day = state_names(), _name_day(formatter, first)
    drawn = [f'<i style="flex-grow:{before:.2f}"></i>'] if before > 0 else []
    for at, state in cells:
        label = f"{day} {at.astimezone(formatter.zone):%H:%M} · {names[state]}"
        drawn.append(f'<i class="ms-{CLASSES[state]}" data-tip="{escape(label)}"></i>')
    if after > 0:
        drawn.append(f'<i style="flex-grow:{after:.2f}"></i>')
    text = escape(f"{day}: {_sum_up(formatter, cells, slot)}")
    return (
        f'<div class="ms-day" tabindex="0" role="img" aria-label="{text}" data-tip="{text}">'
        f"<span>{escape(day)}</span><div>{''.join(drawn)}</div></div>"
    )


def _name_day(formatter: Formatter, local: datetime) -> str:
    return times.format_day(local, formatter.language)


def _sum_up(formatter: Formatter, cells: Sequence[tuple[datetime, str]], slot: timedelta) -> str:
    """Return how many slots of a day have each state, and when the first pauses were."""
    states = [state for _, state in cells]
    text = _describe_counts({state: states.count(state) for state in CLASSES})
    pauses = list(_find_pauses(formatter, cells, slot))
    if not pauses:
        return text
    named = ", ".join(pauses[:NAMED_PAUSES]) + (", …" if len(pauses) > NAMED_PAUSES else "")
    return f"{text} ({named})"


def _describe_counts(counts: Mapping[str, int]) -> str:
    return tr(
        "{delivered} of {expected} slots delivered, {backfilled} backfilled, {open} open",
        delivered=counts["d"],
        expected=sum(counts.values()),
        backfilled=counts["b"],
        open=counts["-"],
    )


def _find_pauses(
    formatter: Formatter, cells: Sequence[tuple[datetime, str]], slot: timedelta
) -> Iterator[str]:
    """Yield the slots that no run delivered, those in a row as one time span."""
    for is_delivered, group in itertools.groupby(cells, lambda cell: cell[1] == "d"):
        if not is_delivered:
            found = list(group)
            end = (found[-1][0] + slot).astimezone(formatter.zone)
            yield f"{found[0][0].astimezone(formatter.zone):%H:%M}\N{EN DASH}{end:%H:%M}"


# --- days ------------------------------------------------------------------------------------


def draw_days(formatter: Formatter, days: Sequence[Json]) -> str:
    """Return a bar for each UTC day, stacked from its slots."""
    groups = [days[n : n + GROUP_DAYS] for n in range(0, len(days), GROUP_DAYS)]
    drawn = "".join(_draw_group(formatter, group) for group in groups)
    ends = [_name_utc_day(formatter, days[n]) for n in (0, len(days) // 2, -1)] if days else []
    labels = "".join(f"<span>{escape(text)}</span>" for text in ends)
    return (
        f'<div class="ms-days">{drawn}</div><div class="ms-ends" aria-hidden="true">{labels}</div>'
    )


def _draw_group(formatter: Formatter, days: Sequence[Json]) -> str:
    counts = [_count(day) for day in days]
    total = {state: sum(count[state] for count in counts) for state in CLASSES}
    first, last = (_name_utc_day(formatter, days[n]) for n in (0, -1))
    known = _describe_counts(total) if any(total.values()) else tr("no slot was due")
    text = escape(f"{first} \N{EN DASH} {last}: {known}")
    bars = "".join(_draw_bar(formatter, day) for day in days)
    return (
        f'<div style="flex-grow:{len(days)}" tabindex="0" role="img" aria-label="{text}" '
        f'data-tip="{text}">{bars}</div>'
    )


def _draw_bar(formatter: Formatter, day: Json) -> str:
    counts, name = _count(day), _name_utc_day(formatter, day)
    if not day["expected"]:
        tip = escape(f"{name}: {tr('no slot was due')}")
        return f'<i class="ms-idle" data-tip="{tip}"></i>'
    tip = escape(f"{name}: {_describe_counts(counts)}")
    parts = "".join(
        f'<b class="ms-{CLASSES[state]}" style="flex-grow:{counts[state]}"></b>'
        for state in ("-", "b", "d")
        if counts[state]
    )
    return f'<i data-tip="{tip}">{parts}</i>'


def _name_utc_day(formatter: Formatter, day: Json) -> str:
    return _name_day(formatter, datetime.fromisoformat(day["start"]))
