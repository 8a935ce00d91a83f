"""Paper trading: the sandbox's wallets, their results, positions and trades."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from sentinel.amounts import UNKNOWN
from services.api_client import Json, quote_segment
from services.dashboard import data
from services.dashboard.charts.paper_trading import draw_equity_curve
from services.dashboard.components import show_table
from services.dashboard.formatting import Formatter
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown

OPEN_COMMAND = "python sandbox.py step --wallet mine --strategy sma-cross --coins BTC"
# The API returns no ratios below this number of trades.
MIN_TRADES_FOR_RATIOS = 10


@st.fragment(run_every=data.REFRESH_SECONDS)
def show() -> None:
    """Show the page."""
    formatter = data.current_formatter()
    if not data.has_prices():
        return
    wallets = data.fetch("/wallets")
    if wallets is None:
        return
    if not wallets["items"]:
        st.info("There is no wallet yet. Open one; the monitor then steps it with every run:")
        st.code(OPEN_COMMAND, language="sh")
        return
    st.dataframe(_build_table(formatter, wallets["items"]), hide_index=True, key="wallets")
    names = [wallet["name"] for wallet in wallets["items"]]
    name = st.selectbox("Wallet", names, key="shown_wallet")
    if name:
        _show_wallet(formatter, name)


def _build_table(formatter: Formatter, wallets: Sequence[Json]) -> list[Json]:
    return [
        {
            "wallet": wallet["name"],
            "strategy": wallet["strategy"],
            "since": formatter.time(wallet["opened_at"]),
            "value": formatter.price(wallet["final_usd"]),
            "return": formatter.percent(wallet["total_return"]),
            "buy and hold": formatter.percent(wallet["buy_and_hold_return"]),
            "trades": _format_count(wallet["trades"]),
            "rejected orders": _format_count(wallet["refused_fills"]),
        }
        for wallet in wallets
    ]


def _format_count(count: int | None) -> str:
    return UNKNOWN if count is None else str(count)


def _show_wallet(formatter: Formatter, name: str) -> None:
    detail = data.fetch(f"/wallets/{quote_segment(name)}")
    if detail is None:
        return
    wallet = detail["wallet"]
    if wallet["problem"]:
        st.error(escape_markdown(wallet["problem"], MAX_SENTENCE_CHARACTERS))
        return
    _show_figures(formatter, wallet)
    figure = draw_equity_curve(formatter, detail["curve"], detail["trades"])
    st.plotly_chart(figure, key="equity_curve", config={"displaylogo": False})
    left, right = st.columns([2, 3])
    with left:
        _show_positions(formatter, detail["positions"])
    with right:
        _show_trades(formatter, detail["trades"])


def _show_figures(formatter: Formatter, wallet: Json) -> None:
    value, buy_and_hold, drawdown, fees = st.columns(4)
    value.metric(
        "Value if sold now",
        formatter.price(wallet["final_usd"]),
        formatter.percent(wallet["total_return"]),
    )
    buy_and_hold.metric("Buy and hold", formatter.percent(wallet["buy_and_hold_return"]))
    drawdown.metric("Max drawdown", formatter.percent(wallet["max_drawdown"], signed=False))
    fees.metric("Fees", formatter.price(wallet["fees_usd"]))
    st.caption(escape_markdown(_describe_results(formatter, wallet), MAX_SENTENCE_CHARACTERS))
    for remark in wallet["remarks"]:
        st.caption(escape_markdown(remark, MAX_SENTENCE_CHARACTERS))


def _describe_results(formatter: Formatter, wallet: Json) -> str:
    exposure = formatter.percent(wallet["exposure"], signed=False)
    return (
        f"{wallet['trades']} trades. {_describe_rejected_orders(wallet['refused_fills'])} "
        f"{exposure} of the money was invested on average. {_describe_ratios(formatter, wallet)}"
    )


def _describe_rejected_orders(count: int) -> str:
    if not count:
        return "No order was rejected."
    return f"Orders rejected because the next price was backfilled or came too late: {count}."


def _describe_ratios(formatter: Formatter, wallet: Json) -> str:
    if wallet["trades"] < MIN_TRADES_FOR_RATIOS:
        return f"No ratios: with fewer than {MIN_TRADES_FOR_RATIOS} trades they would be luck."
    if wallet["sharpe"] is None:
        return "No ratios: the time span is too short."
    win_rate = formatter.percent(wallet["win_rate"], signed=False)
    return f"Sharpe ratio {wallet['sharpe']:.2f}; {win_rate} of the sales made a profit."


def _show_positions(formatter: Formatter, positions: Sequence[Json]) -> None:
    show_table(
        "Positions",
        positions,
        lambda position: {
            "coin": position["coin_id"],
            "quantity": f"{float(position['quantity']):.8g}",
            "cash": formatter.price(float(position["cash_usd"])),
            "order": "waits for the next price" if position["has_order"] else "",
        },
    )


def _show_trades(formatter: Formatter, trades: Sequence[Json]) -> None:
    show_table(
        "Trades",
        trades,
        lambda trade: {
            "time": formatter.time(trade["traded_at"]),
            "side": "if sold now" if trade["side"] == "close" else trade["side"],
            "coin": trade["coin_id"],
            "quantity": f"{abs(float(trade['quantity'])):.8g}",
            "price": formatter.price(float(trade["price_usd"])),
            "fee": formatter.price(float(trade["fee_usd"])),
        },
    )
