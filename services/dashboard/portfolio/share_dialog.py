"""The dialog that creates and revokes links which show the portfolio in percentages only."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from services.api_client import ApiUnreachable, RequestRejected
from services.dashboard import data
from services.dashboard.elements.cells import time_cell
from services.dashboard.elements.table import Column, Row, show_table
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr

PATH = "/portfolio/shares"
MAX_LABEL_CHARACTERS = 50
DAYS = (7, 30, 365)


def open_dialog() -> None:
    """Open the dialog."""
    st.session_state.pop("share_path", None)
    st.dialog(tr("Share the portfolio"), width="medium")(_show)()


def _show() -> None:
    formatter = data.current_formatter()
    st.caption(
        tr(
            "Everybody with the link sees shares and returns in percent: no amounts, no "
            "quantities, no dates of transactions. It can be revoked at any time."
        )
    )
    left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
    label = left.text_input(tr("For whom"), key="share_label", max_chars=MAX_LABEL_CHARACTERS)
    days = middle.selectbox(
        tr("Valid for"),
        DAYS,
        index=None,
        format_func=lambda number: tr("{days} days", days=number),
        key="share_days",
        placeholder=tr("no end"),
    )
    if right.button(tr("Create a link"), type="primary", width="stretch"):
        _create(formatter, label, days)
    if path := st.session_state.get("share_path"):
        host = st.context.url.split("/portfolio")[0] if st.context.url else ""
        st.caption(tr("Copy the link now: it is not shown again."))
        st.code(f"{host}{path}", language=None, wrap_lines=True)
    _show_links(formatter)


def _create(formatter: Formatter, label: str, days: int | None) -> None:
    end = (formatter.now + timedelta(days=days)).isoformat() if days else None
    try:
        created = data.api_client().send("POST", PATH, {"label": label, "expires_at": end})
    except (ApiUnreachable, RequestRejected) as error:
        st.error(data.describe_error(error))
        return
    st.session_state["share_path"] = created["path"]


def _show_links(formatter: Formatter) -> None:
    found = data.get_content(PATH)
    links = found["items"] if found else []
    columns = [
        Column("label", tr("For whom")),
        Column("created", tr("Created"), "number"),
        Column("used", tr("Last opened"), "number"),
        Column("end", tr("Valid until"), "number"),
        Column("revoke", tr("Actions"), "actions"),
    ]
    rows = [
        Row(
            str(link["share_id"]),
            [
                link["label"] or "—",
                *(
                    time_cell(formatter, link[name])
                    for name in ("created_at", "last_used_at", "expires_at")
                ),
                [{"action": "revoke", "label": tr("Revoke")}],
            ],
        )
        for link in links
    ]
    action = show_table("share_links", tr("Links"), columns, rows, empty=tr("There are no links."))
    if action:
        try:
            data.api_client().send("DELETE", f"{PATH}/{action.row_id}")
        except (ApiUnreachable, RequestRejected) as error:
            st.error(data.describe_error(error))
        else:
            st.rerun(scope="fragment")
