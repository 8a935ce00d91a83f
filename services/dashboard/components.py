"""What several pages show: an alert, a gap, the change of a day, a table with a title."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from sentinel.analytics.peg import PEG_USD
from sentinel.models import describe_gap_reason
from services.api_client import Json
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr, tr_shared
from services.dashboard.text import escape_markdown

# A longer table with wrapped texts scrolls within this height, in pixels.
MAX_WRAPPED_ROWS, WRAPPED_HEIGHT = 6, 400
# As for the movers of the API: an older price is not compared with the one of 24 hours ago.
MAX_PRICE_AGE = timedelta(hours=2)
ARROWS = {"panic": ":red[▼]", "reversal": ":green[▲]"}


def compute_day_change(
    formatter: Formatter, coin: Json, prices_usd: Sequence[float | None]
) -> float | None:
    """Return a coin's move since the first price of its sparkline, 24 hours ago, as a fraction.

    None if that price is unknown or the newest price is too old.
    """
    day_ago = prices_usd[0] if prices_usd else None
    is_recent = formatter.now - datetime.fromisoformat(coin["observed_at"]) < MAX_PRICE_AGE
    return coin["price_usd"] / day_ago - 1 if day_ago and is_recent else None


def format_alert(formatter: Formatter, alert: Json) -> str:
    """Return an alert and its outcome as a line of Markdown."""
    line = tr(
        "{change} to {price}, {time} ({age} ago)",
        change=escape_markdown(_describe_move(formatter, alert)),
        price=escape_markdown(formatter.price(alert["price_usd"])),
        time=formatter.time(alert["observed_at"]),
        age=formatter.age(alert["observed_at"]),
    )
    remarks = escape_markdown(", ".join(_list_remarks(formatter, alert)))
    name = f"{ARROWS[alert['kind']]} **{escape_markdown(alert['name'])}**"
    return f"{name} {line}; {remarks}" if remarks else f"{name} {line}"


def _describe_move(formatter: Formatter, alert: Json) -> str:
    """Return a move, and from what it is measured unless that is the extreme of a day."""
    change = formatter.percent(alert["move"])
    if alert["basis"] == "peg" and alert["reference_usd"] == PEG_USD:
        return tr("{change} from $1", change=change)
    texts = {
        ("panic", "peg"): tr("{change} from its high", change=change),
        ("panic", "week"): tr("{change} from its high of the week", change=change),
        ("panic", "outage"): tr("{change} from its high before the outage", change=change),
        ("reversal", "peg"): tr("{change} from its low", change=change),
        ("reversal", "week"): tr("{change} from its low of the week", change=change),
        ("reversal", "outage"): tr("{change} from its low before the outage", change=change),
    }
    return texts.get((alert["kind"], alert["basis"]), change)


def _list_remarks(formatter: Formatter, alert: Json) -> Iterator[str]:
    if not alert["is_announced"]:
        yield tr("the coin was muted")
    if alert["after_1h"] is not None:
        yield tr("{change} an hour later", change=formatter.percent(alert["after_1h"]))
    if alert["after_24h"] is not None:
        yield tr("{change} a day later", change=formatter.percent(alert["after_24h"]))


def show_metric(
    container: DeltaGenerator,
    label: str,
    value: str,
    delta: str | None = None,
    *,
    is_old: bool = False,
) -> None:
    """Show a figure that depends on prices; in gray if they are old."""
    shown = f":gray[{escape_markdown(value)}]" if is_old else value
    container.metric(label, shown, delta, delta_color="off" if is_old else "normal")


def gap_row(formatter: Formatter, gap: Json) -> dict[str, Any]:
    """Return a gap as the row of a table."""
    return {
        tr("from"): formatter.time(gap["start"]),
        tr("to"): formatter.time(gap["stop"]),
        tr("missing"): gap["missed"],
        tr("status"): tr_shared(describe_gap_reason(gap["reason"])),
    }


def show_table(
    title: str,
    items: Sequence[Json] | None,
    build_row: Callable[[Json], Json],
    empty_message: str | None = None,
    *,
    is_old: bool = False,
    is_wrapped: bool = False,
) -> None:
    """Show items as a table below a title, in gray if they depend on old prices.

    Shows nothing if they are unknown. An empty list is shown as `empty_message`, or as an empty
    table without one. A wrapped table shows long texts whole; its cells are Markdown, so it is for
    texts of this project.
    """
    if items is None:
        return
    st.subheader(title)
    if empty_message and not items:
        st.caption(empty_message)
        return
    table = pd.DataFrame([build_row(item) for item in items])
    if is_wrapped:
        height: Any = "content" if len(items) <= MAX_WRAPPED_ROWS else WRAPPED_HEIGHT
        st.table(table, hide_index=True, height=height)
        return
    shown = table.style.set_properties(color="gray") if is_old else table
    st.dataframe(shown, hide_index=True, key=title)
