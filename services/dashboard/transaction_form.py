"""The form in the sidebar that adds a purchase or a sale to the portfolio."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import streamlit as st

from sentinel.amounts import Currency
from services.api_client import ApiUnreachable, Json, RequestRejected
from services.dashboard import data
from services.dashboard.formatting import Formatter
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown, unique_coin_names

# An older price is not used as the price that the viewer paid.
MAX_PRICE_AGE = timedelta(hours=1)
TRANSACTIONS_PATH = "/portfolio/transactions"


def show_transaction_form() -> None:
    """Show the form, and the outcome of the transaction before."""
    coins = data.list_coins()
    if not coins:
        return
    # The coins of holdings may be ranked too low for the list of coins.
    portfolio = data.get_content("/portfolio")
    held = portfolio["holdings"] if portfolio else []
    currency = data.current_formatter().currency
    with st.form("transaction", border=False):
        _show_fields(unique_coin_names([*coins, *held]), currency)
        st.form_submit_button(
            "Add", type="primary", width="stretch", on_click=_submit, args=(currency,)
        )
    is_added, message = st.session_state.pop("transaction_outcome", (True, ""))
    if message:
        (st.success if is_added else st.error)(message)


def _show_fields(names: Mapping[str, str], currency: Currency) -> None:
    st.markdown("**Add a transaction**")
    st.selectbox(
        "Coin",
        list(names),
        index=None,
        format_func=lambda coin_id: names.get(coin_id, coin_id),
        key="form_coin",
        placeholder="choose a coin",
        help="The best-ranked coins and the coins you hold. Add other coins through the API.",
    )
    st.text_input(
        "Quantity",
        key="form_quantity",
        placeholder="0.25",
        help="A negative quantity is a sale.",
    )
    st.text_input(
        f"Price per coin, {currency}",
        key="form_price",
        placeholder="newest price",
        help="The price that you paid for one coin. Empty: the newest price.",
    )


def _submit(currency: Currency) -> None:
    """Send the transaction before the page is drawn again; a rejected one stays in the form.

    The page may have been open for hours, so the newest price is looked up now. `currency` is the
    one that the form showed.
    """
    formatter = data.current_formatter()
    try:
        request = _read_form(formatter, currency, data.list_coins() or [])
        added = data.api_client().send("POST", TRANSACTIONS_PATH, request)
    except ValueError as error:
        outcome = (False, escape_markdown(error, MAX_SENTENCE_CHARACTERS))
    except (ApiUnreachable, RequestRejected) as error:
        outcome = (False, _describe_rejection(formatter, error))
    else:
        outcome = (True, _describe_transaction(formatter, added))
        st.session_state["form_quantity"] = st.session_state["form_price"] = ""
    st.session_state["transaction_outcome"] = outcome


def _read_form(formatter: Formatter, currency: Currency, coins: Sequence[Json]) -> dict[str, str]:
    """Return the request for what the viewer entered. Raises ValueError with a message for them."""
    coin_id = st.session_state["form_coin"]
    if not coin_id:
        raise ValueError("Choose a coin first.")
    price = parse_number(st.session_state["form_price"], currency)
    if not price:
        price = _find_newest_price(formatter, currency, coin_id, coins)
    return {
        "coin_id": coin_id,
        "quantity": parse_number(st.session_state["form_quantity"], currency, is_money=False),
        "price": price,
        "currency": currency.lower(),
    }


def _find_newest_price(
    formatter: Formatter, currency: Currency, coin_id: str, coins: Sequence[Json]
) -> str:
    coin = next((coin for coin in coins if coin["coin_id"] == coin_id), None)
    is_recent = (
        coin and formatter.now - datetime.fromisoformat(coin["observed_at"]) <= MAX_PRICE_AGE
    )
    if coin is None or not is_recent or currency != formatter.currency:
        raise ValueError("There is no price from the last hour: enter the price that you paid.")
    # Fixed-point, because the API does not accept a number such as 4.5e-06.
    return f"{formatter.convert_usd(coin['price_usd']):.18f}"


def _describe_transaction(formatter: Formatter, added: Json) -> str:
    quantity = formatter.quantity(added["quantity"])
    price = formatter.own_price(added["price_usd"], "USD")
    return (
        f"Added {escape_markdown(quantity)} {escape_markdown(added['coin_id'])} at "
        f"{escape_markdown(price)}"
    )


def _describe_rejection(formatter: Formatter, error: ApiUnreachable | RequestRejected) -> str:
    """Return the API's message, unless it would show a hidden amount."""
    if formatter.hide_amounts and "held" in str(error):
        return "Nothing was changed: the sale is larger than the holding."
    return data.describe_error(error)


def parse_number(text: str, currency: Currency, *, is_money: bool = True) -> str:
    """Return a number as the API reads it, from text in the currency's or in English notation.

    Text that is not a number is returned as it is, so that the API explains it. Raises ValueError
    for a quantity that could be meant a thousand times larger.
    """
    # Web pages and spreadsheets write no-break spaces and a typographic minus sign.
    text = text.strip().replace(" ", "").replace("\xa0", "").replace("\u2212", "-")
    group, point = (".", ",") if currency == "IDR" else (",", ".")
    if not is_money and re.fullmatch(rf"-?[1-9]\d{{0,2}}[{group}]\d{{3}}", text):
        whole, _, rest = text.partition(group)
        raise ValueError(
            f"{text} could be {whole}{rest} or {whole}{point}{rest}: write one of them."
        )
    if re.fullmatch(rf"-?[1-9]\d{{0,2}}([{group}]\d{{3}})+([{point}]\d+)?", text):
        text = text.replace(group, "")
    return text.replace(",", ".")
