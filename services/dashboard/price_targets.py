"""The price targets of a coin: a form with a preview before it saves, and the list."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

import streamlit as st

from sentinel import amounts
from sentinel.amounts import Currency, Language
from sentinel.analytics.price_targets import MAX_NOTE_CHARACTERS
from services.api_client import ApiUnreachable, Json, RequestRejected
from services.dashboard import data
from services.dashboard.formatting import HIDDEN, Formatter
from services.dashboard.number_input import format_for_api, parse_number
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown, format_age

PATH = "/price-targets"
DIRECTIONS = {"above": "rise to it", "below": "fall to it"}
SHOWN_CROSSINGS = 5
SHOWN_TARGETS = 50


@st.fragment(run_every=data.REFRESH_SECONDS)
def show_price_targets(coin_id: str) -> None:
    """Show the form and the targets of a coin."""
    st.subheader("Price targets")
    left, right = st.columns(2)
    with left:
        _show_form(coin_id)
    with right:
        _show_targets(coin_id)


# --- the form --------------------------------------------------------------------------------


def _show_form(coin_id: str) -> None:
    with st.form("price_target", border=False):
        _show_fields()
        st.form_submit_button("Preview", on_click=_preview, args=(coin_id,))
    state = st.session_state.get("target_preview")
    if state and state["request"]["coin_id"] == coin_id:
        _show_preview(data.current_formatter(), state["request"], state["preview"])
    is_done, message = st.session_state.pop("target_outcome", (True, ""))
    if message:
        (st.success if is_done else st.error)(message)


def _show_fields() -> None:
    left, right = st.columns([3, 2])
    left.text_input("Price", key="target_price", placeholder="the price that you wait for")
    currencies = ["USD", "IDR"]
    own = currencies.index(data.current_formatter().currency)
    right.selectbox("Currency", currencies, index=own, key="target_currency")
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    left.segmented_control(
        "The price has to",
        list(DIRECTIONS),
        format_func=lambda direction: DIRECTIONS[direction],
        key="target_direction",
        help="Choose none, and it follows from the price now.",
    )
    right.checkbox(
        "Repeat", key="target_repeats", help="Fire again after the price has returned, not once."
    )
    left, right = st.columns([3, 2])
    left.text_input("Note", key="target_note", max_chars=MAX_NOTE_CHARACTERS)
    right.date_input(
        "Until", value=None, key="target_until", format="YYYY-MM-DD", help="The last day."
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
        raise ValueError("Enter a price first.")
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
    st.info(f"**{describe_target(request)}**\n\n{describe_preview(formatter, request, preview)}")
    save, drop = st.columns(2)
    save.button("Save", type="primary", width="stretch", on_click=_save, args=(request,))
    if drop.button("Do not save", width="stretch"):
        del st.session_state["target_preview"]
        st.rerun(scope="fragment")


def _save(request: Mapping[str, object]) -> None:
    try:
        added = data.api_client().send("POST", PATH, request)
    except (ApiUnreachable, RequestRejected) as error:
        _note(is_done=False, message=data.describe_error(error))
        return
    del st.session_state["target_preview"]
    st.session_state["target_price"] = st.session_state["target_note"] = ""
    _note(is_done=True, message=f"Saved: {describe_target(added)}")


def _note(*, is_done: bool, message: str) -> None:
    st.session_state["target_outcome"] = (is_done, message)


# --- texts -----------------------------------------------------------------------------------


def describe_target(target: Json, language: Language = "en") -> str:
    """Return the line of a target, and how often it fires, as Markdown."""
    currency: Currency = "IDR" if target["currency"] == "idr" else "USD"
    line = amounts.format_price(target["price"], currency, language)
    often = "each time" if target["repeats"] else "once"
    return f"At or {target['direction']} {escape_markdown(line)}, {often}"


def describe_preview(formatter: Formatter, target: Json, preview: Json) -> str:
    """Return when a target would have fired, as Markdown."""
    texts = []
    if preview["is_reached"]:
        texts.append("The price is there already: it has to return before the target can fire.")
    if preview["since"] is None:
        return " ".join([*texts, "No prices of this coin are stored yet."])
    age = format_age(formatter.now - datetime.fromisoformat(preview["since"]))
    crossings = [formatter.time(crossing["observed_at"]) for crossing in preview["crossings"]]
    if not crossings:
        texts.append(f"It would not have fired in the last {age}.")
    elif target["repeats"] or len(crossings) == 1:
        texts.append(
            f"It would have fired {_count(crossings)} in the last {age}: {_list(crossings)}."
        )
    else:
        texts.append(
            f"It would have fired on {crossings[0]}. The price crossed it {_count(crossings)} in "
            f"the last {age}: {_list(crossings)}."
        )
    return " ".join(texts)


def _count(crossings: list[str]) -> str:
    return "once" if len(crossings) == 1 else f"{len(crossings)} times"


def _list(crossings: list[str]) -> str:
    """Return the newest times."""
    shown = crossings[-SHOWN_CROSSINGS:]
    return ("…, " if len(shown) < len(crossings) else "") + ", ".join(shown)


def format_state(formatter: Formatter, target: Json) -> str:
    """Return what became of a target, its expiry and its note, as Markdown."""
    parts = []
    if target["fired_count"]:
        times = "" if target["fired_count"] == 1 else f" {target['fired_count']} times, last"
        parts.append(f"fired{times} {formatter.time(target['last_fired_at'])}")
    if target["state"] == "expired":
        parts.append(f"expired {formatter.time(target['expires_at'])}")
    elif target["state"] == "open":
        if target["is_armed"] is False:
            parts.append("waits until the price has returned")
        if target["expires_at"]:
            parts.append(f"until {formatter.time(target['expires_at'])}")
    if target["note"]:
        note = HIDDEN if formatter.hide_amounts else target["note"]
        parts.append(escape_markdown(note, MAX_NOTE_CHARACTERS))
    return " · ".join(parts)


# --- the list --------------------------------------------------------------------------------


def _show_targets(coin_id: str) -> None:
    formatter = data.current_formatter()
    page = data.fetch(PATH, coin_id=coin_id, limit=SHOWN_TARGETS)
    if page is None:
        return
    if not page["items"]:
        st.caption("No price targets. A message is sent when the price reaches one.")
    for target in page["items"]:
        text, button = st.columns([3, 1], vertical_alignment="center")
        badge = ":green-badge[open]" if target["state"] == "open" else ":gray-badge[done]"
        lines = [f"{badge} {describe_target(target)}", format_state(formatter, target)]
        text.markdown("  \n".join(line for line in lines if line))
        with button.popover("Delete"):
            key = f"delete-target-{target['target_id']}"
            if st.button("Delete this target", key=key):
                _delete(target["target_id"])


def _delete(target_id: int) -> None:
    try:
        data.api_client().send("DELETE", f"{PATH}/{target_id}")
    except (ApiUnreachable, RequestRejected) as error:
        st.error(data.describe_error(error))
        return
    st.rerun(scope="fragment")
