"""Paper trading: the sandbox's wallets, their results, positions and trades."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import streamlit as st

from services.api_client import Json, quote_segment
from services.dashboard import data
from services.dashboard.elements.address import choose
from services.dashboard.elements.cells import (
    count_cell,
    number_cell,
    percent_cell,
    price_cell,
    time_cell,
)
from services.dashboard.elements.chart import show_chart
from services.dashboard.elements.equity_chart import build_equity_chart
from services.dashboard.elements.table import Column, Row, show_table
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown, unique_coin_names

OPEN_COMMAND = "python sandbox.py step --wallet mine --strategy sma-cross --coins BTC"


def show() -> None:
    """Show the page; the names of the coins are fetched once."""
    _show_wallets(unique_coin_names(data.list_coins() or []))


@st.fragment(run_every=data.REFRESH_SECONDS)
def _show_wallets(names: Mapping[str, str]) -> None:
    formatter = data.current_formatter()
    if not data.has_prices():
        return
    wallets = data.fetch("/wallets")
    if wallets is None:
        return
    if not wallets["items"]:
        st.info(tr("There is no wallet yet. Open one; the monitor then steps it with every run:"))
        st.code(OPEN_COMMAND, language="sh")
        return
    _show_overview(formatter, wallets["items"])
    options = {wallet["name"]: wallet["name"] for wallet in wallets["items"]}
    name = choose("wallet", options, label=tr("Wallet"))
    detail = data.fetch(f"/wallets/{quote_segment(name)}")
    if detail is not None:
        _show_wallet(formatter, name, detail, names)


def _show_overview(formatter: Formatter, wallets: Sequence[Json]) -> None:
    columns = [
        Column("wallet", tr("Wallet")),
        Column("since", tr("Since"), "number", priority=2),
        Column("value", tr("Value"), "number", descending=True),
        Column("return", tr("Total return"), "change"),
        Column("hold", tr("Buy and hold"), "change", priority=2),
        Column("trades", tr("Trades"), "number", priority=2, descending=True),
        Column("rejected", tr("Rejected orders"), "number", priority=3, descending=True),
    ]
    rows = [_build_wallet_row(formatter, wallet) for wallet in wallets]
    show_table("wallets", tr("Wallets"), columns, rows, is_old=data.has_old_prices())


def _build_wallet_row(formatter: Formatter, wallet: Json) -> Row:
    note = wallet["strategy"]
    if wallet["closed_at"]:
        note = tr(
            "closed {time}: {strategy}", time=formatter.time(wallet["closed_at"]), strategy=note
        )
    return Row(
        wallet["name"],
        [
            {"text": wallet["name"], "note": note},
            time_cell(formatter, wallet["opened_at"]),
            price_cell(formatter, wallet["final_usd"]),
            percent_cell(formatter, wallet["total_return"]),
            percent_cell(formatter, wallet["buy_and_hold_return"]),
            count_cell(formatter, wallet["trades"]),
            count_cell(formatter, wallet["refused_fills"]),
        ],
    )


def _show_wallet(formatter: Formatter, name: str, detail: Json, names: Mapping[str, str]) -> None:
    wallet = detail["wallet"]
    if wallet["problem"]:
        st.error(escape_markdown(wallet["problem"], MAX_SENTENCE_CHARACTERS))
        return
    left, right = st.columns([4, 1])
    with left:
        show_chart("equity", build_equity_chart(formatter, name, detail, names), formatter)
    with right:
        _show_figures(formatter, wallet)
    for remark in wallet["remarks"]:
        st.caption(escape_markdown(remark, MAX_SENTENCE_CHARACTERS))
    left, right = st.columns([2, 3])
    with left:
        _show_positions(formatter, detail["positions"], names)
    with right:
        _show_trades(formatter, detail["trades"], names)


def _show_figures(formatter: Formatter, wallet: Json) -> None:
    columns = [Column("figure", tr("Figure")), Column("value", tr("Value"), "number")]
    rows = [
        Row(str(number), [label, number_cell(None, text)])
        for number, (label, text) in enumerate(list_figures(formatter, wallet))
    ]
    show_table("wallet_figures", tr("Results"), columns, rows, is_old=data.has_old_prices())
    if wallet["sharpe"] is None:
        st.caption(tr("Ratios come after ten positions sold and 30 days: before, they are luck."))


def list_figures(formatter: Formatter, wallet: Json) -> Iterator[tuple[str, str]]:
    """Yield the label and the text of a wallet's results; ratios only if the API has them."""
    yield tr("Value if sold now"), formatter.price(wallet["final_usd"])
    yield tr("Total return"), formatter.percent(wallet["total_return"])
    yield tr("Buy and hold"), formatter.percent(wallet["buy_and_hold_return"])
    yield tr("Maximum drawdown"), formatter.percent(wallet["max_drawdown"], signed=False)
    yield tr("Fees"), formatter.price(wallet["fees_usd"])
    yield tr("Invested on average"), formatter.percent(wallet["exposure"], signed=False)
    yield tr("Trades"), formatter.count(wallet["trades"])
    yield tr("Rejected orders"), formatter.count(wallet["refused_fills"])
    for label, key in ((tr("Sharpe ratio"), "sharpe"), (tr("Sortino ratio"), "sortino")):
        if wallet[key] is not None:
            yield label, formatter.decimal(wallet[key])
    if wallet["win_rate"] is not None:
        yield tr("Sales with a profit"), formatter.percent(wallet["win_rate"], signed=False)


def _show_positions(
    formatter: Formatter, positions: Sequence[Json], names: Mapping[str, str]
) -> None:
    columns = [
        Column("coin", tr("Coin")),
        Column("quantity", tr("Quantity"), "number", descending=True),
        Column("cash", tr("Cash"), "number", descending=True),
    ]
    rows = []
    for position in positions:
        name = names.get(position["coin_id"], position["coin_id"])
        note = tr("an order waits for the next price") if position["has_order"] else ""
        quantity = float(position["quantity"])
        cells = [
            {"text": name, "note": note},
            number_cell(quantity, formatter.public_quantity(quantity)),
            price_cell(formatter, position["cash_usd"]),
        ]
        rows.append(Row(position["coin_id"], cells))
    title = tr("Positions")
    show_table("positions", title, columns, rows, title=title)


def _show_trades(formatter: Formatter, trades: Sequence[Json], names: Mapping[str, str]) -> None:
    columns = [
        Column("time", tr("Time"), "number", descending=True),
        Column("side", tr("Side")),
        Column("coin", tr("Coin")),
        Column("quantity", tr("Quantity"), "number", priority=2, descending=True),
        Column("price", tr("Price"), "number", descending=True),
        Column("fee", tr("Fee"), "number", priority=2, descending=True),
    ]
    sides = {"buy": tr("buy"), "sell": tr("sell"), "close": tr("if sold now")}
    rows = []
    for number, trade in enumerate(trades):
        quantity = abs(float(trade["quantity"]))
        cells = [
            time_cell(formatter, trade["traded_at"]),
            sides[trade["side"]],
            names.get(trade["coin_id"], trade["coin_id"]),
            number_cell(quantity, formatter.public_quantity(quantity)),
            price_cell(formatter, trade["price_usd"]),
            price_cell(formatter, trade["fee_usd"]),
        ]
        rows.append(Row(str(number), cells))
    title = tr("Trades")
    show_table("trades", title, columns, rows, title=title, empty=tr("No trades yet."))
