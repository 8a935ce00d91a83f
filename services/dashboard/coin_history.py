"""A coin's history as a chart draws it: by time, with interruptions, and what they mean."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from services.api_client import Json
from services.dashboard.chart import Span, to_seconds

# Points further apart than this many steps are not joined by a line: a gap stays visible.
MAX_JOINED_STEPS = 2.5


@dataclass(frozen=True, slots=True)
class HistoryPoints:
    """A history in the order of time, in USD, with None where the line is interrupted."""

    times: list[int]
    points: list[Json | None]
    # The length of a step in seconds; 0: every point is an observation.
    step: int

    def column(self, key: str, convert: Callable[[float], float]) -> list[float | None]:
        """Return one value of all points, converted from USD."""
        return [
            None if point is None or point[key] is None else convert(point[key])
            for point in self.points
        ]

    def find_price(self, time: int) -> float | None:
        """Return the last price at a time, in USD."""
        found = [
            point["price_usd"]
            for at, point in zip(self.times, self.points, strict=True)
            if point and at <= time
        ]
        return found[-1] if found else None


def arrange_points(
    points: Sequence[Json], step_seconds: float, *, as_candles: bool = False
) -> HistoryPoints:
    """Return a history; a line has the last price of a step at the middle of the step."""
    step = int(step_seconds)
    starts = [to_seconds(point["observed_at"]) for point in points]
    apart = [after - before for before, after in itertools.pairwise(starts)]
    usual = max(step, statistics.median(apart)) if apart else step
    times: list[int] = []
    arranged: list[Json | None] = []
    for at, point in zip(starts, points, strict=True):
        time = at if as_candles else at + step // 2
        if times and time - times[-1] > MAX_JOINED_STEPS * usual:
            times.append((times[-1] + time) // 2)
            arranged.append(None)
        times.append(time)
        arranged.append(point)
    return HistoryPoints(times, arranged, step)


def find_gaps(gaps: Sequence[Json], points: HistoryPoints) -> Iterator[Span]:
    """Yield the known gaps, and where the line is interrupted besides."""
    known = [Span(to_seconds(gap["start"]), to_seconds(gap["stop"]), "gap") for gap in gaps]
    yield from known
    for index, point in enumerate(points.points):
        if point is None:
            start, stop = points.times[index - 1], points.times[index + 1]
            if not any(gap.start < stop and start < gap.stop for gap in known):
                yield Span(start, stop, "gap")


def find_backfilled(points: HistoryPoints) -> Iterator[Span]:
    """Yield the stretches of which at least half the observations are backfilled."""
    start: int | None = None
    last = 0
    for at, point in zip(points.times, points.points, strict=True):
        is_backfilled = point is not None and 2 * point["backfilled"] >= point["observations"]
        if is_backfilled and start is None:
            start = at
        elif not is_backfilled and start is not None:
            yield Span(start, max(last, start + 1), "backfilled")
            start = None
        last = at
    if start is not None:
        yield Span(start, max(last, start + 1), "backfilled")
