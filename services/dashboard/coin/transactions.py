"""The viewer's own transactions of a coin, as sentences and as a table."""

from __future__ import annotations

from collections.abc import Sequence

from services.api_client import Json
from services.dashboard.elements.cells import own_cell, time_cell
from services.dashboard.elements.table import Column, Row, show_table
from services.dashboard.formatting import HIDDEN, Formatter
from services.dashboard.language import tr


def describe_transaction(formatter: Formatter, transaction: Json) -> str:
    """Return what happened as plain text, without amounts if the viewer hides them."""
    text = name_kind(transaction)
    if formatter.hide_amounts:
        return text
    quantity = formatter.quantity(transaction["quantity"].removeprefix("-"))
    if not float(transaction["price_usd"]):
        return f"{text}: {quantity}"
    price = formatter.price(float(transaction["price_usd"]))
    return tr("{kind}: {quantity} at {price}", kind=text, quantity=quantity, price=price)


def name_kind(transaction: Json) -> str:
    """Return the kind of a transaction from the side of this coin."""
    is_gain = float(transaction["quantity"]) > 0
    names = {
        "buy": tr("Bought"),
        "sell": tr("Sold"),
        "trade": tr("Received in a trade") if is_gain else tr("Given in a trade"),
        "transfer": tr("Received from outside") if is_gain else tr("Sent away"),
        "reward": tr("Reward"),
    }
    return names[transaction["kind"]]


def show_transactions(formatter: Formatter, transactions: Sequence[Json]) -> None:
    """Show the own transactions of a coin, the newest first."""
    has_wallets = any(transaction["wallet"] for transaction in transactions)
    columns = [
        Column("time", tr("Time"), "number", descending=True),
        Column("kind", tr("Kind")),
        Column("quantity", tr("Quantity"), "number", descending=True),
        Column("price", tr("Price"), "number", descending=True),
        *([Column("wallet", tr("Wallet"), priority=2)] if has_wallets else []),
    ]
    show_table(
        "coin_transactions",
        tr("My transactions"),
        columns,
        [
            _build_row(formatter, number, transaction, has_wallets=has_wallets)
            for number, transaction in enumerate(reversed(transactions))
        ],
        title=tr("My transactions"),
        empty=tr("None. Add them on the Portfolio page."),
    )


def _build_row(formatter: Formatter, number: int, transaction: Json, *, has_wallets: bool) -> Row:
    note = HIDDEN if formatter.hide_amounts and transaction["note"] else transaction["note"]
    quantity, price_usd = transaction["quantity"], float(transaction["price_usd"])
    price = HIDDEN if formatter.hide_amounts else formatter.price(price_usd or None)
    return Row(
        str(number),
        [
            time_cell(formatter, transaction["made_at"]),
            {"text": name_kind(transaction), "note": note},
            own_cell(formatter, quantity, formatter.quantity(quantity)),
            own_cell(formatter, transaction["price_usd"], price),
            *([transaction["wallet"] or tr("main wallet")] if has_wallets else []),
        ],
    )
