"""Choose any coin that CoinGecko lists."""

from __future__ import annotations

import streamlit as st

from services.dashboard import data
from services.dashboard.language import tr
from services.dashboard.text import unique_coin_names


def choose_coin(key: str, label: str) -> str | None:
    """Show the choice of a coin and return its id, also in the session state as `{key}_id`.

    The list has the best-ranked coins. Another text that the viewer types is looked up among all
    listed coins, and a second list offers what was found. A coin's id may be set as `key` before.
    """
    names = unique_coin_names(data.list_coins() or [])
    typed = st.session_state.get(key)
    if typed and typed not in names:
        names[typed] = typed
    typed = st.selectbox(
        label,
        list(names),
        index=None,
        format_func=lambda coin_id: names.get(coin_id, coin_id),
        key=key,
        placeholder=tr("type a name or symbol"),
        accept_new_options=True,
    )
    coin_id = typed if typed is None or names.get(typed, typed) != typed else _look_up(key, typed)
    st.session_state[f"{key}_id"] = coin_id
    return coin_id


def _look_up(key: str, text: str) -> str | None:
    """Return the coin that the viewer means by a text that is not in the list."""
    found = data.get_content("/coins/listed", search=text)
    coins = found["items"] if found else []
    if any(coin["coin_id"] == text for coin in coins):
        return text
    if not coins:
        st.caption(tr("CoinGecko lists no such coin."))
        return None
    names = unique_coin_names(coins)
    chosen: str | None = st.selectbox(
        tr("Which one?"),
        list(names),
        format_func=lambda coin_id: names[coin_id],
        key=f"{key}_found",
    )
    return chosen
