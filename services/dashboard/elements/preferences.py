"""The viewer's language, currency, time zone and privacy: from the address, a cookie or a default.

The address wins for one visit: `?language=id`. What the viewer chooses is kept in a cookie, so that
another tab begins with it, in its very first paint.
"""

from __future__ import annotations

from typing import Any, get_args
from urllib.parse import parse_qsl, quote, unquote, urlencode

import streamlit as st

from sentinel.amounts import Currency, Language
from services.dashboard import data
from services.dashboard.elements.options import show_options
from services.dashboard.formatting import list_time_zones
from services.dashboard.language import tr

COOKIE = "sentinel_preferences"
COOKIE_SECONDS = 365 * 86_400
LANGUAGES: dict[Language, str] = {"en": "English", "id": "Bahasa Indonesia"}
NAMES = ("language", "currency", "zone", "hide_amounts")
# The preferences just chosen, while the page is drawn that follows.
_CHANGED = "preferences_changed"


def load() -> None:
    """Put the preferences into the session, before anything is drawn."""
    if "hide_amounts" in st.session_state:
        return
    kept = read_cookie(st.context.cookies.get(COOKIE, ""))
    for name, known in _list_values().items():
        for source in (st.query_params.get(name), kept.get(name)):
            if source in known:
                st.session_state[name] = source
                break
        else:
            st.session_state[name] = known[0]
    st.session_state["hide_amounts"] = st.session_state["hide_amounts"] == "true"


def _list_values() -> dict[str, list[str]]:
    """Return the values of each preference, the default first."""
    options = data.monitor_settings().options
    first: Language = options.language
    return {
        "language": sorted(get_args(Language), key=lambda language: language != first),
        "currency": list(get_args(Currency)),
        "zone": list_time_zones(options.time_zone, st.context.timezone),
        "hide_amounts": ["false", "true"],
    }


def show() -> None:
    """Show the widgets of the preferences."""
    # Without persist_state a widget loses its value when the viewer opens another page.
    keep: dict[str, Any] = {"persist_state": "session", "on_change": _remember}
    show_options(tr("Language"), LANGUAGES, "language", required=True, args=("language",), **keep)
    st.segmented_control(
        tr("Currency"),
        get_args(Currency),
        key="currency",
        required=True,
        args=("currency",),
        **keep,
    )
    st.selectbox(tr("Time zone"), _list_values()["zone"], key="zone", args=("zone",), **keep)
    st.toggle(tr("Hide my amounts"), key="hide_amounts", args=("hide_amounts",), **keep)
    if changes := st.session_state.pop(_CHANGED, None):
        st.html(_write_cookie(changes), unsafe_allow_javascript=True)


def _remember(name: str) -> None:
    """Keep a preference that the viewer chose, and let the address no longer contradict it."""
    value = st.session_state[name]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    st.session_state.setdefault(_CHANGED, {})[name] = text
    st.query_params.pop(name, None)


def read_cookie(text: str) -> dict[str, str]:
    """Return the preferences of a cookie, which anyone may have written."""
    return {name: value for name, value in parse_qsl(unquote(text)) if name in NAMES}


def _write_cookie(changes: dict[str, str]) -> str:
    """Return the script that keeps the preferences. Quoted twice, they end no string or script.

    It changes the cookie as it is now: another tab may have kept other preferences meanwhile.
    """
    quoted = quote(urlencode(changes), safe="")
    return f"""<script>{{
const found = document.cookie.match(/(?:^|; ){COOKIE}=([^;]*)/)
const kept = new URLSearchParams(decodeURIComponent(found ? found[1] : ''))
new URLSearchParams(decodeURIComponent('{quoted}')).forEach((value, name) => kept.set(name, value))
document.cookie = '{COOKIE}=' + encodeURIComponent(kept) + '; path=/; max-age={COOKIE_SECONDS}; ' +
  'SameSite=Strict' + (location.protocol === 'https:' ? '; Secure' : '')
}}</script>"""
