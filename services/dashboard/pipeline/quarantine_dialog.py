"""The dialog that replays or discards rejected entries: first it says what that would do."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from services.api_client import ApiUnreachable, Json, RequestRejected
from services.dashboard import data
from services.dashboard.language import tr
from services.dashboard.pipeline.rejections import DISCARD, REPLAY, name_reason
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown

PATHS = {REPLAY: "/rejections/replay", DISCARD: "/rejections/discard"}
NOTE = "discard_note"
MAX_NOTE_CHARACTERS = 500
# What the last replay or discard did, until the viewer closes it.
OUTCOME = "quarantine_outcome"


def open_dialog(action: str, selection: Mapping[str, object], label: str) -> None:
    """Open the dialog for the open entries of a selection; `label` is what the viewer chose."""
    st.session_state.pop(NOTE, None)
    title = tr("Replay rejected entries") if action == REPLAY else tr("Discard rejected entries")
    st.dialog(title, width="medium")(_show)(action, selection, label)


def _show(action: str, selection: Mapping[str, object], label: str) -> None:
    st.markdown(f"**{escape_markdown(label, MAX_SENTENCE_CHARACTERS)}**")
    preview = _send(action, selection, is_dry_run=True)
    if preview is None:
        return
    would, count = describe_preview(action, preview)
    st.markdown(escape_markdown(would, MAX_SENTENCE_CHARACTERS))
    if action == DISCARD:
        st.text_input(
            tr("Note"),
            key=NOTE,
            max_chars=MAX_NOTE_CHARACTERS,
            placeholder=tr("why, kept with the entries"),
        )
    label = (
        tr("Replay ({count})", count=count)
        if action == REPLAY
        else tr("Discard ({count})", count=count)
    )
    with st.container(horizontal=True):
        if st.button(label, type="primary", disabled=not count):
            _apply(action, selection)
        if st.button(tr("Cancel")):
            st.rerun()


def _apply(action: str, selection: Mapping[str, object]) -> None:
    done = _send(action, selection, is_dry_run=False)
    if done is not None:
        st.session_state[OUTCOME] = describe_outcome(action, done)
        st.rerun()


def _send(action: str, selection: Mapping[str, object], *, is_dry_run: bool) -> Json | None:
    """Send the request; show why it was refused and return None."""
    request = dict(selection) | {"dry_run": is_dry_run}
    if action == DISCARD and st.session_state.get(NOTE):
        request["note"] = st.session_state[NOTE]
    try:
        response: Json = data.api_client().send("POST", PATHS[action], request)
    except (ApiUnreachable, RequestRejected) as error:
        st.error(data.describe_error(error))
        return None
    return response


def describe_preview(action: str, preview: Json) -> tuple[str, int]:
    """Return what a replay or a discard would do, and with how many entries."""
    if action == DISCARD:
        count = preview["discarded"]
        text = tr("Entries to close for good: {count}. No replay loads them.", count=count)
        return text, count
    loaded, before = preview["loaded"], preview["stored_before"]
    refused = sum(preview["refused"].values())
    if not loaded + before:
        text = tr("Today's validation accepts none of them ({count}).", count=refused)
        return f"{text} {_list_refused(preview)}".rstrip(), 0
    text = tr(
        "Prices to store: {loaded}, stored already: {before}, entries that stay open: {refused}.",
        loaded=loaded,
        before=before,
        refused=refused,
    )
    return f"{text} {_list_refused(preview)}".rstrip(), loaded + before


def describe_outcome(action: str, done: Json) -> str:
    """Return what a replay or a discard did."""
    if action == DISCARD:
        return tr("Entries discarded: {count}.", count=done["discarded"])
    return tr(
        "Prices stored: {loaded}, stored before: {before}, entries that stay open: {refused}.",
        loaded=done["loaded"],
        before=done["stored_before"],
        refused=sum(done["refused"].values()),
    )


def _list_refused(preview: Json) -> str:
    """Return why entries would stay open: Stays open: 3 the price is negative."""
    if not preview["refused"]:
        return ""
    reasons = "; ".join(f"{name_reason(r)}: {count}" for r, count in preview["refused"].items())
    return tr("Refused: {reasons}.", reasons=reasons)
