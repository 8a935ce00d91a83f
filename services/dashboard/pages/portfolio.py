"""The portfolio: net worth, profit, holdings, transactions."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import streamlit as st

from services.api_client import ApiUnreachable, Json, RequestRejected
from services.dashboard import data
from services.dashboard.charts.portfolio import draw_allocation, draw_net_worth
from services.dashboard.components import show_metric, show_table
from services.dashboard.formatting import HIDDEN, Formatter
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown, unique_coin_names
from services.dashboard.transaction_form import TRANSACTIONS_PATH

SHOWN_TRANSACTIONS = 100


@st.fragment(run_every=data.REFRESH_SECONDS)
def show() -> None:
    """Show the page."""
    formatter = data.current_formatter()
    if not data.has_prices():
        return
    portfolio = data.fetch("/portfolio")
    if portfolio is None:
        return
    if portfolio["holdings"]:
        _show_portfolio(formatter, portfolio)
    else:
        st.info(
            "The portfolio is empty. Add a transaction in the sidebar, or import a CSV through the "
            "API: `POST /portfolio/transactions.csv`.",
            icon=":material/add:",
        )
    _show_transactions(formatter)


def _show_portfolio(formatter: Formatter, portfolio: Json) -> None:
    if portfolio["missing"]:
        missing = escape_markdown(", ".join(portfolio["missing"]), MAX_SENTENCE_CHARACTERS)
        st.warning(f"Missing, and left out of the sums: {missing}")
    _show_net_worth(formatter, portfolio)
    _show_profit(formatter, portfolio)
    holdings = portfolio["holdings"]
    left, right = st.columns([2, 3])
    with left:
        st.subheader("Allocation")
        figure = draw_allocation(holdings, unique_coin_names(holdings))
        st.plotly_chart(figure, key="allocation", config={"displaylogo": False})
    with right:
        st.subheader("Net worth")
        figure = draw_net_worth(formatter, portfolio["history"])
        st.plotly_chart(figure, key="net_worth", config={"displaylogo": False})
    _show_holdings(formatter, holdings)


def _show_net_worth(formatter: Formatter, portfolio: Json) -> None:
    usd, idr, day = st.columns(3)
    show = functools.partial(show_metric, is_old=data.has_old_prices())
    show(usd, "Net worth, USD", formatter.own_amount(portfolio["net_worth_usd"], "USD"))
    show(idr, "Net worth, IDR", formatter.own_amount(portfolio["net_worth_idr"], "IDR"))
    currency = formatter.currency
    profit = portfolio["day_profit"]
    change = _compute_change(profit["usd"], portfolio["net_worth_usd"])
    show(
        day,
        f"Profit in 24 h, {currency}",
        formatter.own_amount(profit[currency.lower()], currency),
        None if change is None else formatter.percent(change),
    )
    rate = portfolio["idr_per_usd"]
    if rate is None:
        st.caption(
            "There is no rupiah rate from the last day. Amounts in rupiah appear after the next "
            "run."
        )
    else:
        st.caption(
            f"1 USD = {escape_markdown(formatter.rupiah(rate))} "
            f"({formatter.age(portfolio['rate_observed_at'])} old, from CoinGecko's prices)"
        )


def _compute_change(profit: str | None, value: str | None) -> float | None:
    """Return a profit as a fraction of the value before it."""
    if profit is None or value is None:
        return None
    before = float(value) - float(profit)
    return float(profit) / before if before > 0 else None


def _show_profit(formatter: Formatter, portfolio: Json) -> None:
    show_table(
        "Profit",
        [
            {"period": "last 24 hours"} | portfolio["day_profit"],
            {"period": "total"} | portfolio["total_profit"],
        ],
        lambda profit: {
            "period": profit["period"],
            "USD": formatter.own_amount(profit["usd"], "USD"),
            "IDR": formatter.own_amount(profit["idr"], "IDR"),
            "coin move, IDR": formatter.own_amount(profit["coin_move_idr"], "IDR"),
            "rupiah move, IDR": formatter.own_amount(profit["rupiah_move_idr"], "IDR"),
            "fees, USD": formatter.own_amount(profit["fees_usd"], "USD"),
        },
        is_old=data.has_old_prices(),
    )


def _show_holdings(formatter: Formatter, holdings: Sequence[Json]) -> None:
    currency = formatter.currency
    key = currency.lower()
    names = unique_coin_names(holdings)
    show_table(
        "Holdings",
        holdings,
        lambda holding: {
            "coin": names[holding["coin_id"]],
            "quantity": formatter.quantity(holding["quantity"]),
            "value": formatter.own_amount(holding[f"value_{key}"], currency),
            "share": formatter.percent(holding["share"], signed=False),
            "profit": formatter.own_amount(holding["total_profit"][key], currency),
            "profit, 24 h": formatter.own_amount(holding["day_profit"][key], currency),
            "cost, average": formatter.own_amount(holding["average_cost"]["cost_usd"], "USD"),
            "cost, FIFO": formatter.own_amount(holding["fifo_cost"]["cost_usd"], "USD"),
            "price age": formatter.age(holding["observed_at"]),
            "missing": ", ".join(holding["missing"]),
        },
        is_old=data.has_old_prices(),
    )


def _show_transactions(formatter: Formatter) -> None:
    page = data.fetch(TRANSACTIONS_PATH, newest_first="true", limit=SHOWN_TRANSACTIONS)
    if not page or not page["items"]:
        return
    with st.expander("Transactions"):
        if page["next"]:
            st.caption(f"The newest {len(page['items'])} transactions.")
        for transaction in page["items"]:
            text, button = st.columns([6, 1], vertical_alignment="center")
            text.markdown(_format_transaction(formatter, transaction))
            transaction_id = transaction["transaction_id"]
            if button.button("Remove", key=f"remove-{transaction_id}", type="tertiary"):
                st.session_state["removal"] = transaction_id
            if st.session_state.get("removal") == transaction_id:
                _ask_before_removal(formatter, transaction)


def _ask_before_removal(formatter: Formatter, transaction: Json) -> None:
    """Ask below the row: in view, and the second click is at another place than the first."""
    st.warning(f"Remove {_format_transaction(formatter, transaction)}?")
    remove, keep = st.columns([1, 1])
    transaction_id = transaction["transaction_id"]
    if keep.button("Keep it", width="stretch"):
        del st.session_state["removal"]
        st.rerun(scope="fragment")
    if remove.button("Remove it for good", width="stretch"):
        _remove(transaction_id)


def _format_transaction(formatter: Formatter, transaction: Json) -> str:
    quantity = formatter.quantity(transaction["quantity"])
    price = formatter.own_price(transaction["price_usd"], "USD")
    text = (
        f"{formatter.time(transaction['made_at'])} · {escape_markdown(quantity)} "
        f"{escape_markdown(transaction['coin_id'])} at {escape_markdown(price)}"
    )
    if not transaction["note"]:
        return text
    # A note may contain an amount too.
    note = HIDDEN if formatter.hide_amounts else transaction["note"]
    return f"{text} · {escape_markdown(note)}"


def _remove(transaction_id: int) -> None:
    try:
        data.api_client().send("DELETE", f"{TRANSACTIONS_PATH}/{transaction_id}")
    except (ApiUnreachable, RequestRejected) as error:
        st.error(data.describe_error(error))
        return
    st.rerun(scope="fragment")
