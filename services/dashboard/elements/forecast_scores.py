"""The track record of forecasts in plain words, for one coin or for all."""

from __future__ import annotations

from collections.abc import Sequence

from sentinel.analytics.forecast_band import COVERAGE
from services.api_client import Json, quote_segment
from services.dashboard.elements.cells import count_cell, number_cell
from services.dashboard.elements.table import Cell, Column, Row
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr
from services.dashboard.text import escape_markdown

MIN_FORECASTS = 30  # with fewer, a share would be luck and is not shown
MAX_CHARACTERS = 600
# The API's word.
TOO_EARLY = "too early"
CLASSES = ("calm", "wild")


def drop_repeated(scores: Sequence[Json]) -> list[Json]:
    """Return the scores without a time span that has only the forecasts of the shorter one."""
    return [
        score
        for n, score in enumerate(scores)
        if n == 0 or {**score, "hours": 0} != {**scores[n - 1], "hours": 0}
    ]


def format_span(score: Json) -> str:
    """Return the time span of a track record: "last day"."""
    days = score["hours"] // 24
    return tr("last day") if days == 1 else tr("last {days} days", days=days)


def format_score(formatter: Formatter, score: Json) -> str:
    """Return the track record over one time span as a line of Markdown."""
    span = format_span(score)
    if score["result"] == TOO_EARLY:
        count = formatter.count(score["scored"])
        text = tr(
            "Track record, {span}: too early to tell ({count} forecasts scored).",
            span=span,
            count=count,
        )
        return escape_markdown(text, MAX_CHARACTERS)
    calm, wild = (_format_class(formatter, score[name]) for name in ("calm", "wild"))
    text = tr(
        "Track record, {span}: the band held {held} prices (calm hours: {calm}, wild hours: "
        "{wild}); {promised} is promised.",
        span=span,
        held=_format_share(formatter, score["coverage"], score["with_interval"]),
        calm=calm,
        wild=wild,
        promised=formatter.percent(COVERAGE, signed=False),
    )
    return f"{escape_markdown(text, MAX_CHARACTERS)} {format_line_score(formatter, score)}"


def format_line_score(formatter: Formatter, score: Json) -> str:
    """Return what the line and its directions are worth as Markdown; not if it is too early."""
    error = formatter.decimal(score["mase"])
    if score["result"] == "edge":
        text = tr(
            "The line has a real edge over expecting no change: its error is {error} times as "
            "large.",
            error=error,
        )
    else:
        text = tr(
            "The line has no edge over expecting no change: its error is {error} times as large.",
            error=error,
        )
    return escape_markdown(f"{text} {_describe_directions(formatter, score)}", MAX_CHARACTERS)


def _describe_directions(formatter: Formatter, score: Json) -> str:
    if score["direction_result"] == TOO_EARLY:
        count = formatter.count(score["directional"])
        return tr("Its {count} directions are too few to judge.", count=count)
    right = _format_share(formatter, score["hit_rate"], score["directional"])
    if score["direction_result"] == "edge":
        return tr(
            "Its directions were right in {right}: clearly better than tossing a coin.", right=right
        )
    return tr("Its directions were right in {right}: no better than tossing a coin.", right=right)


def list_metrics(formatter: Formatter, score: Json) -> list[tuple[str, str, str]]:
    """Return label, figure and note of the metrics of a track record."""
    calm, wild = score["calm"], score["wild"]
    shares = (
        (tr("Band held"), score["coverage"], score["with_interval"]),
        (tr("In calm hours"), calm["coverage"], calm["forecasts"]),
        (tr("In wild hours"), wild["coverage"], wild["forecasts"]),
    )
    own, no_change = _format_interval_scores(formatter, score)
    return [
        *(
            (
                label,
                _format_percent(formatter, share, count),
                tr("of {count} prices", count=formatter.count(count)),
            )
            for label, share, count in shares
        ),
        (tr("Score of the band"), own, tr("no change: {score}", score=no_change)),
    ]


def list_columns() -> list[Column]:
    """Return the columns of the rows that `build_score_row` returns."""
    return [
        Column("coin", tr("Coin"), "link"),
        Column("scored", tr("Scored"), "number", priority=2, descending=True),
        Column("held", tr("Band held"), "number", descending=True),
        Column("calm", tr("In calm hours"), "number", priority=3, descending=True),
        Column("wild", tr("In wild hours"), "number", priority=2, descending=True),
        Column("score", tr("Score of the band"), "number"),
        Column("no_change", tr("Score of no change"), "number", priority=2),
        Column("error", tr("Error of the line"), "number", priority=3),
        Column("right", tr("Direction right"), "number", priority=2, descending=True),
    ]


def build_score_row(formatter: Formatter, coin_id: str, name: str, score: Json) -> Row:
    """Return the track record over one time span as the row of a table."""
    own, no_change = _format_interval_scores(formatter, score)
    is_early = score["result"] == TOO_EARLY
    error = tr("too early") if is_early else formatter.decimal(score["mase"])

    def share_cell(share: float | None, count: int) -> Cell:
        is_known = count >= MIN_FORECASTS
        return number_cell(share if is_known else None, _format_share(formatter, share, count))

    return Row(
        coin_id,
        [
            name,
            count_cell(formatter, score["scored"]),
            share_cell(score["coverage"], score["with_interval"]),
            *(share_cell(score[key]["coverage"], score[key]["forecasts"]) for key in CLASSES),
            number_cell(score["interval_score"], own),
            number_cell(score["no_change_interval_score"], no_change),
            number_cell(None if is_early else score["mase"], error),
            share_cell(score["hit_rate"], score["directional"]),
        ],
        href=f"coin?coin={quote_segment(coin_id)}",
        name=name,
    )


def _format_class(formatter: Formatter, score: Json) -> str:
    return _format_share(formatter, score["coverage"], score["forecasts"])


def _format_share(formatter: Formatter, share: float | None, count: int) -> str:
    """Return a share and what it is of: "80.3% of 1,240"; "too early" of too few."""
    if count < MIN_FORECASTS:
        return tr("too early")
    shown = formatter.percent(share, signed=False)
    return tr("{share} of {count}", share=shown, count=formatter.count(count))


def _format_percent(formatter: Formatter, share: float | None, count: int) -> str:
    return formatter.percent(share, signed=False) if count >= MIN_FORECASTS else tr("too early")


def _format_interval_scores(formatter: Formatter, score: Json) -> tuple[str, str]:
    """Return the scores of the band and of no change, which are in logarithms, as shares."""
    count = sum(score[name]["forecasts"] for name in ("calm", "middle", "wild"))
    if count < MIN_FORECASTS:
        return tr("too early"), tr("too early")
    own, no_change = (
        f"{formatter.decimal(100 * score[key])}%"
        for key in ("interval_score", "no_change_interval_score")
    )
    return own, no_change
