"""The control on the coin page that mutes a coin, or ends its mute."""

from __future__ import annotations

import streamlit as st

from services.api_client import ApiUnreachable, Json, RequestRejected, quote_segment
from services.dashboard import data
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr

HOURS = (1, 8, 24, 168, 720)


def show_mute_control(formatter: Formatter, coin: Json) -> None:
    """Show until when the coin is muted, with a button to end it; otherwise a choice of times."""
    if problem := st.session_state.pop("mute_problem", None):
        st.error(problem)
    coin_id = coin["coin_id"]
    if coin["muted_until"]:
        text = tr("Muted until {time}.", time=formatter.time(coin["muted_until"]))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/notifications_off: {text}", width="content")
            st.button(tr("Unmute"), on_click=_send, args=("DELETE", coin_id))
        return
    names = dict(zip(HOURS, _name_periods(), strict=True))
    st.selectbox(
        tr("Mute this coin for"),
        HOURS,
        index=None,
        key="mute_for",
        format_func=lambda hours: names[hours],
        placeholder=tr("Mute alerts for …"),
        label_visibility="collapsed",
        help=tr("Alerts of a muted coin are recorded and not sent. Price targets still arrive."),
        on_change=_mute,
        args=(coin_id,),
        width=180,
    )


def _name_periods() -> list[str]:
    return [tr("1 hour"), tr("8 hours"), tr("1 day"), tr("1 week"), tr("30 days")]


def _mute(coin_id: str) -> None:
    chosen = st.session_state.pop("mute_for", None)
    if chosen:
        _send("POST", coin_id, {"hours": chosen})


def _send(method: str, coin_id: str, content: Json | None = None) -> None:
    """Send the change before the page is drawn again."""
    try:
        data.api_client().send(method, f"/coins/{quote_segment(coin_id)}/mute", content)
    except (ApiUnreachable, RequestRejected) as error:
        st.session_state["mute_problem"] = data.describe_error(error)
