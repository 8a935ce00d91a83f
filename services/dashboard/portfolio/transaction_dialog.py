"""The dialog that adds or edits a transaction of the portfolio."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import streamlit as st

from services.api_client import ApiUnreachable, Json, RequestRejected, quote_segment
from services.dashboard import data
from services.dashboard.elements.coin_choice import choose_coin
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr
from services.dashboard.portfolio.transaction_request import (
    PREFIX,
    build_request,
    find_odd_price,
    has_price,
    pick_figure,
)
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown

PATH = "/portfolio/transactions"
# No coin had a price before.
FIRST_DAY = date(2009, 1, 3)
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
    fields: dict[str, Any] = {
        "kind": "buy",
        "currency": formatter.currency,
        "date": local.date(),
        "time": local.time().replace(second=0, microsecond=0),
        "basis": "each",
    }
    if transaction is None:
        return fields
    made_at = datetime.fromisoformat(transaction["made_at"]).astimezone(formatter.zone)
    quantity = Decimal(transaction["quantity"])
    is_outgoing = transaction["kind"] == "transfer" and quantity < 0
    return fields | {
        "kind": transaction["kind"],
        "coin": transaction["coin_id"],
        "currency": "USD",
        "date": made_at.date(),
        "time": made_at.time().replace(microsecond=0),
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


# --- fields ----------------------------------------------------------------------------------


def _show(transaction_id: int | None) -> None:
    formatter = data.current_formatter()
    kinds = {
        "buy": tr("Buy"),
        "sell": tr("Sell"),
        "trade": tr("Trade"),
        "transfer": tr("Transfer"),
        "reward": tr("Reward"),
    }
    kind = str(
        st.segmented_control(
            tr("Kind"),
            list(kinds),
            format_func=lambda key: kinds[key],
            key="tx_kind",
            required=True,
        )
    )
    _explain(kind)
    coin_id = choose_coin("tx_coin", tr("Coin given") if kind == "trade" else tr("Coin"))
    _show_place(kind)
    at = _show_time(formatter)
    _show_amounts(kind)
    price = _find_price(coin_id, at)
    if has_price(kind):
        _show_price(formatter, kind, price)
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


def _explain(kind: str) -> None:
    """Say what the less usual kinds mean."""
    texts = {
        "trade": tr("One coin for another: a sale and a purchase of the same value."),
        "transfer": tr("Between own wallets it changes no profit, only its fee does."),
        "reward": tr("Coins for nothing, such as staking: their whole value is profit."),
    }
    if kind in texts:
        st.caption(texts[kind])


def _show_place(kind: str) -> None:
    """Show the choice of the wallet, and of a transfer's direction."""
    wallets = data.get_content("/portfolio/wallets")
    names = [each["wallet"] for each in wallets["items"] if each["wallet"]] if wallets else []
    if kind == "transfer":
        directions = {
            "between": tr("between own wallets"),
            "in": tr("from outside"),
            "out": tr("to outside"),
        }
        st.segmented_control(
            tr("Direction"),
            list(directions),
            format_func=lambda key: directions[key],
            key="tx_direction",
            required=True,
            default=None if "tx_direction" in st.session_state else "between",
        )
    is_between = kind == "transfer" and st.session_state.get("tx_direction") == "between"
    columns = st.columns(2) if is_between else [st.container()]
    labels = [tr("From wallet"), tr("To wallet")] if is_between else [tr("Wallet")]
    for column, label, key in zip(columns, labels, ("tx_wallet", "tx_to_wallet"), strict=False):
        column.selectbox(
            label,
            sorted({*names, *_typed(key)}),
            index=None,
            key=key,
            placeholder=tr("main wallet; type a new name"),
            accept_new_options=True,
        )


def _typed(key: str) -> set[str]:
    value = st.session_state.get(key)
    return {value} if value else set()


def _show_time(formatter: Formatter) -> datetime:
    left, right = st.columns(2)
    today = formatter.now.astimezone(formatter.zone).date()
    day: date = left.date_input(
        tr("Date"), key="tx_date", min_value=FIRST_DAY, max_value=today, format="YYYY-MM-DD"
    )
    clock: time = right.time_input(
        tr("Time, {zone}", zone=formatter.zone.key), key="tx_time", step=60
    )
    return datetime.combine(day, clock, formatter.zone).astimezone(UTC)


def _show_amounts(kind: str) -> None:
    if kind != "trade":
        st.text_input(tr("Quantity"), key="tx_quantity", placeholder="0.25")
        return
    left, right = st.columns(2)
    left.text_input(tr("Quantity given"), key="tx_quantity", placeholder="0.25")
    with right:
        st.text_input(tr("Quantity received"), key="tx_to_quantity", placeholder="4.2")
    choose_coin("tx_to_coin", tr("Coin received"))


def _show_price(formatter: Formatter, kind: str, price: Json | None) -> None:
    bases = {"each": tr("per coin"), "total": tr("in total")}
    left, middle, right = st.columns([5, 4, 4], vertical_alignment="bottom")
    left.text_input(
        tr("Price") if kind != "trade" else tr("Value of the coins given"),
        key="tx_price",
        placeholder=_describe_proposal(formatter, price),
    )
    middle.segmented_control(
        tr("Price is"),
        list(bases),
        format_func=lambda key: bases[key],
        key="tx_basis",
        required=True,
        label_visibility="collapsed",
    )
    right.segmented_control(
        tr("Currency"),
        ["USD", "IDR"],
        key="tx_currency",
        required=True,
        label_visibility="collapsed",
    )
    st.text_input(tr("Fee"), key="tx_fee", placeholder="0")
    figure = price and pick_figure(price, "price", st.session_state["tx_currency"])
    if price and figure:
        shown = formatter.amount(figure, st.session_state["tx_currency"])
        st.caption(
            tr(
                "Price then: {price}, of {time}. Leave the field empty to use it.",
                price=escape_markdown(shown),
                time=formatter.time(price["observed_at"]),
            )
        )
    elif price:
        st.caption(tr("No price of that time is stored: enter the one that you paid."))
    needs_rate = st.session_state["tx_currency"] == "IDR" and not (price and price["idr_per_usd"])
    if needs_rate and price:
        st.text_input(tr("Rupiah per US dollar that day"), key="tx_rate", placeholder="16250")


def _describe_proposal(formatter: Formatter, price: Json | None) -> str:
    figure = price and pick_figure(price, "price", st.session_state["tx_currency"])
    is_total = st.session_state["tx_basis"] == "total"
    if not figure or is_total:
        return ""
    return formatter.amount(figure, st.session_state["tx_currency"])


def _find_price(coin_id: str | None, at: datetime) -> Json | None:
    if coin_id is None:
        return None
    minute = at.replace(second=0, microsecond=0).isoformat()
    price: Json | None = data.get_content("/portfolio/price", coin_id=coin_id, at=minute)
    return price


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
