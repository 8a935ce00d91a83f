"""The language of the dashboard: `tr` returns a text in the language that the viewer chose.

The English text is the key, as with gettext; `catalog_id.py` has the Indonesian ones. A test finds
every call, so the texts are constants.
"""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from sentinel.amounts import Language
from services.dashboard.catalog_id import SHARED_TEXTS, TEXTS


def current_language() -> Language:
    """Return the viewer's language; English where no page is drawn, as in tests."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return "en"
    return "id" if st.session_state.get("language") == "id" else "en"


def tr(text: str, /, **values: object) -> str:
    """Return a text in the viewer's language with its values: tr("{age} old", age="2 min")."""
    translated = TEXTS.get(text, text) if current_language() == "id" else text
    return translated.format(**values) if values else translated


def tr_shared(text: str) -> str:
    """Return a text of the pipeline, which other programs show in English, in this language."""
    return SHARED_TEXTS.get(text, text) if current_language() == "id" else text


def tr_count(one: str, many: str, /, count: int, **values: object) -> str:
    """Return a text about a number of things, the first one if there is one: {count} run(s)."""
    return tr(one if count == 1 else many, count=count, **values)
