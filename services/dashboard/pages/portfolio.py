"""The portfolio: what is held and worth, and entering it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pandas as pd
import streamlit as st

from services.dashboard import charts, data
from services.dashboard.api_client import Refused, Unavailable
from services.dashboard.formatting import HIDDEN, Currency, Formatter, Preferences
from services.dashboard.text import LONGEST_SENTENCE, join_names, plain, read_time

Json = Mapping[str, Any]
NEW_ENOUGH = timedelta(hours=1)  # for a price to stand for what was paid
SHOWN_TRANSACTIONS = 100
TRANSACTIONS = "/portfolio/transactions"


def ask_for_holding(choice: Preferences) -> None:
    """A form in the sidebar: a purchase or sale, which the API keeps."""
    coins = data.coins()
    if not coins:
        return
    viewer = data.current_formatter(choice)
    called = join_names([*coins, *_held()])
    with st.form("holding", border=False):
        st.markdown("**Add a holding**")
        st.selectbox(
            "Coin",
            list(called),
            index=None,
            format_func=lambda coin_id: called.get(coin_id, coin_id),
            key="held_coin",
            placeholder="choose one",
            help="The best ranked coins and those you hold; others through the API.",
        )
        st.text_input("Quantity", key="held_quantity", placeholder="0.25", help="Below 0: a sale.")
        st.text_input(
            f"Price of one, {viewer.shown_currency}",
            key="held_price",
            placeholder="the newest one",
            help="What you paid for one coin. Empty: the newest price.",
        )
        st.form_submit_button(
            "Add",
            type="primary",
            width="stretch",
            on_click=_add,
            args=(choice, viewer.shown_currency),
        )
    is_kept, outcome = st.session_state.pop("entry", (True, ""))
    if outcome:
        (st.success if is_kept else st.error)(outcome)


def _held() -> list[Json]:
    """What is held, which may be ranked too low to be listed; nothing where nobody tells."""
    try:
        held: list[Json] = data.api_client().get("/portfolio").content["holdings"]
    except (Unavailable, Refused):
        return []
    return held


def _add(choice: Preferences, currency: Currency) -> None:
    """Send what was typed, in the currency that stood beside it, before the page is drawn anew;
    what was refused stays in the form. The page may have stood open for hours: prices are looked up
    now."""
    viewer = data.current_formatter(choice)
    try:
        entry = _read_entry(viewer, currency, data.coins() or [])
        kept = data.api_client().send("POST", TRANSACTIONS, entry)
    except ValueError as error:
        outcome = plain(error, LONGEST_SENTENCE)
    except (Unavailable, Refused) as trouble:
        outcome = _refusal(viewer, trouble)
    else:
        quantity, price = viewer.quantity(kept["quantity"]), viewer.own(kept["price_usd"], "USD")
        told = f"Kept: {plain(quantity)} {plain(kept['coin_id'])} at {plain(price)}"
        st.session_state["entry"] = (True, told)
        st.session_state["held_quantity"] = st.session_state["held_price"] = ""
        return
    st.session_state["entry"] = (False, outcome)


def _read_entry(viewer: Formatter, currency: Currency, coins: Sequence[Json]) -> dict[str, str]:
    """What was typed as the API takes it. Raises ValueError, in words."""
    coin_id = st.session_state["held_coin"]
    if not coin_id:
        raise ValueError("Choose a coin first.")
    price = read_number(st.session_state["held_price"], currency)
    if not price:
        newest = next((coin for coin in coins if coin["coin_id"] == coin_id), None)
        is_new = newest and viewer.now - read_time(newest["observed_at"]) <= NEW_ENOUGH
        if newest is None or not is_new or currency != viewer.shown_currency:
            raise ValueError("There is no price of the last hour: type the one you paid.")
        price = f"{viewer.convert(newest['price']):.18f}"
    quantity = read_number(st.session_state["held_quantity"], currency, is_money=False)
    return {
        "coin_id": coin_id,
        "quantity": quantity,
        "price": price,
        "currency": currency.lower(),
    }


def _refusal(viewer: Formatter, trouble: Unavailable | Refused) -> str:
    """The API's words, but for those that would tell what is held to whom it is hidden from."""
    if viewer.hide_amounts and "held" in str(trouble):
        return "Nothing was changed: more would have been sold than is held."
    return data.advice(trouble).replace("Value error, ", "")


def read_number(text: str, currency: Currency, *, is_money: bool = True) -> str:
    """A number, written as where that currency is or as elsewhere, as the API reads it.

    What is no number stays as it is, and the API says so. Raises ValueError where a number of coins
    could be a thousand times larger than was meant.
    """
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


@st.fragment(run_every=data.REFRESH_SECONDS)
def show(choice: Preferences) -> None:
    """The page's body."""
    viewer = data.current_formatter(choice)
    if not data.show_freshness(viewer):
        return
    found = data.fetch("/portfolio")
    if found is None:
        return
    if not found["holdings"]:
        st.info(
            "Nothing is held yet. Enter a holding in the sidebar, or import a CSV through the API: "
            "`POST /portfolio/transactions.csv`.",
            icon=":material/add:",
        )
        _show_transactions(viewer)
        return
    if found["missing"]:
        st.warning(
            "Not known, and left out of sums: "
            + plain(", ".join(found["missing"]), LONGEST_SENTENCE)
        )
    _show_worth(viewer, found)
    _show_profit(viewer, found)
    left, right = st.columns([2, 3])
    with left:
        st.subheader("Allocation")
        st.plotly_chart(
            charts.allocation(found["holdings"], join_names(found["holdings"])),
            key="allocation",
            config={"displaylogo": False},
        )
    with right:
        st.subheader("Net worth")
        st.plotly_chart(
            charts.net_worth(viewer, found["history"]), key="worth", config={"displaylogo": False}
        )
    _show_holdings(viewer, found["holdings"])
    _show_transactions(viewer)


def _show_worth(viewer: Formatter, found: Json) -> None:
    usd, idr, day = st.columns(3)
    day_share = _share(found["day_profit"]["usd"], found["net_worth_usd"])
    usd.metric("Net worth, USD", viewer.own(found["net_worth_usd"], "USD"))
    idr.metric("Net worth, IDR", viewer.own(found["net_worth_idr"], "IDR"))
    currency = viewer.shown_currency
    day.metric(
        f"Last day, {currency}",
        viewer.own(found["day_profit"][currency.lower()], currency),
        None if day_share is None else viewer.percent(day_share),
    )
    rate = found["idr_per_usd"]
    if rate is None:
        st.caption("No rupiah rate of the last day is known: rupiah wait for the next run.")
    else:
        st.caption(
            f"1 USD = {plain(viewer.rupiah(rate))}, {viewer.age(found['rate_observed_at'])} old, "
            "from CoinGecko's own prices"
        )


def _share(part: str | None, whole: str | None) -> float | None:
    """A profit as a share of what there was before it."""
    if part is None or whole is None or float(whole) - float(part) <= 0:
        return None
    return float(part) / (float(whole) - float(part))


def _show_profit(viewer: Formatter, found: Json) -> None:
    st.subheader("Profit")
    rows = [
        {
            "of": words,
            "USD": viewer.own(profit["usd"], "USD"),
            "IDR": viewer.own(profit["idr"], "IDR"),
            "from the coins, IDR": viewer.own(profit["coin_move_idr"], "IDR"),
            "from the rupiah, IDR": viewer.own(profit["rupiah_move_idr"], "IDR"),
            "fees, USD": viewer.own(profit["fees_usd"], "USD"),
        }
        for words, profit in (("the last day", found["day_profit"]), ("all", found["total_profit"]))
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="profit")


def _show_holdings(viewer: Formatter, holdings: Sequence[Json]) -> None:
    st.subheader("Holdings")
    key: Currency = viewer.shown_currency
    called = join_names(holdings)
    rows = [
        {
            "coin": called[held["coin_id"]],
            "quantity": viewer.quantity(held["quantity"]),
            "value": viewer.own(held[f"value_{key.lower()}"], key),
            "share": viewer.percent(held["share"], signed=False),
            "profit": viewer.own(held["total_profit"][key.lower()], key),
            "last day": viewer.own(held["day_profit"][key.lower()], key),
            "cost, average": viewer.own(held["average_cost"]["cost_usd"], "USD"),
            "cost, FIFO": viewer.own(held["fifo_cost"]["cost_usd"], "USD"),
            "price's age": viewer.age(held["observed_at"]),
            "not known": ", ".join(held["missing"]),
        }
        for held in holdings
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="holdings")


def _show_transactions(viewer: Formatter) -> None:
    own = data.fetch(TRANSACTIONS, newest_first="true", limit=SHOWN_TRANSACTIONS)
    if not own or not own["items"]:
        return
    with st.expander("Transactions"):
        if own["next"]:
            st.caption(f"The newest {len(own['items'])}.")
        for one in own["items"]:
            text, button = st.columns([6, 1], vertical_alignment="center")
            text.markdown(
                f"{viewer.at(one['made_at'])} · {plain(viewer.quantity(one['quantity']))} "
                f"{plain(one['coin_id'])} at {plain(viewer.own(one['price_usd'], 'USD'))}"
                + (
                    f" · {plain(HIDDEN if viewer.hide_amounts else one['note'])}"
                    if one["note"]
                    else ""
                )
            )
            number = one["transaction_id"]
            if button.button("Remove", key=f"remove-{number}", type="tertiary"):
                _remove(number)


def _remove(number: int) -> None:
    try:
        data.api_client().send("DELETE", f"{TRANSACTIONS}/{number}")
    except (Unavailable, Refused) as trouble:
        st.error(data.advice(trouble))
        return
    st.rerun(scope="fragment")
