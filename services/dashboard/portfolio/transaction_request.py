"""The request for what the viewer entered in the dialog of a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import streamlit as st

from sentinel.amounts import Currency
from services.api_client import Json
from services.dashboard.elements.number_input import format_for_api, parse_number
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr

# The keys of the dialog's fields in the session state begin so.
PREFIX = "tx_"
# A price that differs from the stored one by this factor is asked about.
ODD_FACTOR = 3


def has_price(kind: str) -> bool:
    """Return whether the kind has a price; currency and fee stand beside it."""
    is_between = kind == "transfer" and st.session_state.get("tx_direction") == "between"
    return kind != "reward" and not is_between


def build_request(
    formatter: Formatter, kind: str, coin_id: str | None, at: datetime, price: Json | None
) -> dict[str, Any]:
    """Return the request for what the viewer entered. Raises ValueError with a message for them."""
    state = st.session_state
    if coin_id is None:
        raise ValueError(tr("Choose a coin."))
    if at > formatter.now:
        raise ValueError(tr("The date or the time is in the future."))
    quantity = _read_number(formatter, "quantity")
    if not quantity:
        raise ValueError(tr("Enter the quantity."))
    if quantity < 0:
        raise ValueError(tr("Enter the quantity without a sign: the kind says its direction."))
    is_given = kind in ("sell", "trade") or (kind == "transfer" and state["tx_direction"] == "out")
    request: dict[str, Any] = {
        "kind": kind,
        "coin_id": coin_id,
        "quantity": format_for_api(-quantity if is_given else quantity),
        "made_at": at.isoformat(),
        "wallet": state.get("tx_wallet") or "",
        "fee": format_for_api(_read_number(formatter, "fee", state["tx_currency"]) or Decimal(0)),
        "currency": state["tx_currency"].lower(),
        "note": (state.get("tx_note") or "").strip(),
    }
    if kind == "transfer" and state["tx_direction"] == "between":
        request["to_wallet"] = state.get("tx_to_wallet") or ""
    if kind == "trade":
        request |= _read_received(formatter)
    if has_price(kind):
        request["price"] = format_for_api(_read_price(formatter, quantity, price))
    if rate := _read_number(formatter, "rate", "IDR"):
        request["idr_per_usd"] = format_for_api(rate)
    return request


def _read_number(
    formatter: Formatter, name: str, currency: Currency | None = None
) -> Decimal | None:
    text = st.session_state.get(PREFIX + name) or ""
    return parse_number(text, formatter.language, currency)


def _read_received(formatter: Formatter) -> dict[str, str]:
    coin_id = st.session_state.get("tx_to_coin_id")
    quantity = _read_number(formatter, "to_quantity")
    if not coin_id or not quantity:
        raise ValueError(tr("Enter the coin received and its quantity."))
    return {"to_coin_id": coin_id, "to_quantity": format_for_api(quantity)}


def _read_price(formatter: Formatter, quantity: Decimal, price: Json | None) -> Decimal:
    """Return the price of one coin in the chosen currency. An empty price is the stored one."""
    currency: Currency = st.session_state["tx_currency"]
    entered = _read_number(formatter, "price", currency)
    if entered is None:
        proposal = price and pick_figure(price, "price", currency)
        if not proposal:
            raise ValueError(tr("Enter the price."))
        return Decimal(proposal)
    return entered / quantity if st.session_state["tx_basis"] == "total" else entered


def find_odd_price(formatter: Formatter, request: Mapping[str, Any], price: Json | None) -> str:
    """Return a question about a price far from the stored one; an empty text for none."""
    entered = Decimal(request["price"])
    if not entered:
        return tr("The price is 0. A reward has no price, a purchase has.")
    stored = Decimal((price and pick_figure(price, "price", request["currency"])) or 0)
    if not stored or stored / ODD_FACTOR <= entered <= stored * ODD_FACTOR:
        return ""
    return tr(
        "The price then was {price}. Is the price you entered in the right currency, and per coin?",
        price=formatter.amount(str(stored), st.session_state["tx_currency"]),
    )


def pick_figure(price: Json, name: str, currency: str) -> str | None:
    """Return one of the two figures of that name, in USD or IDR."""
    figure: str | None = price[f"{name}_{currency.lower()}"]
    return figure
