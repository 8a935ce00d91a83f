"""What a coin's alerts caught and missed, as the coin page says it."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.dashboard.coin.alert_score import describe_alert_score
from services.dashboard.formatting import Formatter
from tests.conftest import NOW

OWN = {
    "falls": 7,
    "caught": 6,
    "missed": 1,
    "stray": 3,
    "median_delay_seconds": 720.0,
    "alerts_per_week": 1.94,
}
FIXED = OWN | {"caught": 5, "stray": 1, "alerts_per_week": 2.0, "threshold": 0.0492}


def _describe(
    own: dict[str, Any] | None,
    fixed: dict[str, Any] | None = None,
    start: str = "2026-09-21T12:00:00Z",
) -> list[str]:
    score = {
        "start": start if own else None,
        "end": "2026-11-20T12:00:00Z",
        "fall_depth": 0.05,
        "alerts": own,
        "fixed_percentage": fixed,
    }
    return describe_alert_score(Formatter("USD", ZoneInfo("UTC"), False, None, NOW), score)


def test_caught_and_missed_falls_are_shown_in_sentences() -> None:
    assert _describe(OWN, FIXED) == [
        "Of 7 falls of 5% or more within 24 hours in the last 60 days, these alerts announced 6. "
        "Typically this was 12 min after the price had fallen by 5%. 3 panic alerts were raised "
        "outside of such a fall. In all there were 1.9 alerts a week, with reversals.",
        "For comparison: a fixed threshold of 4.9% for this coin, chosen in hindsight, would have "
        "announced 5 of them. 1 panic alert was raised outside of such a fall. In all there were "
        "2.0 alerts a week, with reversals.",
        "From 21 Sep 12:00 to 12:00 UTC, counted once an hour.",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "announced 6."),
        (30.0, "announced 6. Typically this was as soon as the price had fallen by 5%."),
        (-7200.0, "announced 6. Typically this was 2 h before the price had fallen by 5%."),
    ],
)
def test_the_delay_is_shown_as_earlier_or_later(seconds: float | None, text: str) -> None:
    assert text in _describe(OWN | {"median_delay_seconds": seconds})[0]


def test_without_a_fall_nothing_is_compared() -> None:
    calm = OWN | {"falls": 0, "caught": 0, "missed": 0}
    first, period = _describe(calm, FIXED, start="2026-11-13T12:00:00Z")
    assert first.startswith("The price did not fall by 5% within 24 hours in the last 7 days. 3 ")
    assert period.startswith("From 13 Nov 12:00")


def test_less_than_a_week_has_no_rate_per_week() -> None:
    first, *_ = _describe(OWN | {"falls": 1, "stray": 0}, start="2026-11-18T13:00:00Z")
    assert first.startswith("Of 1 fall of 5% or more within 24 hours in the last 47 h, these ")
    assert first.endswith(" 0 panic alerts were raised outside of such a fall.")


def test_a_coin_that_is_new_or_not_watched_is_not_judged() -> None:
    assert _describe(None) == []
    [line] = _describe(OWN, start="2026-11-19T13:00:00Z")
    assert "less than a day" in line
