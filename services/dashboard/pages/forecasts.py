"""The scoreboard: how the forecasts of all coins, and of the best-ranked ones, turned out."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from services.api_client import Json
from services.dashboard import data
from services.dashboard.elements.forecast_scores import (
    TOO_EARLY,
    build_score_row,
    drop_repeated,
    format_line_score,
    format_score,
    format_span,
    list_columns,
    list_metrics,
)
from services.dashboard.elements.table import show_table
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr
from services.dashboard.text import unique_coin_names

SHOWN_COINS = 20


def show() -> None:
    """Show the page; the names of the coins are fetched once."""
    _show_scores(unique_coin_names(data.list_coins() or []))


@st.fragment(run_every=data.REFRESH_SECONDS)
def _show_scores(names: Mapping[str, str]) -> None:
    formatter = data.current_formatter()
    board = data.fetch("/forecasts/scoreboard", limit=SHOWN_COINS)
    if board is None:
        return
    for score in drop_repeated(board["scores"]):
        _show_score(formatter, score)
    title = tr("Best-ranked coins, last 7 days")
    show_table(
        "forecasts",
        title,
        list_columns(),
        [
            build_score_row(
                formatter,
                coin["coin_id"],
                names.get(coin["coin_id"], coin["coin_id"]),
                coin["scores"][-1],
            )
            for coin in board["coins"]
        ],
        title=title,
        empty=tr("No forecast was scored yet. The first ones come after an hour of prices."),
    )
    st.caption(_explain())


def _show_score(formatter: Formatter, score: Json) -> None:
    """Show the track record of all coins over one time span."""
    if score["result"] == TOO_EARLY:
        st.markdown(format_score(formatter, score))
        return
    st.subheader(tr("All coins, {span}", span=format_span(score)))
    with st.container(horizontal=True, gap="medium"):
        for label, figure, note in list_metrics(formatter, score):
            st.metric(label, figure, note, delta_color="off", delta_arrow="off", width="content")
    st.caption(format_line_score(formatter, score))


def _explain() -> str:
    return tr(
        "Every five minutes each coin gets a band that should hold its price ten minutes later, "
        "four times out of five. A coin's calm and wild hours are the thirds of its last day in "
        "which its price moved least and most. The score is the band's width plus a penalty for "
        "each miss, as a share of the price: less is better. The score of no change is that of a "
        "band with the width of the last day's changes, the same in calm and in wild hours. An "
        "error of the line above 1 is larger than that of expecting no change."
    )
