"""Widgets whose value is kept in the page's address, for reloads, links and the back button."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import streamlit as st

from services.dashboard.elements.options import show_options


def choose(name: str, options: Mapping[str, str], *, label: str, default: str | None = None) -> str:
    """Show buttons, one of which is chosen, and return its key; the first one by default."""
    default = default if default is not None else next(iter(options))
    _follow_address(name, options, default)
    chosen = show_options(
        label, options, f"choose_{name}", required=True, label_visibility="collapsed"
    )
    _write_address(name, chosen, default)
    return str(chosen)


def choose_from_list(
    name: str, options: Mapping[str, str], *, label: str, placeholder: str
) -> str | None:
    """Show a list that filters while the viewer types, and return the chosen key or None."""
    _follow_address(name, options, None)
    chosen = st.selectbox(
        label,
        list(options),
        format_func=lambda key: options.get(key, key),
        key=f"choose_{name}",
        index=None,
        placeholder=placeholder,
        label_visibility="collapsed",
        width=240,
    )
    _write_address(name, chosen, None)
    return chosen


def switch(name: str, label: str, *, default: bool = False) -> bool:
    """Show a checkbox and return whether it is checked; in the address it is 1 or 0."""
    default_value = "1" if default else "0"
    _follow_address(name, ("0", "1"), default_value, lambda value: value == "1")
    is_on = st.checkbox(label, key=f"choose_{name}")
    _write_address(name, "1" if is_on else "0", default_value)
    return is_on


def _follow_address(
    name: str,
    options: Collection[str],
    default: str | None,
    convert: Callable[[str | None], object] = lambda value: value,
) -> None:
    """Take over the address if a link, a reload or the back button has changed it."""
    addressed = st.query_params.get(name)
    value = addressed if addressed in options else default
    is_new = f"choose_{name}" not in st.session_state
    if is_new or value != st.session_state.get(f"addressed_{name}"):
        st.session_state[f"choose_{name}"] = convert(value)
    st.session_state[f"addressed_{name}"] = value


def _write_address(name: str, value: str | None, default: str | None) -> None:
    if value is None or value == default:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = value
    st.session_state[f"addressed_{name}"] = value
