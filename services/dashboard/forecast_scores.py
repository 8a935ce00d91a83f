"""The track record of forecasts in plain words, for one coin or for all."""

from __future__ import annotations

from typing import Any

from sentinel.analytics.forecast_band import COVERAGE
from services.api_client import Json
from services.dashboard.formatting import UNKNOWN, Formatter
from services.dashboard.text import escape_markdown

MIN_FORECASTS = 30  # with fewer, a share would be luck and is not shown
MAX_CHARACTERS = 600
LINE_RESULTS = {"edge": "a real edge", "no edge": "no edge"}
DIRECTION_RESULTS = {
    "edge": "clearly better than tossing a coin",
    "no edge": "no better than tossing a coin",
    "too early": "too few to tell",
}


def format_score(formatter: Formatter, score: Json) -> str:
    """Return the track record over one time span as a line of Markdown."""
    span = "last day" if score["hours"] == 24 else f"last {score['hours'] // 24} days"
    scored = f"{score['scored']:,} forecasts scored"
    if score["result"] == "too early":
        return f"Track record, {span}: too early to tell ({scored})."
    text = (
        f"Track record, {span} ({scored}). {_describe_band(formatter, score)} "
        f"{_describe_line(formatter, score)}"
    )
    return escape_markdown(text, MAX_CHARACTERS)


def build_score_row(formatter: Formatter, name: str, score: Json) -> dict[str, Any]:
    """Return the track record over one time span as the row of a table."""
    return {
        "coin": name,
        "scored": f"{score['scored']:,}",
        "held": _format_share(formatter, score["coverage"], score["with_interval"]),
        "held, calm hours": _format_class(formatter, score["calm"]),
        "held, wild hours": _format_class(formatter, score["wild"]),
        "score of the band": _format_score(score["interval_score"]),
        "score of no change": _format_score(score["no_change_interval_score"]),
        "error of the line": UNKNOWN if score["mase"] is None else f"{score['mase']:.2f}",
        "direction right": _format_share(formatter, score["hit_rate"], score["directional"]),
    }


def _describe_band(formatter: Formatter, score: Json) -> str:
    """Return how often the band held the price, and its score beside that of a constant band."""
    held = _format_share(formatter, score["coverage"], score["with_interval"])
    calm, wild = (_format_class(formatter, score[name]) for name in ("calm", "wild"))
    promised = formatter.percent(COVERAGE, signed=False)
    text = (
        f"The band held {held} prices; {promised} is promised. In calm hours {calm}, in wild hours "
        f"{wild}."
    )
    if score["interval_score"] is None:
        return text
    return (
        f"{text} Its width plus a penalty for each miss is {_format_score(score['interval_score'])}"
        f" of the price on average, {_format_score(score['no_change_interval_score'])} for "
        "no change with a constant width; less is better."
    )


def _describe_line(formatter: Formatter, score: Json) -> str:
    """Return what the line and its directions are worth."""
    right = _format_share(formatter, score["hit_rate"], score["directional"])
    return (
        f"The line has {LINE_RESULTS[score['result']]} over expecting no change: its error is "
        f"{score['mase']:.2f} times as large. Its directions were right in {right}: "
        f"{DIRECTION_RESULTS[score['direction_result']]}."
    )


def _format_class(formatter: Formatter, score: Json) -> str:
    return _format_share(formatter, score["coverage"], score["forecasts"])


def _format_share(formatter: Formatter, share: float | None, count: int) -> str:
    """Return a share and what it is of: "80.3% of 1,240"; UNKNOWN of too few."""
    shown = formatter.percent(share, signed=False) if count >= MIN_FORECASTS else UNKNOWN
    return f"{shown} of {count:,}"


def _format_score(score: float | None) -> str:
    """Return an interval score, which is in logarithms, as a share of the price."""
    return UNKNOWN if score is None else f"{score:.2%}"
