"""Widgets whose value is kept in the page's address, for reloads, links and the back button.

Each widget gets its current value as the default too: a browser that builds a widget anew sends its
default, and the viewer's choice would be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import streamlit as st

from services.dashboard.elements.options import show_options

StateT = TypeVar("StateT")


def choose(name: str, options: Mapping[str, str], *, label: str, default: str | None = None) -> str:
    """Show buttons, one of which is chosen, and return its key; the first one by default."""
    default = default if default is not None else next(iter(options))
    value = _follow_address(name, {key: key for key in options}, default)
    chosen = show_options(
        label,
        options,
        f"choose_{name}",
        default=value,
        required=True,
        label_visibility="collapsed",
    )
    _write_address(name, chosen, default)
    return str(chosen)


def choose_from_list(
    name: str, options: Mapping[str, str], *, label: str, none_text: str
) -> str | None:
    """Show a list that filters while the viewer types; the first entry means None."""
    texts = {"": none_text, **options}
    keys = list(texts)
    value = _follow_address(name, {key: key for key in keys}, "")
    chosen = st.selectbox(
        label,
        keys,
        format_func=lambda key: texts.get(key, key),
        key=f"choose_{name}",
        index=keys.index(value),
        label_visibility="collapsed",
        width=240,
    )
    _write_address(name, chosen, "")
    return chosen or None


def switch(name: str, label: str, *, default: bool = False) -> bool:
    """Show a checkbox and return whether it is checked; in the address it is 1 or 0."""
    default_value = "1" if default else "0"
    is_on = _follow_address(name, {"0": False, "1": True}, default_value)
    is_on = st.checkbox(label, key=f"choose_{name}", value=is_on)
    _write_address(name, "1" if is_on else "0", default_value)
    return is_on


def _follow_address(name: str, states: Mapping[str, StateT], default: str) -> StateT:
    """Return the widget's state: the address's, if a link or the back button has changed it.

    `states` has the widget's state by the value in the address.
    """
    key, value = f"choose_{name}", st.query_params.get(name, default)
    if value not in states:
        value = default
    is_unknown = st.session_state.get(key) not in states.values()
    if is_unknown or value != st.session_state.get(f"addressed_{name}"):
        st.session_state[key] = states[value]
    st.session_state[f"addressed_{name}"] = value
    state: StateT = st.session_state[key]
    return state


def _write_address(name: str, value: str | None, default: str | None) -> None:
    if value is None or value == default:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = value
    st.session_state[f"addressed_{name}"] = value
