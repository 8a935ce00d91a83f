"""Paper money: the sandbox's wallets, what they came to and what holding would have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from services.dashboard import charts, data
from services.dashboard.api_client import segment
from services.dashboard.formatting import UNKNOWN, Formatter, Preferences
from services.dashboard.text import LONGEST_SENTENCE, plain

Json = Mapping[str, Any]
OPEN = "python sandbox.py step --wallet mine --strategy sma-cross --coins BTC"
ENOUGH_TRADES = 10  # the API gives no ratios below


@st.fragment(run_every=data.REFRESH_SECONDS)
def show(choice: Preferences) -> None:
    """The page's body."""
    viewer = data.current_formatter(choice)
    if not data.show_freshness(viewer):
        return
    found = data.fetch("/wallets")
    if found is None:
        return
    if not found["items"]:
        st.info("There is no wallet yet. Open one, and the monitor goes on with it:")
        st.code(OPEN, language="sh")
        return
    st.dataframe(table(viewer, found["items"]), hide_index=True, key="wallets")
    names = [wallet["name"] for wallet in found["items"]]
    name = st.selectbox("Wallet", names, key="shown_wallet")
    if name:
        _show_wallet(viewer, name)


def table(viewer: Formatter, items: Sequence[Json]) -> pd.DataFrame:
    """All wallets beside each other."""
    return pd.DataFrame(
        [
            {
                "wallet": one["name"],
                "strategy": one["strategy"],
                "since": viewer.at(one["opened_at"]),
                "worth": viewer.price(one["final_usd"]),
                "return": viewer.percent(one["total_return"]),
                "holding": viewer.percent(one["buy_and_hold_return"]),
                "trades": UNKNOWN if one["trades"] is None else str(one["trades"]),
                "refused": UNKNOWN if one["refused_fills"] is None else str(one["refused_fills"]),
            }
            for one in items
        ]
    )


def _show_wallet(viewer: Formatter, name: str) -> None:
    found = data.fetch(f"/wallets/{segment(name)}")
    if found is None:
        return
    wallet = found["wallet"]
    if wallet["problem"]:
        st.error(plain(wallet["problem"], LONGEST_SENTENCE))
        return
    _show_figures(viewer, wallet)
    st.plotly_chart(
        charts.paper_money(viewer, found["curve"], found["trades"]),
        key="paper",
        config={"displaylogo": False},
    )
    left, right = st.columns([2, 3])
    with left:
        st.subheader("In the purses")
        st.dataframe(_purses(viewer, found["positions"]), hide_index=True, key="purses")
    with right:
        st.subheader("Trades")
        st.dataframe(_trades(viewer, found["trades"]), hide_index=True, key="trades")


def _show_figures(viewer: Formatter, wallet: Json) -> None:
    profit, hold, fall, fees = st.columns(4)
    profit.metric(
        "Worth, if all were sold now",
        viewer.price(wallet["final_usd"]),
        viewer.percent(wallet["total_return"]),
    )
    hold.metric("Buy and hold", viewer.percent(wallet["buy_and_hold_return"]))
    fall.metric("Deepest fall", viewer.percent(wallet["max_drawdown"], signed=False))
    fees.metric("Fees", viewer.price(wallet["fees_usd"]))
    refused = wallet["refused_fills"]
    said = [
        f"{wallet['trades']} trades, {refused} fills refused (the next price was backfilled or "
        "came late)",
        f"in coins {viewer.percent(wallet['exposure'], signed=False)} of the time's money",
    ]
    if wallet["trades"] < ENOUGH_TRADES:
        said.append(f"fewer than {ENOUGH_TRADES} trades: ratios would be luck")
    elif wallet["sharpe"] is None:
        said.append("too short a time for ratios")
    else:
        said.append(
            f"Sharpe {wallet['sharpe']:.2f}, "
            f"won {viewer.percent(wallet['win_rate'], signed=False)} of the sales"
        )
    st.caption(plain("; ".join(said), LONGEST_SENTENCE))
    for remark in wallet["remarks"]:
        st.caption(plain(remark, LONGEST_SENTENCE))


def _purses(viewer: Formatter, purses: Sequence[Json]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "coin": one["coin_id"],
                "coins": f"{float(one['quantity']):.8g}",
                "cash": viewer.price(float(one["cash_usd"])),
                "order": "waits for the next price" if one["has_order"] else "",
            }
            for one in purses
        ]
    )


def _trades(viewer: Formatter, trades: Sequence[Json]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "at": viewer.at(one["traded_at"]),
                "side": "if sold now" if one["side"] == "close" else one["side"],
                "coin": one["coin_id"],
                "coins": f"{abs(float(one['quantity'])):.8g}",
                "price": viewer.price(float(one["price_usd"])),
                "fee": viewer.price(float(one["fee_usd"])),
            }
            for one in trades
        ]
    )
