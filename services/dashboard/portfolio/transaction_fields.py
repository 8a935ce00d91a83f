"""The fields of the dialog of a transaction, kept in the session state under `tx_...`."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from services.api_client import Json
from services.dashboard import data
from services.dashboard.elements.coin_choice import choose_coin
from services.dashboard.elements.options import show_options
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr
from services.dashboard.portfolio.kinds import name_kinds
from services.dashboard.portfolio.transaction_request import has_price, pick_figure
from services.dashboard.portfolio.wallet_choice import choose_wallet
from services.dashboard.text import escape_markdown

# No coin had a price before.
FIRST_DAY = date(2009, 1, 3)


def choose_kind() -> str:
    """Show the kinds and what the chosen one means, and return it."""
    kinds = name_kinds()
    kind = str(show_options(tr("Kind"), kinds, "tx_kind", required=True))
    _explain(kind)
    return kind


def _explain(kind: str) -> None:
    """Say what the less usual kinds mean."""
    texts = {
        "trade": tr("One coin for another: a sale and a purchase of the same value."),
        "transfer": tr("Between own wallets it changes no profit, only its fee does."),
        "reward": tr("Coins for nothing, such as staking: their whole value is profit."),
    }
    if kind in texts:
        st.caption(texts[kind])


def show_place(kind: str) -> None:
    """Show the choice of the wallet, and of a transfer's direction."""
    if kind == "transfer":
        _choose_again("tx_direction", "between")
        directions = {
            "between": tr("between own wallets"),
            "in": tr("from outside"),
            "out": tr("to outside"),
        }
        show_options(tr("Direction"), directions, "tx_direction", required=True)
    is_between = kind == "transfer" and st.session_state.get("tx_direction") == "between"
    columns = st.columns(2) if is_between else [st.container()]
    labels = [tr("From wallet"), tr("To wallet")] if is_between else [tr("Wallet")]
    for column, label, key in zip(columns, labels, ("tx_wallet", "tx_to_wallet"), strict=False):
        choose_wallet(column, label, key)


def show_time(formatter: Formatter) -> datetime:
    """Show the date and the time in the viewer's zone, and return the time in UTC.

    The fields have minutes. An edited transaction keeps its seconds until the minute changes.
    """
    left, right = st.columns(2)
    # A `max_value` would keep the day before while the field shows the one that is too late.
    day: date = left.date_input(tr("Date"), key="tx_date", min_value=FIRST_DAY, format="YYYY-MM-DD")
    clock: time = right.time_input(
        tr("Time, {zone}", zone=formatter.zone.key), key="tx_time", step=60
    )
    shown = datetime.combine(day, clock)
    stored: datetime | None = st.session_state.get("tx_made_at")
    if stored is not None:
        # Compared in local time: an hour that clocks repeat stays the one that it was.
        local = stored.astimezone(formatter.zone)
        if local.replace(second=0, microsecond=0, tzinfo=None) == shown:
            return stored.astimezone(UTC)
    return shown.replace(tzinfo=formatter.zone).astimezone(UTC)


def show_quantities(kind: str) -> None:
    """Show the quantity; for a trade, of both coins."""
    if kind != "trade":
        st.text_input(tr("Quantity"), key="tx_quantity", placeholder="0.25")
        return
    left, right = st.columns(2)
    left.text_input(tr("Quantity given"), key="tx_quantity", placeholder="0.25")
    with right:
        st.text_input(tr("Quantity received"), key="tx_to_quantity", placeholder="4.2")
    choose_coin("tx_to_coin", tr("Coin received"))


def show_price_and_fee(formatter: Formatter, kind: str, price: Json | None) -> None:
    """Show the fields of the price, of the fee and of their currency.

    `price` is the stored one at that time. A kind without a price has a fee all the same.
    """
    if has_price(kind):
        _show_price(formatter, kind, price)
        st.text_input(tr("Fee"), key="tx_fee", placeholder="0")
        _describe_stored_price(formatter, price)
    else:
        left, right = st.columns([9, 4], vertical_alignment="bottom")
        left.text_input(tr("Fee"), key="tx_fee", placeholder="0")
        _choose_currency(right)
    needs_rate = st.session_state["tx_currency"] == "IDR" and not (price and price["idr_per_usd"])
    if needs_rate and price:
        st.text_input(tr("Rupiah per US dollar that day"), key="tx_rate", placeholder="16250")


def _show_price(formatter: Formatter, kind: str, price: Json | None) -> None:
    _choose_again("tx_basis", "each")
    bases = {"each": tr("per coin"), "total": tr("in total")}
    left, middle, right = st.columns([5, 4, 4], vertical_alignment="bottom")
    left.text_input(
        tr("Price") if kind != "trade" else tr("Value of the coins given"),
        key="tx_price",
        placeholder=_describe_proposal(formatter, price),
    )
    show_options(
        tr("Price is"),
        bases,
        "tx_basis",
        place=middle,
        required=True,
        label_visibility="collapsed",
    )
    _choose_currency(right)


def _choose_again(key: str, first: str) -> None:
    """Set a choice that Streamlit forgot, or made None, while another kind did not show it."""
    st.session_state[key] = st.session_state.get(key) or first


def _choose_currency(place: DeltaGenerator) -> None:
    place.segmented_control(
        tr("Currency"),
        ["USD", "IDR"],
        key="tx_currency",
        required=True,
        label_visibility="collapsed",
    )


def _describe_stored_price(formatter: Formatter, price: Json | None) -> None:
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


def _describe_proposal(formatter: Formatter, price: Json | None) -> str:
    figure = price and pick_figure(price, "price", st.session_state["tx_currency"])
    is_total = st.session_state["tx_basis"] == "total"
    if not figure or is_total:
        return ""
    return formatter.amount(figure, st.session_state["tx_currency"])


def find_price(coin_id: str | None, at: datetime) -> Json | None:
    """Return the stored price of a coin at a time; None without a coin or an API."""
    if coin_id is None:
        return None
    minute = at.replace(second=0, microsecond=0).isoformat()
    price: Json | None = data.get_content("/portfolio/price", coin_id=coin_id, at=minute)
    return price
