"""The offline definition of a fall, and the score of alerts against it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sentinel.analytics.crossings import Alert, Kind
from sentinel.analytics.falls import Fall, Score, combine, find_falls, score

HOUR = 3600.0


def hourly(*prices: float) -> list[tuple[float, float]]:
    return [(n * HOUR, price) for n, price in enumerate(prices)]


def alert(hour: float, kind: Kind = "panic") -> Alert:
    return Alert(kind, hour * HOUR, 95.0, 100.0, 0.0, -0.05, 0.05, 1)


def test_a_fall_begins_5_percent_below_the_maximum_and_ends_when_half_is_recovered() -> None:
    series = hourly(99, 100, 96, 95, 90, 92, 94.9, 95, 96)
    assert find_falls(series) == [Fall(1 * HOUR, 100, 3 * HOUR, 90, 7 * HOUR)]
    assert find_falls(series)[0].depth == pytest.approx(0.1)


def test_the_next_fall_is_measured_from_the_end_of_the_last_one() -> None:
    series = hourly(100, 80, 90, 86, 85.5, 85.5)
    first, second = find_falls(series)
    assert (first.low_usd, first.ended_at) == (80, 2 * HOUR)
    assert (second.reference_usd, second.began_at) == (90, 4 * HOUR)
    assert second.ended_at == 5 * HOUR, "a fall that has not ended lasts until the last price"


def test_a_fall_ends_when_its_maximum_is_a_day_old_and_the_price_holds() -> None:
    (fall,) = find_falls(hourly(100, 90, *[91] * 30))
    assert fall.ended_at == 25 * HOUR


def test_a_maximum_of_more_than_a_day_ago_begins_no_fall() -> None:
    assert find_falls(hourly(*(100 - n * 0.15 for n in range(200)))) == []


def test_a_fall_during_a_gap_of_more_than_a_day_is_measured_from_the_last_price() -> None:
    series = [(0.0, 100.0), (26 * HOUR, 60.0), (27 * HOUR, 59.0)]
    assert find_falls(series) == [Fall(0.0, 100, 26 * HOUR, 59, 27 * HOUR)]


@pytest.mark.parametrize("factor", [1000, 1.1, 0.9, 0.001])
def test_a_price_that_both_near_neighbors_contradict_is_no_fall(factor: float) -> None:
    prices = [(n * 600.0, 100.0 * (factor if n == 5 else 1)) for n in range(20)]
    assert find_falls(prices) == []
    far_apart = [(at * 12, price) for at, price in prices]
    assert len(find_falls(far_apart)) == 1, "neighbors of hours ago contradict nothing"


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ([], Score(1, 0, 0)),
        ([3], Score(1, 1, 0, (0.0,), 1)),
        ([2], Score(1, 1, 0, (-HOUR,), 1)),
        ([5, 6], Score(1, 1, 0, (2 * HOUR,), 2)),
        ([1], Score(1, 0, 1, (), 1)),
        ([3, 8], Score(1, 1, 1, (0.0,), 2)),
    ],
)
def test_a_panic_from_the_maximum_to_the_end_catches_the_fall(
    hours: Sequence[float], expected: Score
) -> None:
    series = hourly(99, 100, 96, 95, 90, 92, 94, 95, 96)
    found = score(series, [alert(hour) for hour in hours])
    assert found == expected._replace(weeks=8 / 168)
    assert found.missed == 1 - found.caught


def test_reversals_and_distances_from_a_peg_count_in_the_rate_and_are_never_stray() -> None:
    from_peg = alert(2)._replace(basis="peg")
    found = score(hourly(100, 90, 100), [alert(1, "reversal"), alert(2, "reversal"), from_peg])
    assert (found.caught, found.stray, found.alerts) == (1, 0, 3)
    calm = score(hourly(1, 0.995, 0.99), [alert(1), from_peg])
    assert (calm.falls, calm.stray, calm.alerts) == (0, 1, 2)


def test_scores_of_coins_add_up() -> None:
    series = hourly(*[99] * 82, 100, 97, 90)
    total = combine([score(series, [alert(84)]), score(series, [alert(83), alert(1)])])
    assert (total.falls, total.caught, total.missed, total.stray) == (2, 2, 0, 1)
    assert total.delay_seconds == -HOUR / 2
    assert total.alerts_per_coin_week == 3.0
    assert combine([]).alerts_per_coin_week is combine([]).delay_seconds is None
    assert find_falls([]) == []
