"""The track record of forecasts in plain words, for one coin or for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sentinel.analytics.forecast_band import COVERAGE
from services.api_client import Json
from services.dashboard.formatting import Formatter
from services.dashboard.text import escape_markdown

MIN_FORECASTS = 30  # with fewer, a share would be luck and is not shown
MAX_CHARACTERS = 600
TOO_EARLY = "too early"
LINE_RESULTS = {"edge": "a real edge", "no edge": "no edge"}
DIRECTION_RESULTS = {
    "edge": "clearly better than tossing a coin",
    "no edge": "no better than tossing a coin",
}


def drop_repeated(scores: Sequence[Json]) -> list[Json]:
    """Return the scores without a time span that has only the forecasts of the shorter one."""
    return [
        score
        for n, score in enumerate(scores)
        if n == 0 or {**score, "hours": 0} != {**scores[n - 1], "hours": 0}
    ]


def format_span(score: Json) -> str:
    """Return the time span of a track record: "last day"."""
    return "last day" if score["hours"] == 24 else f"last {score['hours'] // 24} days"


def format_score(formatter: Formatter, score: Json) -> str:
    """Return the track record over one time span as a line of Markdown."""
    if score["result"] == TOO_EARLY:
        scored = f"{score['scored']:,} forecasts scored"
        return f"Track record, {format_span(score)}: too early to tell ({scored})."
    held = _format_share(formatter, score["coverage"], score["with_interval"])
    calm, wild = (_format_class(formatter, score[name]) for name in ("calm", "wild"))
    promised = formatter.percent(COVERAGE, signed=False)
    text = (
        f"Track record, {format_span(score)}: the band held {held} prices (calm hours: {calm}, "
        f"wild hours: {wild}); {promised} is promised."
    )
    return f"{escape_markdown(text, MAX_CHARACTERS)} {format_line_score(formatter, score)}"


def format_line_score(formatter: Formatter, score: Json) -> str:
    """Return what the line and its directions are worth as Markdown; not if it is too early."""
    text = (
        f"The line has {LINE_RESULTS[score['result']]} over expecting no change: its error is "
        f"{score['mase']:.2f} times as large."
    )
    if score["direction_result"] == TOO_EARLY:
        text += f" Its {score['directional']:,} directions are too few to judge."
    else:
        right = _format_share(formatter, score["hit_rate"], score["directional"])
        result = DIRECTION_RESULTS[score["direction_result"]]
        text += f" Its directions were right in {right}: {result}."
    return escape_markdown(text, MAX_CHARACTERS)


def list_metrics(formatter: Formatter, score: Json) -> list[tuple[str, str, str]]:
    """Return label, figure and note of the metrics of a track record."""
    shares = (
        ("Band held", score["coverage"], score["with_interval"]),
        *(
            (f"In {name} hours", score[name]["coverage"], score[name]["forecasts"])
            for name in ("calm", "wild")
        ),
    )
    own, no_change = _format_interval_scores(score)
    return [
        *(
            (label, _format_percent(formatter, share, count), f"of {count:,} prices")
            for label, share, count in shares
        ),
        ("Score of the band", own, f"no change: {no_change}"),
    ]


def build_score_row(formatter: Formatter, name: str, score: Json) -> dict[str, Any]:
    """Return the track record over one time span as the row of a table."""
    own, no_change = _format_interval_scores(score)
    return {
        "coin": name,
        "scored": f"{score['scored']:,}",
        "held": _format_share(formatter, score["coverage"], score["with_interval"]),
        "held, calm hours": _format_class(formatter, score["calm"]),
        "held, wild hours": _format_class(formatter, score["wild"]),
        "score of the band": own,
        "score of no change": no_change,
        "error of the line": (
            TOO_EARLY if score["result"] == TOO_EARLY else f"{score['mase']:.2f}"
        ),
        "direction right": _format_share(formatter, score["hit_rate"], score["directional"]),
    }


def _format_class(formatter: Formatter, score: Json) -> str:
    return _format_share(formatter, score["coverage"], score["forecasts"])


def _format_share(formatter: Formatter, share: float | None, count: int) -> str:
    """Return a share and what it is of: "80.3% of 1,240"; TOO_EARLY of too few."""
    shown = _format_percent(formatter, share, count)
    return shown if shown == TOO_EARLY else f"{shown} of {count:,}"


def _format_percent(formatter: Formatter, share: float | None, count: int) -> str:
    return formatter.percent(share, signed=False) if count >= MIN_FORECASTS else TOO_EARLY


def _format_interval_scores(score: Json) -> tuple[str, str]:
    """Return the scores of the band and of no change, which are in logarithms, as shares."""
    count = sum(score[name]["forecasts"] for name in ("calm", "middle", "wild"))
    if count < MIN_FORECASTS:
        return TOO_EARLY, TOO_EARLY
    return f"{score['interval_score']:.2%}", f"{score['no_change_interval_score']:.2%}"
