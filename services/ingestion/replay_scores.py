"""What the alerts of a replay announced, beside a fixed percentage: tables and JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sentinel.analytics.falls import DEFAULT_FALLS, Score, combine
from sentinel.analytics.fixed_percentage import Reference

OUTCOMES = ("caught", "missed", "stray", "delay")
COLUMNS = ("coin", "a week", "falls", *OUTCOMES, "fixed", "a week", *OUTCOMES)
TITLE = (
    f"Falls of {DEFAULT_FALLS.depth:.0%} or more below the maximum of "
    f"{DEFAULT_FALLS.window.total_seconds() / 3600:.0f} hours; on the right a fixed percentage per "
    "coin at the same total rate"
)


class Comparison(NamedTuple):
    """The scores of a replay by coin: of the alert rule, and of the fixed percentage."""

    scores: Mapping[str, Score]
    references: Mapping[str, Reference]

    @property
    def total(self) -> Score:
        """The rule's score of all coins."""
        return combine(self.scores.values())

    @property
    def total_reference(self) -> Score:
        """The fixed percentage's score of all coins."""
        return combine(reference.score for reference in self.references.values())


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the values that `--json` prints under `falls` and `fixed_percentage`."""
    references = comparison.references.items()
    return {
        "falls": {
            "depth": DEFAULT_FALLS.depth,
            **_score_as_json(comparison.total),
            "by_coin": {coin: _score_as_json(score) for coin, score in comparison.scores.items()},
        },
        "fixed_percentage": {
            **_score_as_json(comparison.total_reference),
            "by_coin": {
                coin: {"percentage": found.percentage * 100, **_score_as_json(found.score)}
                for coin, found in references
            },
        },
    }


def list_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return the table's cells: one row per coin, then the total."""
    rows = [
        (coin, *_format(score), f"{found.percentage:.1%}", *_format(found.score, has_falls=False))
        for coin, score in comparison.scores.items()
        for found in [comparison.references[coin]]
    ]
    reference = _format(comparison.total_reference, has_falls=False)
    return [*rows, ("all", *_format(comparison.total), "", *reference)]


def describe(comparison: Comparison) -> str:
    """Return the total in one sentence."""
    total, reference = comparison.total, comparison.total_reference
    return (
        f"{total.caught} of {total.falls} falls caught, {total.stray} stray panics; a fixed "
        f"percentage per coin: {reference.caught} and {reference.stray} at "
        f"{_format_rate(reference)} alerts per coin and week"
    )


def _score_as_json(score: Score) -> dict[str, Any]:
    return {
        "falls": score.falls,
        "caught": score.caught,
        "missed": score.missed,
        "stray": score.stray,
        "delay_seconds": score.delay_seconds,
        "per_coin_week": score.alerts_per_coin_week,
    }


def _format(score: Score, *, has_falls: bool = True) -> Iterable[str]:
    falls = [str(score.falls)] if has_falls else []
    counts = (str(score.caught), str(score.missed), str(score.stray))
    return (_format_rate(score), *falls, *counts, format_delay(score.delay_seconds))


def _format_rate(score: Score) -> str:
    rate = score.alerts_per_coin_week
    return "" if rate is None else f"{rate:.2f}"


def format_delay(seconds: float | None) -> str:
    """Return a delay in minutes or hours; a negative one was early."""
    if seconds is None:
        return ""
    if abs(seconds) < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
