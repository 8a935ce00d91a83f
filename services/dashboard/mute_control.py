"""The control on the coin page that mutes a coin, or ends its mute."""

from __future__ import annotations

import streamlit as st

from services.api_client import ApiUnreachable, Json, RequestRejected, quote_segment
from services.dashboard import data
from services.dashboard.formatting import Formatter

HOURS = {"1 hour": 1, "8 hours": 8, "1 day": 24, "1 week": 168, "30 days": 720}


def show_mute_control(formatter: Formatter, coin: Json) -> None:
    """Show until when the coin is muted, with a button to end it; otherwise a choice of times."""
    if problem := st.session_state.pop("mute_problem", None):
        st.error(problem)
    if coin["muted_until"]:
        st.markdown(
            f":material/notifications_off: Muted until {formatter.time(coin['muted_until'])}."
        )
        st.button("Unmute", on_click=_send, args=("DELETE", coin["coin_id"]))
        return
    st.selectbox(
        "Mute this coin for",
        list(HOURS),
        index=None,
        key="mute_for",
        placeholder="not muted",
        help="Alerts of a muted coin are recorded and not sent. Price targets still arrive.",
        on_change=_mute,
        args=(coin["coin_id"],),
    )


def _mute(coin_id: str) -> None:
    chosen = st.session_state.pop("mute_for", None)
    if chosen:
        _send("POST", coin_id, {"hours": HOURS[chosen]})


def _send(method: str, coin_id: str, content: Json | None = None) -> None:
    """Send the change before the page is drawn again."""
    try:
        data.api_client().send(method, f"/coins/{quote_segment(coin_id)}/mute", content)
    except (ApiUnreachable, RequestRejected) as error:
        st.session_state["mute_problem"] = data.describe_error(error)
