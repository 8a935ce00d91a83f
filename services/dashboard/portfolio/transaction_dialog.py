"""The dialog that adds or edits a transaction of the portfolio."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import streamlit as st

from services.api_client import ApiUnreachable, Json, RequestRejected, quote_segment
from services.dashboard import data
from services.dashboard.elements.coin_choice import choose_coin
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr
from services.dashboard.portfolio import transaction_fields as fields
from services.dashboard.portfolio.transaction_request import (
    PREFIX,
    build_request,
    find_odd_price,
    has_price,
)
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown

PATH = "/portfolio/transactions"
MAX_NOTE_CHARACTERS = 200


def open_dialog(formatter: Formatter, transaction: Json | None = None) -> None:
    """Open the dialog, empty or with a transaction to edit."""
    for key in [key for key in st.session_state if str(key).startswith(PREFIX)]:
        del st.session_state[key]
    for name, value in _read_fields(formatter, transaction).items():
        st.session_state[PREFIX + name] = value
    title = tr("Edit the transaction") if transaction else tr("Add a transaction")
    st.dialog(title, width="medium")(_show)(transaction["transaction_id"] if transaction else None)


def _read_fields(formatter: Formatter, transaction: Json | None) -> dict[str, Any]:
    """Return what the fields of the dialog hold at first."""
    local = formatter.now.astimezone(formatter.zone)
    first: dict[str, Any] = {
        "kind": "buy",
        "currency": formatter.currency,
        "date": local.date(),
        "time": local.time().replace(second=0, microsecond=0),
        "basis": "each",
    }
    if transaction is None:
        return first
    made_at = datetime.fromisoformat(transaction["made_at"]).astimezone(formatter.zone)
    quantity = Decimal(transaction["quantity"])
    is_outgoing = transaction["kind"] == "transfer" and quantity < 0
    return first | {
        "kind": transaction["kind"],
        "coin": transaction["coin_id"],
        "currency": "USD",
        "date": made_at.date(),
        "time": made_at.time().replace(second=0, microsecond=0),
        "made_at": made_at,
        "quantity": formatter.input_number(abs(quantity)),
        "price": formatter.input_number(Decimal(transaction["price_usd"])),
        "fee": formatter.input_number(Decimal(transaction["fee_usd"])),
        "wallet": transaction["wallet"] or None,
        "direction": _read_direction(transaction, is_outgoing=is_outgoing),
        "to_wallet": transaction["to_wallet"] or None,
        "to_coin": transaction["to_coin_id"],
        "to_quantity": formatter.input_number(Decimal(transaction["to_quantity"] or 0)),
        "note": transaction["note"],
    }


def _read_direction(transaction: Json, *, is_outgoing: bool) -> str:
    if transaction["to_wallet"] is not None:
        return "between"
    return "out" if is_outgoing else "in"


# --- content ---------------------------------------------------------------------------------


def _show(transaction_id: int | None) -> None:
    formatter = data.current_formatter()
    kind = fields.choose_kind()
    coin_id = choose_coin("tx_coin", tr("Coin given") if kind == "trade" else tr("Coin"))
    fields.show_place(kind)
    at = fields.show_time(formatter)
    fields.show_quantities(kind)
    price = fields.find_price(coin_id, at)
    fields.show_price_and_fee(formatter, kind, price)
    st.text_input(tr("Note"), key="tx_note", max_chars=MAX_NOTE_CHARACTERS)
    request: dict[str, Any] | None = None
    problem = ""
    try:
        request = build_request(formatter, kind, coin_id, at, price)
        if has_price(kind):
            problem = find_odd_price(formatter, request, price)
    except ValueError as error:
        problem = str(error)
    _show_buttons(transaction_id, request, problem)


# --- saving ----------------------------------------------------------------------------------


def _show_buttons(transaction_id: int | None, request: dict[str, Any] | None, problem: str) -> None:
    """Show what is missing or odd, and the button. An odd price can be saved all the same."""
    if problem:
        (st.warning if request else st.caption)(escape_markdown(problem, MAX_SENTENCE_CHARACTERS))
    label = tr("Save anyway") if problem and request else tr("Save")
    if st.button(label, type="primary", disabled=request is None) and request:
        _save(transaction_id, request)


def _save(transaction_id: int | None, request: Mapping[str, Any]) -> None:
    method = "POST" if transaction_id is None else "PUT"
    path = PATH if transaction_id is None else f"{PATH}/{quote_segment(str(transaction_id))}"
    try:
        data.api_client().send(method, path, request)
    except (ApiUnreachable, RequestRejected) as error:
        st.error(data.describe_error(error))
        return
    text = tr("The transaction was added.") if method == "POST" else tr("The change was saved.")
    st.session_state["portfolio_message"] = {"text": text}
    st.rerun()
