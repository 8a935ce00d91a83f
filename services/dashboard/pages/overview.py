"""The overview: the market, who moved, what was announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pandas as pd
import streamlit as st

from services.dashboard import data
from services.dashboard.formatting import UNKNOWN, Formatter, Preferences
from services.dashboard.text import join_names, plain, read_time

Json = Mapping[str, Any]
MOST_TABLE_PIXELS, SHORT_TABLE = 420, 10
FRESH_FOR_A_CHANGE = timedelta(hours=2)  # as for /movers
SHOWN_MOVERS = 5
SHOWN_ALERTS = 8
ARROWS = {"panic": ":red[▼]", "reversal": ":green[▲]"}


@st.fragment(run_every=data.REFRESH_SECONDS)
def show(choice: Preferences, coin_page: Any) -> None:
    """The page's body."""
    viewer = data.current_formatter(choice)
    if not data.show_freshness(viewer):
        return
    coins = data.fetch("/coins", limit=data.COINS)
    sparklines = data.fetch("/sparklines", limit=data.COINS)
    if coins is None or sparklines is None:
        return
    search = st.text_input("Search", placeholder="name, symbol or id", key="search")
    prices = {item["coin_id"]: item["prices_usd"] for item in sparklines["items"]}
    _show_market(viewer, coins["items"], search, prices, coin_page)
    left, right = st.columns([3, 2])
    with left:
        _show_alerts(viewer)
    with right:
        _show_movers(viewer)


def found(coins: Sequence[Json], search: str) -> list[Json]:
    """The coins whose id, symbol or name holds what is searched for."""
    term = search.strip().casefold()
    keys = ("coin_id", "symbol", "name")
    return [coin for coin in coins if any(term in coin[key].casefold() for key in keys)]


def _show_market(
    viewer: Formatter,
    coins: Sequence[Json],
    search: str,
    prices: Mapping[str, Sequence[float | None]],
    coin_page: Any,
) -> None:
    called = join_names(coins)
    coins = found(coins, search)
    if not coins:
        st.info("No coin of this name is stored. The search looks into name, symbol and id.")
        return
    table = market_table(viewer, coins, called, prices)
    styled = table.style.format(
        {
            "price": viewer.price,
            "24 h": viewer.percent,
            "market cap": viewer.size,
            "volume": viewer.size,
        },
        na_rep=UNKNOWN,
    )
    if data.is_stale():
        styled = styled.set_properties(color="gray")
    chosen = st.dataframe(
        styled,
        key="market",
        hide_index=True,
        height=MOST_TABLE_PIXELS if len(coins) > SHORT_TABLE else "auto",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "rank": st.column_config.NumberColumn("#", width=40),
            "coin": st.column_config.TextColumn(width=150, pinned=True),
            "last 24 h": st.column_config.LineChartColumn(width="small", color="auto"),
            "age": st.column_config.TextColumn(width=70),
        },
    )
    # The row is one of the table that was clicked, which is the one drawn before.
    drawn = st.session_state.get("market_ids", [])
    st.session_state["market_ids"] = [coin["coin_id"] for coin in coins]
    rows = chosen["selection"]["rows"]
    if rows and rows[0] < len(drawn):
        st.switch_page(coin_page, query_params={"coin": drawn[rows[0]]})
    st.caption(
        f"{len(coins)} listed in {viewer.shown_currency}. A click at the left of a row opens the "
        "coin."
    )


def market_table(
    viewer: Formatter,
    coins: Sequence[Json],
    called: Mapping[str, str],
    prices: Mapping[str, Sequence[float | None]],
) -> pd.DataFrame:
    """The market as a table of numbers, which sort as numbers; USD, shares as fractions."""
    rows = [
        {
            "rank": coin["rank"],
            "coin": called[coin["coin_id"]],
            "price": coin["price_usd"],
            "24 h": day_change(viewer, coin, prices.get(coin["coin_id"], [])),
            "last 24 h": [p for p in prices.get(coin["coin_id"], []) if p is not None],
            "market cap": coin["market_cap_usd"],
            "volume": coin["volume_24h_usd"],
            "age": viewer.age(coin["observed_at"]),
        }
        for coin in coins
    ]
    return pd.DataFrame(rows).astype({"rank": "Int64"})


def day_change(viewer: Formatter, coin: Json, line: Sequence[float | None]) -> float | None:
    """How far a coin moved in the last 24 hours, as a fraction; None where its newest price or that
    of a day ago is not at hand."""
    before = line[0] if line else None
    is_recent = viewer.now - read_time(coin["observed_at"]) < FRESH_FOR_A_CHANGE
    return coin["price_usd"] / before - 1 if before and is_recent else None


def _show_alerts(viewer: Formatter) -> None:
    st.subheader("Alerts")
    alerts = data.fetch("/alerts", limit=SHOWN_ALERTS)
    if alerts is None:
        return
    if not alerts["items"]:
        st.info(
            "Nothing was announced yet. Watched are the coins you hold and the best ranked; an "
            "alert comes about twice a week for each."
        )
    for alert in alerts["items"]:
        st.markdown(alert_line(viewer, alert))


def alert_line(viewer: Formatter, alert: Json) -> str:
    """An alert as a line of Markdown: what happened, when, and what came of it."""
    outcome = ", ".join(
        f"{viewer.percent(alert[key])} {words}"
        for key, words in (("after_1h", "an hour later"), ("after_24h", "a day later"))
        if alert[key] is not None
    )
    text = (
        f"{ARROWS[alert['kind']]} **{plain(alert['name'])}** "
        f"{plain(viewer.percent(alert['move']))} to {plain(viewer.price(alert['price']))}, "
        f"{viewer.at(alert['observed_at'])} ({viewer.age(alert['observed_at'])} ago)"
    )
    return f"{text}; {plain(outcome)}" if outcome else text


def _show_movers(viewer: Formatter) -> None:
    st.subheader("Movers, 24 h")
    movers = data.fetch("/movers", limit=SHOWN_MOVERS)
    if movers is None:
        return
    rows = movers["gainers"] + movers["losers"][::-1]
    if not rows:
        st.info("No coin has a price of a day ago yet.")
        return
    for mover in rows:
        colour = "green" if mover["change"] > 0 else "red"
        st.markdown(
            f":{colour}[{plain(viewer.percent(mover['change']))}] {plain(mover['name'])} "
            f"{plain(viewer.price(mover['price']))} · {viewer.age(mover['observed_at'])}"
        )
