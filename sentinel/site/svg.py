"""The graphics of the public page as inline SVG: strips and bars. Pure.

Colors come from the classes in `site.css`. What was delivered is solid, what a backfill filled
is hatched, and what stays open is hollow, so that no color alone carries a meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from markupsafe import Markup

from sentinel.site.formatting import format_day, format_share
from sentinel.site.labels import describe_slots
from sentinel.site.status import AlertWeek, Slots

# Of each graphic. The page scales them to the width of its column.
WIDTH = 360
_BAR_HEIGHT = 12

_CHART = Markup(
    '<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{body}</svg>'
)
_RECT = Markup(
    '<rect class="{kind}" x="{x:.4g}" y="{y:.4g}" width="{width:.4g}" height="{height:.4g}"/>'
)
_TEXT = Markup('<text x="{x:.4g}" y="{y:.4g}" text-anchor="{anchor}">{text}</text>')
_VALUE = Markup('<text class="value" x="{x:.4g}" y="{y:.4g}" text-anchor="middle">{text}</text>')
_CELL = Markup("<g><title>{title}</title>{rects}</g>")


def draw_hours(hours: Sequence[Slots]) -> Markup:
    """Return a grid of hours: a row for each UTC day, a column for each hour."""
    days = sorted({_utc(each).date() for each in hours})
    left, top, pitch_x, pitch_y = 48, 15, 13, 17
    parts = [_text(left + hour * pitch_x, 10, f"{hour:02}") for hour in range(0, 24, 6)]
    for row, day in enumerate(days):
        parts.append(_text(0, top + row * pitch_y + 11, f"{day:%a %-d}"))
    for each in hours:
        at = _utc(each)
        x, y = left + at.hour * pitch_x, top + days.index(at.date()) * pitch_y
        parts.append(_draw_slots(each, x, y, 12, 14, f"{format_day(at)}, {at:%H}:00"))
    label = f"Slots by the hour. {_sum_up(hours)}"
    return _chart(top + len(days) * pitch_y, label, parts)


def draw_days(days: Sequence[Slots]) -> Markup:
    """Return a strip with a bar for each UTC day, stacked from its slots."""
    pitch, height = WIDTH / max(1, len(days)), 124
    parts = []
    for number, each in enumerate(days):
        title = format_day(_utc(each))
        # A day without slots is a line, not a bar.
        top = 0 if each.expected else height - 2
        parts.append(_draw_slots(each, number * pitch, top, pitch - 1.2, height - top, title))
    parts += _label_ends([f"{_utc(each):%-d %b}" for each in days], height + 13)
    return _chart(height + 17, f"Slots by the day. {_sum_up(days)}", parts)


def _utc(slots: Slots) -> datetime:
    return slots.start.astimezone(UTC)


def _sum_up(slots: Iterable[Slots]) -> str:
    counts = [(each.expected, each.delivered, each.backfilled) for each in slots]
    expected, delivered, backfilled = map(sum, zip(*counts, strict=True)) if counts else (0, 0, 0)
    return describe_slots(expected, delivered, backfilled)


def _draw_slots(slots: Slots, x: float, y: float, width: float, height: float, at: str) -> Markup:
    """Return the cell of an hour or a day: delivered, above it backfilled, the rest hollow."""
    if not slots.expected:
        return _CELL.format(
            title=f"{at}: no slot was due", rects=_rect("track", x, y, width, height)
        )
    title = f"{at}: {describe_slots(slots.expected, slots.delivered, slots.backfilled)}"
    delivered = height * min(1, slots.delivered / slots.expected)
    backfilled = min(height - delivered, height * slots.backfilled / slots.expected)
    rects = []
    if delivered + backfilled < height * 0.999:
        # The line of a hollow cell lies inside of it.
        rects.append(_rect("open", x + 0.4, y + 0.4, width - 0.8, height - 0.8))
    if backfilled:
        rects.append(_rect("backfilled", x, y + height - delivered - backfilled, width, backfilled))
    if delivered:
        rects.append(_rect("delivered", x, y + height - delivered, width, delivered))
    return _CELL.format(title=title, rects=Markup().join(rects))


def draw_quota(used: float, projected: float | None, limit: float, label: str) -> Markup:
    """Return a bar: used solid, projected hatched, the free part empty, and a line at the limit."""
    end = max(used, projected or 0, limit)
    scale = (WIDTH - 2) / end if end else 0
    parts = [_rect("track", 0, 2, limit * scale, 8)]
    if projected and projected > used:
        parts.append(_rect("projected", 0, 2, projected * scale, 8))
    parts.append(_rect("used", 0, 2, used * scale, 8))
    parts.append(_rect("limit", limit * scale, 0, 2, _BAR_HEIGHT))
    return _chart(_BAR_HEIGHT, label, parts)


def draw_share(share: float, promised: float | None, label: str) -> Markup:
    """Return a bar from 0 to 1, with a line at the promised share if there is one."""
    parts = [_rect("track", 0, 2, WIDTH, 8), _rect("used", 0, 2, WIDTH * min(1, share), 8)]
    if promised is not None:
        parts.append(_rect("limit", WIDTH * promised - 1, 0, 2, _BAR_HEIGHT))
    return _chart(_BAR_HEIGHT, f"{label}: {format_share(share)}", parts)


def draw_weeks(weeks: Sequence[AlertWeek], budgets: Sequence[float | None]) -> Markup:
    """Return a bar of alerts for each week, with a line at the week's budget (None: no line)."""
    height, top = 96, 16
    # A first week is as narrow as the eighth.
    pitch = WIDTH / max(8, len(weeks))
    highest = max([1.0, *(week.alerts for week in weeks), *(each or 0 for each in budgets)])
    parts: list[Markup] = []
    values: list[Markup] = []  # above the lines
    for number, (week, budget) in enumerate(zip(weeks, budgets, strict=True)):
        x, y = number * pitch, top + height - week.alerts / highest * height
        kind = "over" if budget is not None and week.alerts > budget else "used"
        parts.append(_rect(kind, x + pitch * 0.15, y, pitch * 0.7, top + height - y))
        if budget is not None:
            parts.append(_rect("limit", x, top + height - budget / highest * height - 1, pitch, 2))
        parts.append(_text(x + pitch / 2, top + height + 13, f"{week.start:%-d %b}", "middle"))
        values.append(_VALUE.format(x=x + pitch / 2, y=y - 4, text=week.alerts))
    counts = ", ".join(f"{each.start:%-d %b}: {each.alerts}" for each in weeks)
    return _chart(top + height + 17, f"Alerts by the week from {counts}", parts + values)


def _label_ends(texts: Sequence[str], y: float) -> list[Markup]:
    """Return the texts of the first, the middle and the last bar of a strip."""
    if not texts:
        return []
    middle = [_text(WIDTH / 2, y, texts[len(texts) // 2], "middle")] if len(texts) > 2 else []
    return [_text(0, y, texts[0]), *middle, _text(WIDTH, y, texts[-1], "end")]


def _chart(height: float, label: str, parts: Iterable[Markup]) -> Markup:
    body = Markup().join(parts)
    return _CHART.format(width=WIDTH, height=height, label=label, body=body)


def _rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    # A browser refuses negative sizes, and the other half's figures are not ours.
    return _RECT.format(kind=kind, x=x, y=y, width=max(0, width), height=max(0, height))


def _text(x: float, y: float, text: str, anchor: str = "start") -> Markup:
    return _TEXT.format(x=x, y=y, text=text, anchor=anchor)
