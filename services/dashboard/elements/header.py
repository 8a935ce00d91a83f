"""The line at the top of every page: the market, the rupiah rate, the age of the data, health."""

from __future__ import annotations

import html
from collections.abc import Iterator

import streamlit as st

from sentinel.amounts import UNKNOWN
from services.api_client import ApiResponse, ApiUnreachable, Json, RequestRejected
from services.dashboard import data
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr, tr_count
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown

ICONS = {"warning": ":material/warning:", "unhealthy": ":material/error:"}
PARAGRAPH_BREAK = "\n\n"


@st.fragment(run_every=data.REFRESH_SECONDS)
def show_header() -> None:
    """Show the line, and below it why the page shows old data or which checks are not well."""
    formatter = data.current_formatter()
    try:
        response = data.get_summary()
    except (ApiUnreachable, RequestRejected) as error:
        st.error(data.describe_error(error), icon=data.OFFLINE_ICON)
        return
    st.html(_format_line(formatter, response))
    if response.problem:
        _show_outage(formatter, response)
    elif response.content["newest_observation"] is None:
        _show_empty(response.content)
    else:
        _show_problems(response.content)


def _format_line(formatter: Formatter, response: ApiResponse) -> str:
    """Return the line as HTML."""
    summary = response.content
    figures = "".join(
        f'<span class="ms-label">{html.escape(label)} <b>{html.escape(text)}</b></span>'
        for label, text in _list_figures(formatter, summary)
    )
    tone, state = _describe_age(formatter, response)
    badge = f'<span class="ms-badge ms-{tone}">{html.escape(state)}</span>'
    return f'<div class="ms-header" data-testid="sentinel-header">{figures}{badge}</div>'


def _list_figures(formatter: Formatter, summary: Json) -> Iterator[tuple[str, str]]:
    if summary["market_cap_usd"] is not None:
        label = tr("Market cap, {count} coins", count=summary["coins"])
        yield label, formatter.compact_amount(summary["market_cap_usd"])
        yield tr("BTC share"), formatter.percent(summary["bitcoin_share"], signed=False)
    rate = summary["idr_per_usd"]
    if rate is not None or summary["newest_observation"] is not None:
        yield tr("1 USD"), UNKNOWN if rate is None else formatter.rupiah(rate)


def _describe_age(formatter: Formatter, response: ApiResponse) -> tuple[str, str]:
    """Return the tone of the badge and its text: the age of the newest price."""
    newest = response.content["newest_observation"]
    if newest is None:
        return "muted", tr("no prices yet")
    age = formatter.age(newest)
    if response.problem:
        return "unhealthy", tr("API down, prices {age} old", age=age)
    if data.has_old_prices():
        text = tr_count(
            "{count} run missed, prices {age} old",
            "{count} runs missed, prices {age} old",
            response.content["missed_runs"],
            age=age,
        )
        return "warning", text
    return "ok", tr("live, {age} old", age=age)


def _show_outage(formatter: Formatter, response: ApiResponse) -> None:
    message = escape_markdown(response.problem, MAX_SENTENCE_CHARACTERS)
    if response.content["newest_observation"] is not None:
        message += " " + tr(
            "This page shows the data of {time} ({age} ago).",
            time=formatter.time(response.fetched_at),
            age=formatter.age(response.fetched_at),
        )
    st.error(message, icon=data.OFFLINE_ICON)


def _show_empty(summary: Json) -> None:
    reason = " ".join(problem["message"] for problem in summary["problems"][:1])
    st.info(
        tr("Nothing to show yet.")
        + f" {escape_markdown(reason, MAX_SENTENCE_CHARACTERS)} "
        + tr("After `make up`, the first prices arrive within a minute."),
        icon=":material/hourglass_top:",
    )


def _show_problems(summary: Json) -> None:
    """Show the checks that are not well, a paragraph each. The badge has the age of the prices."""
    problems = [problem for problem in summary["problems"] if problem["name"] != data.FRESHNESS]
    if problems:
        messages = [escape_markdown(p["message"], MAX_SENTENCE_CHARACTERS) for p in problems]
        show = st.error if problems[0]["state"] == "unhealthy" else st.warning
        show(PARAGRAPH_BREAK.join(messages), icon=ICONS[problems[0]["state"]])
