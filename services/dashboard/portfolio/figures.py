"""The figures and the chart of the portfolio: net worth, profit, returns, allocation."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import streamlit as st

from sentinel.amounts import Currency
from services.api_client import Json
from services.dashboard import data
from services.dashboard.elements.cells import amount_cell, percent_cell
from services.dashboard.elements.chart import Chart, Series, show_chart, to_seconds
from services.dashboard.elements.table import Column, Row, show_table
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr, tr_shared
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown, unique_coin_names

# Rows of the allocation; the smaller shares are one row.
SHOWN_SHARES = 8


def show_figures(formatter: Formatter, portfolio: Json, returns: Json | None) -> None:
    """Show net worth, profit and return in the viewer's currency, and the other currency below."""
    currency = formatter.currency
    other: Currency = "USD" if currency == "IDR" else "IDR"
    is_old = data.has_old_prices()
    total, day = (portfolio[f"{name}_profit"][currency.lower()] for name in ("total", "day"))
    invested = portfolio["history"][-1][f"net_invested_{currency.lower()}"]
    worth = portfolio[f"net_worth_{currency.lower()}"]
    with st.container(horizontal=True, gap="large"):
        for label, amount, note in (
            (
                tr("Net worth"),
                formatter.own_amount(worth, currency),
                formatter.own_amount(portfolio[f"net_worth_{other.lower()}"], other),
            ),
            (
                tr("Net invested"),
                formatter.own_amount(invested, currency),
                tr("put in minus taken out"),
            ),
            (
                tr("Total profit"),
                formatter.own_amount(total, currency, signed=True),
                _describe_share(formatter, total, invested),
            ),
            (
                tr("Profit, 24 h"),
                formatter.own_amount(day, currency, signed=True),
                _describe_share(formatter, day, _subtract(worth, day)),
            ),
            (tr("XIRR, per year"), *_describe_xirr(formatter, returns)),
        ):
            shown = f":gray[{escape_markdown(amount)}]" if is_old else amount
            st.metric(label, shown, note, delta_color="off", delta_arrow="off", width="content")


def _subtract(value: str | None, profit: str | None) -> str | None:
    return None if value is None or profit is None else str(Decimal(value) - Decimal(profit))


def _describe_share(formatter: Formatter, profit: str | None, base: str | None) -> str | None:
    """Return a profit as a share of what it was made with; None if that is nothing."""
    if profit is None or base is None or Decimal(base) <= 0:
        return None
    return formatter.percent(float(Decimal(profit) / Decimal(base)))


def _describe_xirr(formatter: Formatter, returns: Json | None) -> tuple[str, str | None]:
    """Return the return per year since the first transaction, or why it is unknown."""
    if not returns or not returns["periods"]:
        return formatter.percent(None), None
    figure = returns["periods"][-1][formatter.currency.lower()]["xirr"]
    reason = escape_markdown(tr_shared(figure["unavailable"] or ""), MAX_SENTENCE_CHARACTERS)
    return formatter.percent(figure["value"]), reason or tr("since the beginning")


def show_net_worth(formatter: Formatter, history: Sequence[Json], period: str) -> None:
    """Show the net worth beside what was invested; with hidden amounts, the profit's share."""
    currency = formatter.currency.lower()
    times = [to_seconds(day["valued_at"]) for day in history]
    worth = [_to_float(day[f"net_worth_{currency}"]) for day in history]
    invested = [_to_float(day[f"net_invested_{currency}"]) for day in history]
    if formatter.hide_amounts:
        shares = [_divide(w, i) for w, i in zip(worth, invested, strict=True)]
        name = tr("Profit, share of what was invested")
        series = [Series(name=name, times=times, values=shares)]
    else:
        series = [
            Series(name=tr("Net worth"), kind="area", times=times, values=worth),
            Series(
                name=tr("Net invested"), kind="steps", color="fourth", times=times, values=invested
            ),
        ]
    chart = Chart(
        label=tr("Net worth over time"),
        series=series,
        unit="percent" if formatter.hide_amounts else formatter.currency,
        view=period,
        height=300,
    )
    show_chart("net_worth", chart, formatter)


def _to_float(amount: str | None) -> float | None:
    return None if amount is None else float(amount)


def _divide(worth: float | None, invested: float | None) -> float | None:
    return None if worth is None or not invested or invested < 0 else worth / invested - 1


def show_profit(formatter: Formatter, portfolio: Json) -> None:
    """Show the parts of the profit, which add up in each row, in the viewer's currency."""
    currency = formatter.currency
    key = currency.lower()

    def build_row(name: str, profit: Json) -> Row:
        fees = profit[f"fees_{key}"]
        parts = [
            profit[f"realized_{key}"],
            profit[f"unrealized_{key}"],
            None if fees is None else str(-Decimal(fees)),
            *([profit["rupiah_move_idr"]] if currency == "IDR" else []),
            profit[key],
        ]
        return Row(
            name, [name, *(amount_cell(formatter, part, currency, signed=True) for part in parts)]
        )

    columns = [
        Column("period", tr("Profit")),
        Column("realized", tr("Realized"), "change"),
        Column("unrealized", tr("Unrealized"), "change"),
        Column("fees", tr("Fees"), "change"),
        *([Column("rupiah", tr("Rupiah effect"), "change")] if currency == "IDR" else []),
        Column("total", tr("Total"), "change"),
    ]
    rows = [
        build_row(tr("Last 24 hours"), portfolio["day_profit"]),
        build_row(tr("Since the beginning"), portfolio["total_profit"]),
    ]
    show_table("profit", tr("Profit"), columns, rows, is_old=data.has_old_prices())


def show_returns(formatter: Formatter, returns: Json | None) -> None:
    """Show the returns of all periods beside Bitcoin's, and the same payments elsewhere."""
    if not returns or not returns["periods"]:
        return
    key = formatter.currency.lower()
    names = {
        "24h": tr("24 hours"),
        "7d": tr("7 days"),
        "30d": tr("30 days"),
        "60d": tr("60 days"),
        "1y": tr("1 year"),
        "all": tr("Since the beginning"),
    }
    columns = [
        Column("period", tr("Return")),
        Column("twr", tr("Time-weighted"), "change", help=tr("Payments in and out do not count.")),
        Column("bitcoin", tr("Bitcoin"), "change"),
        Column("xirr", tr("XIRR, per year"), "change", help=tr("Weighted by your payments.")),
    ]
    rows = [
        Row(
            period["period"],
            [
                names[period["period"]],
                *(
                    percent_cell(formatter, period[key][name]["value"])
                    for name in ("time_weighted", "bitcoin", "xirr")
                ),
            ],
        )
        for period in returns["periods"]
    ]
    show_table("returns", tr("Returns"), columns, rows, is_old=data.has_old_prices())
    for sentence in _list_gaps(returns, key):
        st.caption(escape_markdown(sentence, MAX_SENTENCE_CHARACTERS))
    st.caption(escape_markdown(_compare(formatter, returns), MAX_SENTENCE_CHARACTERS))


def _list_gaps(returns: Json, key: str) -> list[str]:
    """Return why figures are unknown, each reason once."""
    figures = [f for p in returns["periods"] for f in p[key].values() if f["unavailable"]]
    reasons = list(dict.fromkeys(figure["unavailable"] for figure in figures))
    return [tr("Unknown: {reason}.", reason=tr_shared(reason)) for reason in reasons[:2]]


def _compare(formatter: Formatter, returns: Json) -> str:
    """Return what the same payments would be worth in Bitcoin and as dollars."""
    key = formatter.currency.lower()
    texts = []
    for name, label in (("bitcoin", tr("in Bitcoin")), ("cash", tr("as US dollars"))):
        found = returns[name] and returns[name][key]
        if found and found["value"] is not None:
            worth = formatter.own_amount(found["value"], formatter.currency)
            texts.append(f"{label} {worth}")
    return tr("The same payments would be worth: {list}.", list=", ".join(texts)) if texts else ""


def show_allocation(formatter: Formatter, holdings: Sequence[Json]) -> None:
    """Show the share of each holding as a bar, the smallest ones together."""
    shown = [holding for holding in holdings if holding["share"]]
    names = unique_coin_names(holdings)
    rows = [_share_row(formatter, names[h["coin_id"]], h["share"]) for h in shown[:SHOWN_SHARES]]
    rest = shown[SHOWN_SHARES:]
    if rest:
        label = tr("{count} others", count=len(rest))
        rows.append(_share_row(formatter, label, sum(h["share"] for h in rest)))
    columns = [Column("coin", tr("Allocation")), Column("share", tr("Share"), "bar")]
    show_table("allocation", tr("Allocation"), columns, rows, is_old=data.has_old_prices())


def _share_row(formatter: Formatter, name: str, share: float) -> Row:
    return Row(name, [name, percent_cell(formatter, share, signed=False)])
