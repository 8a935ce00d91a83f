"""Draw a price chart as a PNG image, with Pillow: https://pillow.readthedocs.io"""

from __future__ import annotations

import io
import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from PIL import Image, ImageDraw, ImageFont

from sentinel.notifications.messages import MessageFormatter

Point = tuple[float, float]  # x and y, in pixels

WIDTH, HEIGHT = 900, 500
SCALE = 2  # drawn larger, then reduced: smooth lines
LEFT, RIGHT, TOP, BOTTOM = 30, 140, 50, 45  # margins
LINE_COLOR, GRID_COLOR, TEXT_COLOR = "#2a78d6", "#e3e6ea", "#3c4043"
ALERT_COLORS = {"panic": "#c0392b", "reversal": "#1e8449"}
MARK_SIZE = 8
PRICE_LINES, TIME_LINES = 5, 5
# Points further apart than this many steps are not joined by a line: a gap stays visible.
MAX_JOINED_STEPS = 2.5


@dataclass(frozen=True, slots=True)
class ChartData:
    """What a chart shows."""

    title: str
    # Times and prices in USD, in the order of time.
    points: Sequence[tuple[datetime, float]]
    # The usual time between two points, at least.
    step: timedelta
    # Time, price and kind of each alert.
    alerts: Sequence[tuple[datetime, float, str]]
    # The limits of the time axis.
    start: datetime
    end: datetime


class _Axes:
    """Converts times and prices to pixels."""

    def __init__(self, data: ChartData) -> None:
        self.start, self.end = data.start, data.end
        prices = [price for _, price in data.points]
        low, high = min(prices), max(prices)
        margin = (high - low) * 0.05 or abs(high) * 0.01 or 1.0
        self.low, self.high = low - margin, high + margin

    def locate(self, at: datetime, price: float) -> Point:
        share = (at - self.start) / (self.end - self.start)
        height = (price - self.low) / (self.high - self.low)
        x = LEFT + share * (WIDTH - LEFT - RIGHT)
        y = TOP + (1 - height) * (HEIGHT - TOP - BOTTOM)
        return x * SCALE, y * SCALE


def draw(data: ChartData, formatter: MessageFormatter) -> bytes:
    """Return a chart as a PNG image."""
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "white")
    canvas, axes = ImageDraw.Draw(image), _Axes(data)
    _draw_grid(canvas, axes, formatter)
    canvas.text((LEFT * SCALE, 14 * SCALE), data.title, fill=TEXT_COLOR, font=_font(17))
    for line in split_at_gaps(data.points, data.step):
        pixels = [axes.locate(*point) for point in line]
        if len(pixels) == 1:
            _draw_dot(canvas, pixels[0])
        canvas.line(pixels, fill=LINE_COLOR, width=2 * SCALE, joint="curve")
    for at, price, kind in data.alerts:
        if data.start <= at <= data.end and axes.low <= price <= axes.high:
            _draw_alert(canvas, axes.locate(at, price), kind)
    small = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    small.save(content, format="PNG", optimize=True)
    return content.getvalue()


def split_at_gaps(
    points: Sequence[tuple[datetime, float]], step: timedelta
) -> Iterator[list[tuple[datetime, float]]]:
    """Yield the runs of points without a gap between them."""
    pauses = [(b[0] - a[0]).total_seconds() for a, b in itertools.pairwise(points)]
    usual = max(step.total_seconds(), statistics.median(pauses) if pauses else 0.0)
    line = list(points[:1])
    for pause, point in zip(pauses, points[1:], strict=True):
        if pause > MAX_JOINED_STEPS * usual:
            yield line
            line = []
        line.append(point)
    yield line


def _draw_grid(canvas: ImageDraw.ImageDraw, axes: _Axes, formatter: MessageFormatter) -> None:
    font = _font(14)
    for n in range(PRICE_LINES):
        price = axes.low + (axes.high - axes.low) * (n + 0.5) / PRICE_LINES
        ends = [axes.locate(axes.start, price), axes.locate(axes.end, price)]
        canvas.line(ends, fill=GRID_COLOR, width=SCALE)
        place = (ends[1][0] + 8 * SCALE, ends[1][1])
        canvas.text(place, formatter.format_usd(price), fill=TEXT_COLOR, font=font, anchor="lm")
    for n in range(TIME_LINES):
        at = axes.start + (axes.end - axes.start) * (n + 0.5) / TIME_LINES
        ends = [axes.locate(at, axes.low), axes.locate(at, axes.high)]
        canvas.line(ends, fill=GRID_COLOR, width=SCALE)
        place = (ends[0][0], ends[0][1] + 10 * SCALE)
        canvas.text(place, formatter.format_time(at), fill=TEXT_COLOR, font=font, anchor="mt")


def _draw_alert(canvas: ImageDraw.ImageDraw, place: Point, kind: str) -> None:
    """Draw a triangle that points down for a panic, up for a reversal."""
    (x, y), size = place, MARK_SIZE * SCALE
    height = size if kind == "panic" else -size
    corners = [(x - size, y - height), (x + size, y - height), (x, y + height)]
    canvas.polygon(corners, fill=ALERT_COLORS.get(kind, TEXT_COLOR), outline="white")


def _draw_dot(canvas: ImageDraw.ImageDraw, place: Point) -> None:
    (x, y), radius = place, 2 * SCALE
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=LINE_COLOR)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font, which has Latin letters only."""
    return ImageFont.load_default(size * SCALE)
