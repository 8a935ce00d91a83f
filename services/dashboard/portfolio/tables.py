"""The tables of the portfolio: holdings, wallets, transactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from services.api_client import Json, quote_segment
from services.dashboard import data
from services.dashboard.elements.cells import (
    age_cell,
    amount_cell,
    own_cell,
    percent_cell,
    price_cell,
    time_cell,
)
from services.dashboard.elements.table import Action, Column, Row, show_table
from services.dashboard.formatting import HIDDEN, Formatter
from services.dashboard.language import tr
from services.dashboard.portfolio.kinds import name_kinds
from services.dashboard.portfolio.transaction_dialog import PATH
from services.dashboard.text import unique_coin_names

SHOWN_TRANSACTIONS = 500


def show_holdings(formatter: Formatter, holdings: Sequence[Json]) -> None:
    """Show what the portfolio holds, in the viewer's currency; average and FIFO cost in USD."""
    columns = [
        Column("coin", tr("Coin"), "link"),
        Column("quantity", tr("Quantity"), "number", descending=True),
        Column("price", tr("Price"), "number", priority=2, descending=True),
        Column("value", tr("Value"), "number", descending=True),
        Column("share", tr("Share"), "number", priority=2, descending=True),
        Column("day", tr("Profit, 24 h"), "change", priority=2),
        Column("profit", tr("Total profit"), "change"),
        Column("average", tr("Cost, average"), "number", priority=3, descending=True),
        Column("fifo", tr("Cost, FIFO"), "number", priority=3, descending=True),
        Column("age", tr("Price age"), "number", priority=3),
        Column("missing", tr("Missing"), priority=3),
    ]
    if not any(holding["missing"] for holding in holdings):
        columns.pop()
    names = unique_coin_names(holdings)
    rows = [_build_holding(formatter, holding, names) for holding in holdings]
    show_table("holdings", tr("Holdings"), columns, rows, is_old=data.has_old_prices())


def _build_holding(formatter: Formatter, holding: Json, names: Mapping[str, str]) -> Row:
    currency = formatter.currency
    key = currency.lower()
    return Row(
        holding["coin_id"],
        [
            names[holding["coin_id"]],
            own_cell(formatter, holding["quantity"], formatter.quantity(holding["quantity"])),
            price_cell(formatter, holding["price_usd"]),
            amount_cell(formatter, holding[f"value_{key}"], currency),
            percent_cell(formatter, holding["share"], signed=False),
            amount_cell(formatter, holding["day_profit"][key], currency, signed=True),
            amount_cell(formatter, holding["total_profit"][key], currency, signed=True),
            amount_cell(formatter, holding["average_cost"]["cost_usd"], "USD"),
            amount_cell(formatter, holding["fifo_cost"]["cost_usd"], "USD"),
            age_cell(formatter, holding["observed_at"]),
            ", ".join(holding["missing"]),
        ],
        href=f"coin?coin={quote_segment(holding['coin_id'])}",
        name=names[holding["coin_id"]],
    )


def show_wallets(formatter: Formatter, wallets: Json | None) -> None:
    """Show what each wallet holds, if there are several."""
    if not wallets or len(wallets["items"]) < 2:
        return
    key = formatter.currency.lower()
    columns = [
        Column("wallet", tr("Wallet")),
        Column("value", tr("Value"), "number", descending=True),
        Column("content", tr("Holds")),
    ]
    rows = [
        Row(
            wallet["wallet"],
            [
                wallet["wallet"] or tr("main wallet"),
                amount_cell(formatter, wallet[f"value_{key}"], formatter.currency),
                ", ".join(
                    f"{formatter.quantity(held['quantity'])} {held['symbol'].upper()}"
                    for held in wallet["holdings"]
                ),
            ],
        )
        for wallet in wallets["items"]
    ]
    show_table("own_wallets", tr("Wallets"), columns, rows, is_old=data.has_old_prices())


# --- transactions ----------------------------------------------------------------------------


def show_transactions(formatter: Formatter) -> Action | None:
    """Show the newest transactions and return the button that the viewer clicked in a row."""
    page = data.fetch(PATH, newest_first="true", limit=SHOWN_TRANSACTIONS)
    if not page or not page["items"]:
        return None
    has_wallets = any(item["wallet"] or item["to_wallet"] for item in page["items"])
    columns = [
        Column("time", tr("Time"), "number", descending=True),
        Column("kind", tr("Kind")),
        Column("coin", tr("Coin"), "text"),
        Column("quantity", tr("Quantity"), "number", descending=True),
        Column("price", tr("Price, USD"), "number", priority=2, descending=True),
        Column("value", tr("Value, USD"), "number", priority=2, descending=True),
        Column("fee", tr("Fee, USD"), "number", priority=3, descending=True),
        *([Column("wallet", tr("Wallet"), priority=2)] if has_wallets else []),
        Column("note", tr("Note"), priority=3),
        Column("actions", tr("Actions"), "actions"),
    ]
    names = unique_coin_names(data.list_coins() or [])
    count = tr("{count} transactions", count=len(page["items"]))
    if page["next"]:
        count = tr("the newest {count} transactions", count=len(page["items"]))
    rows = [
        build_transaction_row(formatter, item, names, has_wallets=has_wallets)
        for item in page["items"]
    ]
    return show_table(
        "transactions",
        tr("Transactions"),
        columns,
        rows,
        search=tr("Filter transactions"),
        count=count,
    )


def build_transaction_row(
    formatter: Formatter, item: Json, names: Mapping[str, str], *, has_wallets: bool
) -> Row:
    """Return a transaction as a row."""
    quantity, price = Decimal(item["quantity"]), Decimal(item["price_usd"])
    coin = names.get(item["coin_id"], item["coin_id"])
    received = names.get(item["to_coin_id"], item["to_coin_id"])
    # A note may contain an amount too.
    note = HIDDEN if item["note"] and formatter.hide_amounts else item["note"]
    kind = name_kinds()[item["kind"]]
    quantity_text = formatter.quantity(item["quantity"])
    if received:
        quantity_text += f" → {formatter.quantity(item['to_quantity'])}"
    cells = [
        time_cell(formatter, item["made_at"]),
        kind,
        f"{coin} → {received}" if received else coin,
        own_cell(formatter, item["quantity"], quantity_text),
        own_cell(formatter, item["price_usd"], formatter.own_price(item["price_usd"], "USD")),
        amount_cell(formatter, str(abs(quantity) * price), "USD"),
        amount_cell(formatter, item["fee_usd"], "USD"),
        *([_describe_wallets(item)] if has_wallets else []),
        note,
        [{"action": "edit", "label": tr("Edit")}, {"action": "delete", "label": tr("Delete")}],
    ]
    search = f"{coin} {received or ''} {kind} {item['wallet']} {item['to_wallet'] or ''} {note}"
    return Row(str(item["transaction_id"]), cells, search=search, name=coin)


def _describe_wallets(item: Json) -> str:
    own = item["wallet"] or tr("main wallet")
    if item["to_wallet"] is None:
        return own
    return f"{own} → {item['to_wallet'] or tr('main wallet')}"
