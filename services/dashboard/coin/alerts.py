"""The alerts of a coin: a table, what they are measured from, and how they turned out."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from services.api_client import Json, quote_segment
from services.dashboard import data
from services.dashboard.coin.alert_score import describe_alert_score
from services.dashboard.elements.cells import badge_cell, percent_cell, price_cell, time_cell
from services.dashboard.elements.table import Cell, Column, Row, show_table
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown

SHOWN_ALERTS = 10
# By outcome: its place when sorted, and the tone of its badge.
OUTCOMES = {"went_on": (2, "ok"), "recovered": (1, "warning"), "unknown": (0, "muted")}


def show_alerts(formatter: Formatter, coin: Json, alerts: Sequence[Json]) -> None:
    """Show when the next alert comes, and the newest alerts with their outcome and reason."""
    with st.container(horizontal=True, vertical_alignment="center", key="coin_alerts_title"):
        st.subheader(tr("Alerts"), width="content")
        _show_score(formatter, coin)
    st.caption(escape_markdown(describe_watch(formatter, coin), MAX_SENTENCE_CHARACTERS))
    columns = [
        Column("time", tr("Time"), "number", descending=True),
        Column("move", tr("Move"), "change"),
        Column("price", tr("Price"), "number", priority=2, descending=True),
        Column("hour", tr("1 h later"), "change", priority=2),
        Column("day", tr("24 h later"), "change"),
        Column("outcome", tr("Outcome"), "badge"),
        Column("why", tr("Why"), priority=3),
    ]
    show_table(
        "coin_alerts",
        tr("Alerts"),
        columns,
        [build_alert_row(formatter, alert) for alert in alerts[:SHOWN_ALERTS]],
        empty=tr("No alerts of this coin yet."),
    )
    if len(alerts) > SHOWN_ALERTS:
        link = f"alerts?coin={quote_segment(coin['coin_id'])}"
        st.html(f'<a class="ms-more" href="{link}">{tr("All alerts of this coin")}</a>')


def _show_score(formatter: Formatter, coin: Json) -> None:
    """Show a button that asks what the alerts caught, which takes the API a moment."""
    if coin["watch"] is None:
        return
    popover = st.popover(
        tr("What they caught"), type="tertiary", key="alert_score", on_change="rerun"
    )
    if popover.open:
        with popover:
            score = data.fetch(f"/coins/{quote_segment(coin['coin_id'])}/alert-score")
            for line in describe_alert_score(formatter, score) if score else []:
                st.write(escape_markdown(line, MAX_SENTENCE_CHARACTERS))


def name_outcomes() -> dict[str, str]:
    """Return the names of what the price did in the day after an alert."""
    return {
        "went_on": tr("Went on"),
        "recovered": tr("Recovered"),
        "unknown": tr("Not known yet"),
    }


def list_figure_cells(formatter: Formatter, alert: Json) -> list[Cell]:
    """Return the move, the price, the changes after an hour and a day, and the outcome."""
    rank, tone = OUTCOMES[alert["outcome"]]
    return [
        percent_cell(formatter, alert["move"]),
        price_cell(formatter, alert["price_usd"]),
        percent_cell(formatter, alert["after_1h"]),
        percent_cell(formatter, alert["after_24h"]),
        badge_cell(rank, name_outcomes()[alert["outcome"]], tone),
    ]


def build_alert_row(formatter: Formatter, alert: Json) -> Row:
    """Return an alert as a row of the table."""
    why = alert["why"]
    if not alert["is_announced"]:
        why += " " + tr("The coin was muted, so no message was sent.")
    return Row(
        str(alert["alert_id"]),
        [
            time_cell(formatter, alert["observed_at"]),
            *list_figure_cells(formatter, alert),
            why,
        ],
        name=alert["name"],
    )


def describe_watch(formatter: Formatter, coin: Json) -> str:
    """Return what the alerts of a coin are measured from, as plain text."""
    watch = coin["watch"]
    if watch is None:
        return tr(
            "The monitor does not watch this coin. It watches the coins you hold, the best-ranked "
            "ones and your watchlist: the star above adds this one."
        )
    threshold = formatter.percent(watch["threshold"], signed=False)
    if watch["high_usd"] is None or watch["low_usd"] is None:
        return tr("An alert comes when the price moves by {threshold}.", threshold=threshold)
    return tr(
        "An alert comes when the price is {threshold} below its recent high ({high}) or above its "
        "recent low ({low}).",
        threshold=threshold,
        high=formatter.price(watch["high_usd"]),
        low=formatter.price(watch["low_usd"]),
    )
