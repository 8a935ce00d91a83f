"""Choose a wallet of the portfolio, or name a new one."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from services.dashboard import data
from services.dashboard.language import tr


def choose_wallet(place: DeltaGenerator, label: str, key: str) -> str:
    """Show the wallets and return the name of the chosen one, empty for the main wallet."""
    wallets = data.get_content("/portfolio/wallets")
    names = {each["wallet"] for each in wallets["items"]} if wallets else set()
    # A new name is in the list only after a transaction was saved.
    names.add(st.session_state.get(key) or "")
    chosen = place.selectbox(
        label,
        sorted(names - {""}),
        index=None,
        key=key,
        placeholder=tr("main wallet; type a new name"),
        accept_new_options=True,
    )
    return chosen or ""
