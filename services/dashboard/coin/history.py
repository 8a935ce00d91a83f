"""A coin's history as a chart draws it: by time, with interruptions, and what they mean."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from services.api_client import Json
from services.dashboard.elements.chart import Span, to_seconds

# Points further apart than this many steps are not joined by a line: a gap stays visible.
MAX_JOINED_STEPS = 2.5


@dataclass(frozen=True, slots=True)
class HistoryPoints:
    """A history in the order of time, in USD, with None where the line is interrupted."""

    times: list[int]
    points: list[Json | None]
    # The length of a step in seconds; 0: every point is an observation.
    step: int
    # How far points are usually apart, in seconds.
    usual: float

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
    points: Sequence[Json],
    step_seconds: float,
    gaps: Sequence[Json] = (),
    *,
    as_candles: bool = False,
) -> HistoryPoints:
    """Return a history; a line has the last price of a step at the middle of the step."""
    step = int(step_seconds)
    starts = [to_seconds(point["observed_at"]) for point in points]
    apart = [after - before for before, after in itertools.pairwise(starts)]
    usual = max(step, statistics.median(apart)) if apart else step
    known = [span for span in _list_gaps(gaps) if span.stop - span.start > usual / 2]
    times: list[int] = []
    arranged: list[Json | None] = []
    for at, point in zip(starts, points, strict=True):
        time = at if as_candles else at + step // 2
        if times and _is_interrupted(times[-1], time, usual, known):
            times.append((times[-1] + time) // 2)
            arranged.append(None)
        times.append(time)
        arranged.append(point)
    return HistoryPoints(times, arranged, step, usual)


def _list_gaps(gaps: Sequence[Json]) -> list[Span]:
    return [Span(to_seconds(gap["start"]), to_seconds(gap["stop"]), "gap") for gap in gaps]


def _is_interrupted(before: int, after: int, usual: float, gaps: Sequence[Span]) -> bool:
    if after - before > MAX_JOINED_STEPS * usual:
        return True
    return any(before < (gap.start + gap.stop) / 2 < after for gap in gaps)


def find_gaps(gaps: Sequence[Json], points: HistoryPoints) -> Iterator[Span]:
    """Yield the known gaps, and where the line is interrupted besides."""
    known = _list_gaps(gaps)
    yield from known
    for index, point in enumerate(points.points):
        if point is None:
            start, stop = points.times[index - 1], points.times[index + 1]
            if not any(gap.start < stop and start < gap.stop for gap in known):
                yield Span(start, stop, "gap")


def find_backfilled(points: HistoryPoints) -> list[Span]:
    """Return the stretches of which at least half the observations are backfilled.

    Observed prices between backfilled ones interrupt a stretch if they are more than a few.
    """
    found: list[Span] = []
    for point in points.points:
        if point is None or 2 * point["backfilled"] < point["observations"]:
            continue
        start = to_seconds(point["observed_at"])
        stop = start + max(points.step, 1)
        if found and start - found[-1].stop <= MAX_JOINED_STEPS * points.usual:
            found[-1] = Span(found[-1].start, stop, "backfilled")
        else:
            found.append(Span(start, stop, "backfilled"))
    return found
