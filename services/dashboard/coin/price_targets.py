"""The price targets of a coin: a form with a preview before it saves, and the list."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

import streamlit as st

from sentinel.amounts import Currency
from sentinel.analytics.price_targets import MAX_NOTE_CHARACTERS
from services.api_client import ApiUnreachable, Json, RequestRejected
from services.dashboard import data
from services.dashboard.coin.price_target_texts import (
    describe_preview,
    describe_target,
    format_state,
)
from services.dashboard.elements.cells import badge_cell
from services.dashboard.elements.number_input import format_for_api, parse_number
from services.dashboard.elements.options import show_options
from services.dashboard.elements.table import Column, Row, show_table
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown

PATH = "/price-targets"
SHOWN_TARGETS = 50


@st.fragment(run_every=data.REFRESH_SECONDS)
def show_price_targets(coin_id: str) -> None:
    """Show the targets of a coin, and a button that opens the form."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(tr("Price targets"), width="content")
        with st.popover(tr("New target"), icon=":material/add:", type="tertiary"):
            _show_form(coin_id)
    _show_targets(coin_id)


# --- the form --------------------------------------------------------------------------------


def _show_form(coin_id: str) -> None:
    if st.session_state.get("target_coin", coin_id) != coin_id:
        _clear_form()  # what was typed for another coin
    st.session_state["target_coin"] = coin_id
    with st.form("price_target", border=False):
        _show_fields()
        st.form_submit_button(tr("Preview"), on_click=_preview, args=(coin_id,))
    state = st.session_state.get("target_preview")
    if state and state["request"]["coin_id"] == coin_id:
        _show_preview(data.current_formatter(), state["request"], state["preview"])
    is_done, message = st.session_state.pop("target_outcome", (True, ""))
    if message:
        (st.success if is_done else st.error)(message)


def _show_fields() -> None:
    left, right = st.columns([3, 2])
    left.text_input(tr("Price"), key="target_price", placeholder=tr("the price that you wait for"))
    currencies = ["USD", "IDR"]
    own = currencies.index(data.current_formatter().currency)
    right.selectbox(tr("Currency"), currencies, index=own, key="target_currency")
    directions = {"above": tr("rise to it"), "below": tr("fall to it")}
    show_options(
        tr("The price has to"),
        directions,
        "target_direction",
        help=tr("Choose none, and it follows from the price now."),
    )
    left, right = st.columns([3, 2])
    left.text_input(tr("Note"), key="target_note", max_chars=MAX_NOTE_CHARACTERS)
    right.date_input(
        tr("Until"), value=None, key="target_until", format="YYYY-MM-DD", help=tr("The last day.")
    )
    st.checkbox(
        tr("Repeat"),
        key="target_repeats",
        help=tr("Fire again after the price has returned, not once."),
    )


def _preview(coin_id: str) -> None:
    """Ask the API for the preview of what the viewer entered, before the page is drawn again."""
    st.session_state.pop("target_preview", None)
    try:
        request = _read_form(data.current_formatter(), coin_id)
        preview = data.api_client().send("POST", f"{PATH}/preview", request)
    except ValueError as error:
        _note(is_done=False, message=escape_markdown(error, MAX_SENTENCE_CHARACTERS))
    except (ApiUnreachable, RequestRejected) as error:
        _note(is_done=False, message=data.describe_error(error))
    else:
        # What is saved is what was previewed: the direction included, if the price moves meanwhile.
        request["direction"] = preview["direction"]
        st.session_state["target_preview"] = {"request": request, "preview": preview}


def _read_form(formatter: Formatter, coin_id: str) -> dict[str, object]:
    """Return the request for what the viewer entered. Raises ValueError with a message for them."""
    currency: Currency = "IDR" if st.session_state["target_currency"] == "IDR" else "USD"
    price = parse_number(st.session_state["target_price"], formatter.language, currency)
    if not price:
        raise ValueError(tr("Enter a price first."))
    until: date | None = st.session_state["target_until"]
    end = until and datetime.combine(until + timedelta(days=1), time(), formatter.zone)
    return {
        "coin_id": coin_id,
        "price": format_for_api(price),
        "currency": currency.lower(),
        "direction": st.session_state["target_direction"],
        "repeats": st.session_state["target_repeats"],
        "expires_at": end.isoformat() if end else None,
        "note": st.session_state["target_note"].strip(),
        "source": "dashboard",
    }


def _show_preview(formatter: Formatter, request: Json, preview: Json) -> None:
    """Show what the target would have done, and the buttons that save or drop it."""
    title = escape_markdown(describe_target(request))
    text = escape_markdown(describe_preview(formatter, request, preview), MAX_SENTENCE_CHARACTERS)
    st.info(f"**{title}**\n\n{text}")
    with st.container(horizontal=True):
        st.button(tr("Save"), type="primary", on_click=_save, args=(request,))
        st.button(tr("Do not save"), on_click=_drop_preview)


def _drop_preview() -> None:
    st.session_state.pop("target_preview", None)


def _save(request: Mapping[str, object]) -> None:
    try:
        added = data.api_client().send("POST", PATH, request)
    except (ApiUnreachable, RequestRejected) as error:
        _note(is_done=False, message=data.describe_error(error))
        return
    del st.session_state["target_preview"]
    _clear_form()
    text = tr("Saved: {target}", target=describe_target(added))
    _note(is_done=True, message=escape_markdown(text))


def _clear_form() -> None:
    st.session_state["target_price"] = st.session_state["target_note"] = ""


def _note(*, is_done: bool, message: str) -> None:
    st.session_state["target_outcome"] = (is_done, message)


# --- the list --------------------------------------------------------------------------------


def _show_targets(coin_id: str) -> None:
    formatter = data.current_formatter()
    page = data.fetch(PATH, coin_id=coin_id, limit=SHOWN_TARGETS)
    if page is None:
        return
    columns = [
        Column("target", tr("Target")),
        Column("state", tr("State"), "badge"),
        Column("delete", tr("Actions"), "actions"),
    ]
    action = show_table(
        "price_targets_of_coin",
        tr("Price targets"),
        columns,
        [_build_row(formatter, target) for target in page["items"]],
        empty=tr("No price targets. A message is sent when the price reaches one."),
    )
    if action:
        _delete(int(action.row_id))


def _build_row(formatter: Formatter, target: Json) -> Row:
    is_open = target["state"] == "open"
    state = badge_cell(is_open, tr("Open") if is_open else tr("Done"), "ok" if is_open else "muted")
    return Row(
        str(target["target_id"]),
        [
            {"text": describe_target(target), "note": format_state(formatter, target)},
            state,
            [{"action": "delete", "label": tr("Delete")}],
        ],
        name=describe_target(target),
    )


def _delete(target_id: int) -> None:
    try:
        data.api_client().send("DELETE", f"{PATH}/{target_id}")
    except (ApiUnreachable, RequestRejected) as error:
        st.error(data.describe_error(error))
        return
    st.rerun(scope="fragment")
