"""All alerts with their reason and outcome, the price targets, the muted coins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import streamlit as st

from services.api_client import ApiUnreachable, Json, RequestRejected, quote_segment
from services.dashboard import data
from services.dashboard.coin.alerts import list_figure_cells, name_outcomes
from services.dashboard.coin.price_target_texts import describe_target, format_state
from services.dashboard.coin.price_targets import show_price_targets
from services.dashboard.elements.address import choose, choose_from_list
from services.dashboard.elements.cells import badge_cell, time_cell
from services.dashboard.elements.table import Column, Row, show_table
from services.dashboard.formatting import Formatter
from services.dashboard.language import current_language, tr
from services.dashboard.text import unique_coin_names

# The API returns no more at once.
MAX_ALERTS = 500
DAYS = {"1d": 1, "7d": 7, "30d": 30, "60d": 60}
MUTE_HOURS = 24
MUTE, UNMUTE, DELETE = "mute", "unmute", "delete"


@st.fragment(run_every=data.REFRESH_SECONDS)
def show() -> None:
    """Show the page."""
    formatter = data.current_formatter()
    names = unique_coin_names(data.list_coins() or [])
    # A link may name a coin below the listed ones.
    if addressed := st.query_params.get("coin"):
        names.setdefault(addressed, addressed)
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        views = {"alerts": tr("Alerts"), "targets": tr("Price targets"), "muted": tr("Muted coins")}
        view = choose("view", views, label=tr("Show"))
        # In a narrow window the stylesheet keeps them in one line, which scrolls.
        with st.container(horizontal=True, vertical_alignment="top", gap="small", key="filters"):
            coin_id = choose_from_list("coin", names, label=tr("Coin"), none_text=tr("All coins"))
            query = _choose_filters(formatter) if view == "alerts" else {}
    if coin_id:
        query["coin_id"] = coin_id
    page = data.fetch(
        "/alerts",
        limit=MAX_ALERTS if view == "alerts" else 1,
        language=current_language(),
        include=["mutes", "price_targets"],
        **query,
    )
    if page is None:
        return
    muted = {mute["coin_id"]: mute["muted_until"] for mute in page["mutes"]}
    if view == "alerts":
        _show_alerts(formatter, page, muted)
    elif view == "targets":
        _show_targets(formatter, page["price_targets"], names, coin_id)
    else:
        _show_muted(formatter, muted, names)


def _choose_filters(formatter: Formatter) -> dict[str, str | int | list[str]]:
    """Show the filters and return their query parameters."""
    days = {key: tr("{days} d", days=number) for key, number in DAYS.items()}
    period = choose("period", days, label=tr("Period"), default="7d")
    kinds = {"all": tr("All"), "panic": tr("Falls"), "reversal": tr("Rises")}
    kind = choose("kind", kinds, label=tr("Kind"))
    outcomes = {"all": tr("All")} | name_outcomes()
    outcome = choose("outcome", outcomes, label=tr("A day later"))
    # Whole hours: the API keeps the response of the same request for other viewers.
    since = formatter.now.replace(minute=0, second=0, microsecond=0) - timedelta(days=DAYS[period])
    query: dict[str, str | int | list[str]] = {"since": since.isoformat()}
    if kind != "all":
        query["kind"] = kind
    if outcome != "all":
        query["outcome"] = outcome
    return query


# --- alerts ----------------------------------------------------------------------------------


def _show_alerts(formatter: Formatter, page: Json, muted: Mapping[str, str]) -> None:
    columns = [
        Column("time", tr("Time"), "number", descending=True),
        Column("coin", tr("Coin"), "link"),
        Column("move", tr("Move"), "change"),
        Column("price", tr("Price"), "number", priority=2, descending=True),
        Column("hour", tr("1 h later"), "change", priority=2),
        Column("day", tr("24 h later"), "change", priority=2),
        Column("outcome", tr("Outcome"), "badge"),
        Column("why", tr("Why"), "text", priority=3),
        Column("mute", tr("Actions"), "actions", priority=2),
    ]
    items = page["items"]
    count = tr("{count} alerts", count=len(items))
    action = show_table(
        "alerts",
        tr("Alerts"),
        columns,
        [build_alert_row(formatter, alert, muted) for alert in items],
        empty=tr("No alert matches. The monitor sends about two alerts per coin and week."),
        count=tr("the newest {count} alerts", count=len(items)) if page["next"] else count,
        search=tr("Filter alerts"),
    )
    if action:
        # An alert that left the list since the click is not found.
        for alert in (a for a in items if str(a["alert_id"]) == action.row_id):
            _send_mute(alert["coin_id"], is_muted=action.action == UNMUTE)


def build_alert_row(formatter: Formatter, alert: Json, muted: Mapping[str, str]) -> Row:
    """Return an alert as a row; the stylesheet puts its reason below it in a narrow window."""
    is_muted = alert["coin_id"] in muted
    outcome = name_outcomes()[alert["outcome"]]
    note = alert["symbol"].upper()
    if not alert["is_announced"]:
        note += " · " + tr("muted, not sent")
    label = tr("Unmute") if is_muted else tr("Mute 1 day")
    return Row(
        str(alert["alert_id"]),
        [
            time_cell(formatter, alert["observed_at"]),
            {"text": alert["name"], "note": note},
            *list_figure_cells(formatter, alert),
            alert["why"],
            [{"action": UNMUTE if is_muted else MUTE, "label": label}],
        ],
        href=f"coin?coin={quote_segment(alert['coin_id'])}",
        search=f"{alert['name']} {alert['symbol']} {alert['why']} {outcome}",
        name=alert["name"],
    )


# --- price targets ---------------------------------------------------------------------------


def _show_targets(
    formatter: Formatter, targets: Sequence[Json], names: Mapping[str, str], coin_id: str | None
) -> None:
    if coin_id:
        show_price_targets(coin_id)
        return
    st.caption(tr("Choose a coin to add a target: a preview shows how often it would have fired."))
    columns = [
        Column("coin", tr("Coin"), "link"),
        Column("target", tr("Target")),
        Column("state", tr("State"), "badge"),
        Column("details", tr("Details"), priority=2),
        Column("delete", tr("Actions"), "actions"),
    ]
    action = show_table(
        "price_targets",
        tr("Price targets"),
        columns,
        [_build_target_row(formatter, target, names) for target in targets],
        empty=tr("No price targets. A message is sent when the price reaches one."),
    )
    if action:
        _send("DELETE", f"/price-targets/{action.row_id}")


def _build_target_row(formatter: Formatter, target: Json, names: Mapping[str, str]) -> Row:
    coin_id = target["coin_id"]
    is_open = target["state"] == "open"
    state = badge_cell(is_open, tr("Open") if is_open else tr("Done"), "ok" if is_open else "muted")
    return Row(
        str(target["target_id"]),
        [
            names.get(coin_id, coin_id),
            describe_target(target),
            state,
            format_state(formatter, target),
            [{"action": DELETE, "label": tr("Delete")}],
        ],
        href=f"coin?coin={quote_segment(coin_id)}",
        name=names.get(coin_id, coin_id),
    )


# --- muted coins -----------------------------------------------------------------------------


def _show_muted(formatter: Formatter, muted: Mapping[str, str], names: Mapping[str, str]) -> None:
    columns = [
        Column("coin", tr("Coin"), "link"),
        Column("until", tr("Muted until"), "number"),
        Column("unmute", tr("Actions"), "actions"),
    ]
    rows = [
        Row(
            coin_id,
            [
                names.get(coin_id, coin_id),
                time_cell(formatter, until),
                [{"action": UNMUTE, "label": tr("Unmute")}],
            ],
            href=f"coin?coin={quote_segment(coin_id)}",
            name=names.get(coin_id, coin_id),
        )
        for coin_id, until in muted.items()
    ]
    action = show_table(
        "muted_coins",
        tr("Muted coins"),
        columns,
        rows,
        empty=tr("No coin is muted. Alerts of a muted coin are recorded and not sent."),
    )
    if action:
        _send_mute(action.row_id, is_muted=True)


def _send_mute(coin_id: str, *, is_muted: bool) -> None:
    path = f"/coins/{quote_segment(coin_id)}/mute"
    if is_muted:
        _send("DELETE", path)
    else:
        _send("POST", path, {"hours": MUTE_HOURS})


def _send(method: str, path: str, content: Json | None = None) -> None:
    """Send a change and draw the page again."""
    try:
        data.api_client().send(method, path, content)
    except (ApiUnreachable, RequestRejected) as error:
        st.error(data.describe_error(error))
        return
    st.rerun(scope="fragment")
