"""The overview: the market, the newest alerts, the movers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st
from streamlit.navigation.page import Page

from sentinel.amounts import UNKNOWN
from services.api_client import Json
from services.dashboard import data
from services.dashboard.components import compute_day_change, format_alert
from services.dashboard.formatting import Formatter
from services.dashboard.text import escape_markdown, unique_coin_names

# A table with more rows than this gets a fixed height and scrolls.
SHORT_TABLE_ROWS, TABLE_PIXELS = 10, 420
SHOWN_MOVERS = 5
SHOWN_ALERTS = 8


@st.fragment(run_every=data.REFRESH_SECONDS)
def show(coin_page: Page) -> None:
    """Show the page; `coin_page` opens when the viewer selects a coin."""
    formatter = data.current_formatter()
    if not data.has_prices():
        return
    coins = data.fetch("/coins", limit=data.MAX_COINS)
    sparklines = data.fetch("/sparklines", limit=data.MAX_COINS)
    if coins is None or sparklines is None:
        return
    search = st.text_input("Search", placeholder="name, symbol or id", key="search")
    prices = {item["coin_id"]: item["prices_usd"] for item in sparklines["items"]}
    _show_market(formatter, coins["items"], search, prices, coin_page)
    left, right = st.columns([3, 2])
    with left:
        _show_alerts(formatter)
    with right:
        _show_movers(formatter)


def search_coins(coins: Sequence[Json], search: str) -> list[Json]:
    """Return the coins whose id, symbol or name contains the search text."""
    term = search.strip().casefold()
    keys = ("coin_id", "symbol", "name")
    return [coin for coin in coins if any(term in coin[key].casefold() for key in keys)]


def _show_market(
    formatter: Formatter,
    all_coins: Sequence[Json],
    search: str,
    prices: Mapping[str, Sequence[float | None]],
    coin_page: Page,
) -> None:
    coins = search_coins(all_coins, search)
    if not coins:
        st.info("No stored coin matches. The search looks at names, symbols and ids.")
        return
    table = build_market_table(formatter, coins, unique_coin_names(all_coins), prices)
    selected_row = _show_market_table(formatter, table)
    # A selection refers to the table that the viewer saw, which is the one drawn before this run.
    drawn_ids = st.session_state.get("market_ids", [])
    st.session_state["market_ids"] = [coin["coin_id"] for coin in coins]
    if selected_row is not None and selected_row < len(drawn_ids):
        st.switch_page(coin_page, query_params={"coin": drawn_ids[selected_row]})
    st.caption(
        f"{len(coins)} coins listed in {formatter.currency}. Select the box at the left of a row "
        "to open the coin."
    )


def _show_market_table(formatter: Formatter, table: pd.DataFrame) -> int | None:
    """Show the table and return the number of the selected row."""
    styled = table.style.format(
        {
            "price": formatter.price,
            "24 h": formatter.percent,
            "market cap": formatter.compact_amount,
            "volume": formatter.compact_amount,
        },
        na_rep=UNKNOWN,
    )
    if data.has_old_prices():
        styled = styled.set_properties(color="gray")
    event = st.dataframe(
        styled,
        key="market",
        hide_index=True,
        height=TABLE_PIXELS if len(table) > SHORT_TABLE_ROWS else "auto",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "rank": st.column_config.NumberColumn("#", width=40),
            # Pinned, so that the name stays visible while the viewer of a phone scrolls sideways.
            "coin": st.column_config.TextColumn(width=150, pinned=True),
            "last 24 h": st.column_config.LineChartColumn(width="small", color="auto"),
            "age": st.column_config.TextColumn(width=70),
        },
    )
    rows = event["selection"]["rows"]
    return rows[0] if rows else None


def build_market_table(
    formatter: Formatter,
    coins: Sequence[Json],
    names: Mapping[str, str],
    prices: Mapping[str, Sequence[float | None]],
) -> pd.DataFrame:
    """Return the market as numbers, in USD and as fractions, so that the columns sort correctly."""
    rows = [
        {
            "rank": coin["rank"],
            "coin": names[coin["coin_id"]],
            "price": coin["price_usd"],
            "24 h": compute_day_change(formatter, coin, prices.get(coin["coin_id"], [])),
            "last 24 h": [price for price in prices.get(coin["coin_id"], []) if price is not None],
            "market cap": coin["market_cap_usd"],
            "volume": coin["volume_24h_usd"],
            "age": formatter.age(coin["observed_at"]),
        }
        for coin in coins
    ]
    # Without this type one coin without a rank would show all ranks as 1.0, 2.0, …
    return pd.DataFrame(rows).astype({"rank": "Int64"})


def _show_alerts(formatter: Formatter) -> None:
    st.subheader("Alerts")
    alerts = data.fetch("/alerts", limit=SHOWN_ALERTS)
    if alerts is None:
        return
    if not alerts["items"]:
        st.info(
            "There are no alerts yet. The monitor watches the coins you hold and the best-ranked "
            "coins. By default it sends about two alerts per week for each coin."
        )
    for alert in alerts["items"]:
        st.markdown(format_alert(formatter, alert))


def _show_movers(formatter: Formatter) -> None:
    st.subheader("Movers, 24 h")
    movers = data.fetch("/movers", limit=SHOWN_MOVERS)
    if movers is None:
        return
    rows = movers["gainers"] + movers["losers"][::-1]
    if not rows:
        st.info("No coin has a price from 24 hours ago yet.")
        return
    for mover in rows:
        color = "green" if mover["change"] > 0 else "red"
        st.markdown(
            f":{color}[{escape_markdown(formatter.percent(mover['change']))}] "
            f"{escape_markdown(mover['name'])} "
            f"{escape_markdown(formatter.price(mover['price_usd']))} · "
            f"{formatter.age(mover['observed_at'])}"
        )
