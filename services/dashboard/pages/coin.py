"""One coin: its chart, its figures, the next ten minutes, alerts, targets, own transactions."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from sentinel.models import describe_gap_reason
from services.api_client import ApiUnreachable, Json, RequestRejected, quote_segment
from services.dashboard import data
from services.dashboard.coin.alerts import show_alerts
from services.dashboard.coin.chart import ComparedCoin, build_coin_chart
from services.dashboard.coin.controls import CoinView, show_controls
from services.dashboard.coin.facts import format_facts, format_title
from services.dashboard.coin.mute_control import show_mute_control
from services.dashboard.coin.price_targets import show_price_targets
from services.dashboard.coin.transactions import show_transactions
from services.dashboard.elements.cells import count_cell, time_cell
from services.dashboard.elements.chart import show_chart
from services.dashboard.elements.forecast_scores import TOO_EARLY, drop_repeated, format_score
from services.dashboard.elements.table import Column, Row, show_table
from services.dashboard.formatting import Formatter
from services.dashboard.language import current_language, tr, tr_shared
from services.dashboard.text import escape_markdown, unique_coin_names


def show() -> None:
    """Show the page of the coin that the address names, or of the first one."""
    coins = data.list_coins()
    if coins is None:
        data.fetch("/coins", limit=data.MAX_COINS)  # shows the error
        return
    if not coins:
        st.info(
            tr("No price is stored yet. After `make up`, the first prices arrive within a minute.")
        )
        return
    names = unique_coin_names(coins)
    coin_id = st.query_params.get("coin", coins[0]["coin_id"])
    _show_coin(coin_id, names)


@st.fragment(run_every=data.REFRESH_SECONDS)
def _show_coin(coin_id: str, names: Mapping[str, str]) -> None:
    formatter = data.current_formatter()
    path = f"/coins/{quote_segment(coin_id)}"
    head = st.container(horizontal=True, vertical_alignment="center", key="coin_head")
    # A coin below the listed ones may be stored as well.
    if coin_id not in names and data.get_content(path) is None:
        with head:
            text = tr("There is no coin with the id {coin_id}.", coin_id=escape_markdown(coin_id))
            st.markdown(f"{text} {tr('Choose one from the list.')}", width="content")
            _choose_coin(coin_id, names)
        return
    view = show_controls(coin_id, names)
    page = data.fetch(f"{path}/page", language=current_language(), **view.query)
    with head:
        if page is not None:
            st.html(format_title(formatter, page, is_old=data.has_old_prices()), width="content")
            _show_star(page["coin"])
        _choose_coin(coin_id, names)
    if page is None:
        return
    left, right = st.columns([4, 1])
    with left:
        compared = _fetch_compared(view, names)
        show_chart("coin_chart", build_coin_chart(formatter, page, view, compared), formatter)
    with right:
        st.html(format_facts(formatter, page, is_old=data.has_old_prices()))
        _show_forecast(formatter, page["forecast"])
        show_mute_control(formatter, page["coin"])
    _show_tables(formatter, page)


def _choose_coin(coin_id: str, names: Mapping[str, str]) -> None:
    """Show a list of all coins, which filters while the viewer types."""
    st.session_state["chosen_coin"] = coin_id if coin_id in names else None
    st.selectbox(
        tr("Coin"),
        list(names),
        format_func=lambda key: names.get(key, key),
        key="chosen_coin",
        placeholder=tr("Another coin …"),
        required=coin_id in names,
        label_visibility="collapsed",
        on_change=_open_chosen,
        width=220,
    )
    if st.query_params.get("coin", coin_id) != coin_id:
        st.rerun()


def _open_chosen() -> None:
    if chosen := st.session_state["chosen_coin"]:
        st.query_params["coin"] = chosen


def _show_star(coin: Json) -> None:
    is_starred = coin["is_starred"]
    st.button(
        f"{'★' if is_starred else '☆'} {tr('Watchlist')}",
        key="coin_star",
        type="tertiary",
        help=tr("The monitor watches the coins of the watchlist."),
        on_click=_toggle_star,
        args=(coin["coin_id"], is_starred),
    )
    if problem := st.session_state.pop("star_problem", None):
        st.error(problem)


def _toggle_star(coin_id: str, is_starred: bool) -> None:
    try:
        data.send_star(coin_id, is_starred=not is_starred)
    except (ApiUnreachable, RequestRejected) as error:
        st.session_state["star_problem"] = data.describe_error(error)


def _fetch_compared(view: CoinView, names: Mapping[str, str]) -> ComparedCoin | None:
    if view.compared is None:
        return None
    history = data.fetch(f"/coins/{quote_segment(view.compared)}/history", **view.query)
    if history is None:
        return None
    return ComparedCoin(names[view.compared], history["points"], history["step_seconds"])


def _show_forecast(formatter: Formatter, forecast: Json | None) -> None:
    """Show the next ten minutes as one sentence, and how good such sentences were."""
    st.markdown(describe_forecast(formatter, forecast))
    if forecast is None:
        return
    with st.popover(tr("How good is that?"), type="tertiary", key="track_record"):
        scores = drop_repeated(forecast["scores"])
        # Before there is a result, one line about the longest time span is enough.
        decided = [score for score in scores if score["result"] != TOO_EARLY]
        for score in decided or scores[-1:]:
            st.markdown(format_score(formatter, score))


def describe_forecast(formatter: Formatter, forecast: Json | None) -> str:
    """Return what the next ten minutes may bring as a sentence of Markdown."""
    if forecast is None:
        return tr("Next 10 min: unknown. It needs an hour of prices, at most 6 min apart.")
    directions = {"bullish": tr("rising"), "bearish": tr("falling"), "neutral": tr("no direction")}
    direction = directions[forecast["direction"]]
    if forecast["low_usd"] is None:
        return tr("Next 10 min: {direction}; the range is not known yet.", direction=direction)
    low, high = (formatter.price(forecast[key]) for key in ("low_usd", "high_usd"))
    text = tr(
        "Next 10 min: {low} to {high} (4 of 5), {direction}",
        low=low,
        high=high,
        direction=direction,
    )
    return escape_markdown(text, 200)


def _show_tables(formatter: Formatter, page: Json) -> None:
    show_alerts(formatter, page["coin"], page["alerts"])
    left, right = st.columns(2)
    with left:
        show_price_targets(page["coin"]["coin_id"])
    with right:
        show_transactions(formatter, page["transactions"])
        _show_gaps(formatter, page["gaps"])


def _show_gaps(formatter: Formatter, gaps: list[Json]) -> None:
    columns = [
        Column("from", tr("From"), "number"),
        Column("to", tr("To"), "number"),
        Column("missing", tr("Missed runs"), "number", priority=2),
        Column("state", tr("State")),
    ]
    rows = []
    for number, gap in enumerate(gaps):
        cells = [
            time_cell(formatter, gap["start"]),
            time_cell(formatter, gap["stop"]),
            count_cell(formatter, gap["missed"]),
            tr_shared(describe_gap_reason(gap["reason"])),
        ]
        rows.append(Row(str(number), cells))
    empty = tr("No gaps: every run that was due stored a price, or the backfill filled the gap.")
    title = tr("Gaps, last 7 days")
    show_table("coin_gaps", title, columns, rows, title=title, empty=empty)
