"""The pipeline: delivered slots, quotas, rejected entries, inactive coins, processes, backups."""

from __future__ import annotations

from html import escape

import streamlit as st

from services.api_client import Json
from services.dashboard import data
from services.dashboard.elements.address import choose_from_list
from services.dashboard.elements.table import Action
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr
from services.dashboard.pipeline import quarantine_dialog
from services.dashboard.pipeline.figures import (
    describe_coverage,
    describe_pause,
    describe_registry,
    draw_backup,
    draw_checks,
    draw_quotas,
    draw_services,
)
from services.dashboard.pipeline.rejections import name_reason, show_entries, show_reasons
from services.dashboard.pipeline.slot_strips import draw_days, draw_legend, draw_slots
from services.dashboard.pipeline.tables import show_gaps, show_inactive_coins, show_runs
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown

# The action that the viewer chose for rejected entries, until the dialog opens.
CHOSEN = "quarantine_action"


def show() -> None:
    """Show the page. Its dialog stands outside the part that refreshes, which would close it."""
    chosen = st.session_state.pop(CHOSEN, None)
    if chosen:
        quarantine_dialog.open_dialog(*chosen)
    _show_outcome()
    _show_content()


def _show_outcome() -> None:
    # The container is always there: the browser builds what follows anew if it moves.
    with st.container(horizontal=True, vertical_alignment="center", key="message"):
        outcome = st.session_state.get(quarantine_dialog.OUTCOME)
        if not outcome:
            return
        st.markdown(escape_markdown(outcome, MAX_SENTENCE_CHARACTERS))
        if st.button(tr("Close"), type="tertiary"):
            del st.session_state[quarantine_dialog.OUTCOME]
            st.rerun()


@st.fragment(run_every=data.REFRESH_SECONDS)
def _show_content() -> None:
    formatter = data.current_formatter()
    pipeline = _fetch(st.query_params.get("reason"))
    if pipeline is None:
        return
    # In a wide window the stylesheet puts the second one beside the others.
    with st.container(key="pipeline"):
        with st.container():
            _show_slots(formatter, pipeline)
        with st.container(key="pipeline_state"):
            _show_state(formatter, pipeline)
        with st.container():
            _show_quarantine(formatter, pipeline)
            show_gaps(formatter, pipeline["gaps"])
            show_inactive_coins(formatter, pipeline["registry"]["coins"])
            st.caption(escape_markdown(describe_registry(formatter, pipeline["registry"]), 200))
            show_runs(formatter, pipeline["runs"])


def _fetch(reason: str | None) -> Json | None:
    """Return the content of the page, with the rejected entries of a reason or of all."""
    query: dict[str, str | int | list[str]] = {"reason": reason} if reason else {}
    pipeline: Json | None = data.fetch("/pipeline", **query)
    return pipeline


def _show_slots(formatter: Formatter, pipeline: Json) -> None:
    """Show the strips, or what they wait for."""
    schedule, slots = pipeline["schedule"], pipeline["slots"]
    if schedule is None or slots is None:
        st.html(_section(tr("Slots"), f"<p>{escape(tr('The first run fills this strip.'))}</p>"))
        return
    week, days = schedule["totals"]
    title = tr("Slots of {minutes} min, 7 days", minutes=f"{slots['slot_minutes']:.0f}")
    notes = [
        describe_pause(formatter, week),
        describe_coverage(formatter, pipeline["coverage"]),
    ]
    st.html(_draw_strip(formatter, title, week, draw_slots(formatter, slots), " ".join(notes)))
    title, strip = tr("Slots by UTC day, 60 days"), draw_days(formatter, schedule["days"])
    st.html(_draw_strip(formatter, title, days, strip, describe_pause(formatter, days)))


def _draw_strip(formatter: Formatter, title: str, totals: Json, strip: str, note: str) -> str:
    legend = draw_legend(formatter, totals)
    return _section(title, f'{legend}{strip}<p class="ms-muted">{escape(note)}</p>')


def _section(title: str, content: str) -> str:
    return f'<section class="ms-section"><h3>{escape(title)}</h3>{content}</section>'


def _show_quarantine(formatter: Formatter, pipeline: Json) -> None:
    groups = pipeline["quarantine"]
    action = show_reasons(formatter, groups)
    if action:
        label = name_reason(action.row_id)
        _choose(action, {"reason": action.row_id}, label)
    if not any(group["open"] for group in groups):
        return
    reasons = {group["reason"]: name_reason(group["reason"]) for group in groups if group["open"]}
    shown = st.query_params.get("reason")
    reason = choose_from_list("reason", reasons, label=tr("Reason"), none_text=tr("All reasons"))
    chosen = _fetch(reason) if reason != shown else pipeline
    entries = chosen["rejections"] if chosen else []
    action = show_entries(formatter, entries)
    if action:
        # An entry that another window closed since the click is not found.
        for entry in (e for e in entries if e["id"] == action.row_id):
            label = f"{entry['name'] or entry['coin_id']}: {name_reason(entry['reason'])}"
            _choose(action, {"ids": [entry["id"]]}, label)


def _choose(action: Action, selection: Json, label: str) -> None:
    st.session_state[CHOSEN] = (action.action, selection, label)
    st.rerun()


def _show_state(formatter: Formatter, pipeline: Json) -> None:
    """Show the column of figures."""
    for title, content in (
        (tr("Health"), draw_checks(pipeline["health"]["checks"])),
        (tr("Free quotas, this month"), draw_quotas(formatter, pipeline)),
        (tr("Processes"), draw_services(formatter, pipeline["services"])),
        (tr("Backups"), draw_backup(formatter, pipeline["backup"])),
    ):
        st.html(_section(title, content))
    st.markdown(f"[{tr('Public status page: 60 days, incidents, market')}](/status/)")
