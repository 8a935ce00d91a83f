"""The pipeline: health, schedule coverage, quotas, runs, gaps, inactive coins, backups."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from sentinel.amounts import UNKNOWN
from services.api_client import Json
from services.dashboard import data
from services.dashboard.components import gap_row, show_table
from services.dashboard.formatting import Formatter
from services.dashboard.text import MAX_SENTENCE_CHARACTERS, escape_markdown

SHOWN_ROWS = 50
# Icon and color of each state of a check.
CHECK_STYLES: Mapping[str, tuple[str, str]] = {
    "ok": (":material/check_circle:", "green"),
    "warning": (":material/warning:", "orange"),
    "unhealthy": (":material/error:", "red"),
}
# Unit and divisor of each quota.
QUOTA_UNITS: Mapping[str, tuple[str, float]] = {
    "neon_compute_hours": ("Compute hours", 1.0),
    "neon_storage_bytes": ("MB stored", 1e6),
    "neon_egress_bytes": ("MB sent by Neon", 1e6),
    "coingecko_credits": ("CoinGecko credits", 1.0),
    "actions_minutes": ("Actions minutes", 1.0),
}


@st.fragment(run_every=data.REFRESH_SECONDS)
def show() -> None:
    """Show the page."""
    formatter = data.current_formatter()
    health = data.fetch("/health")
    if health is None:
        return
    _show_checks(health["checks"])
    st.caption("[Status page](/status/): the last 60 days, the incidents and the market.")
    schedule = data.fetch("/schedule")
    # Side by side where there is room: a column would cut off what its tile says.
    with st.container(horizontal=True, gap="medium"):
        _show_schedule(formatter, schedule)
        _show_history(formatter, schedule)
        _show_backup(formatter, data.fetch("/backups"))
    _show_budget(data.fetch("/budget"))
    _show_runs(formatter)
    _show_gaps(formatter)
    _show_registry(formatter, data.fetch("/registry"))
    _show_rejections(formatter, data.fetch("/rejections", limit=SHOWN_ROWS))


def _show_checks(checks: Mapping[str, Json]) -> None:
    for name, check in checks.items():
        icon, color = CHECK_STYLES[check["state"]]
        label = escape_markdown(name.replace("_", " ").capitalize())
        message = escape_markdown(check["message"], MAX_SENTENCE_CHARACTERS)
        st.markdown(f":{color}[{icon}] **{label}**: {message}")


def _show_schedule(formatter: Formatter, schedule: Json | None) -> None:
    if schedule is None:
        return
    st.metric(
        f"Schedule coverage, 7 days (a run every {schedule['cadence_minutes']:.0f} min)",
        formatter.percent(schedule["share"], signed=False),
        f"{schedule['delivered']:,} of {schedule['expected']:,} runs, longest pause "
        f"{schedule['longest_silence_minutes']:.0f} min",
        delta_color="off",
        delta_arrow="off",
        width="content",
    )


def _show_history(formatter: Formatter, schedule: Json | None) -> None:
    """Show the shares of the history, which are known after a day."""
    if schedule is None:
        return
    slots = schedule["slots"]
    if slots is None:
        st.metric("History, backfilled share", UNKNOWN, width="content")
        return
    st.metric(
        f"History of the first {slots['coins']} coins, backfilled share",
        formatter.percent(slots["backfilled_share"], signed=False),
        f"{formatter.percent(slots['observed_share'], signed=False)} observed, "
        f"{formatter.percent(slots['open_share'], signed=False)} open, longest pause "
        f"{slots['longest_pause_minutes']:.0f} min",
        delta_color="off",
        delta_arrow="off",
        width="content",
    )


def _show_backup(formatter: Formatter, backup: Json | None) -> None:
    """Show the last verified backup. That there is none, or that one failed, is a check's line."""
    if backup is None:
        return
    age = backup["age_seconds"]
    st.metric(
        "Last verified backup",
        UNKNOWN if age is None else f"{formatter.age(backup['verified_at'])} ago",
        None if age is None else f"restored and compared: {backup['rows']:,} rows",
        delta_color="off",
        delta_arrow="off",
        width="content",
    )


def _show_budget(budget: Json | None) -> None:
    if budget is None:
        return
    st.subheader("Free quotas, this month")
    columns = st.columns(len(budget["meters"]))
    for column, (name, usage) in zip(columns, budget["meters"].items(), strict=True):
        with column:
            _show_quota(name, usage)
    st.caption(f"Budget decision: **{escape_markdown(budget['verdict'])}**")


def _show_quota(name: str, usage: Json) -> None:
    unit, divisor = QUOTA_UNITS.get(name, (name.replace("_", " ").capitalize(), 1.0))
    used, quota, projected = (usage[key] for key in ("used", "quota", "projected"))
    if quota is None or used is None:
        st.progress(0.0, text=f"{unit}: {'no limit' if quota is None else 'unknown'}")
        return
    # Streamlit rejects a progress above 1.
    st.progress(
        min(1.0, used / quota) if quota else 1.0,
        text=f"{unit}: {used / divisor:,.1f} of {quota / divisor:,.0f}",
    )
    if projected is not None:
        state = escape_markdown(usage["state"])
        st.caption(f"Projected: {projected / divisor:,.0f} ({state})")


def _show_runs(formatter: Formatter) -> None:
    runs = data.fetch("/runs", limit=SHOWN_ROWS)
    show_table(
        "Runs",
        runs and runs["items"],
        lambda run: {
            "time": formatter.time(run["started_at"]),
            "age": formatter.age(run["started_at"]),
            "mode": run["mode"],
            "status": run["status"],
            "rows": run["rows_valid"],
            "backfilled": run["rows_backfilled"],
            "rejected": sum(run["rejected"].values()),
            "missing": len(run["missing"]),
            "credits": run["api_credits"],
        },
        "There are no runs yet.",
    )


def _show_gaps(formatter: Formatter) -> None:
    gaps = data.fetch("/gaps")
    show_table(
        "Gaps of the best-ranked coins, last 7 days",
        gaps and gaps["items"],
        lambda gap: {"coin": gap["coin_id"]} | gap_row(formatter, gap),
        "No gaps: every run that was due stored its prices, or the backfill filled the gap.",
    )


def _show_registry(formatter: Formatter, registry: Json | None) -> None:
    if registry is None:
        return
    show_table(
        "Inactive coins",
        registry["coins"],
        lambda coin: {
            "coin": f"{coin['name']} ({coin['symbol'].upper()})",
            "status": "retry scheduled" if coin["status"] == "inactive" else coin["status"],
            "strikes": coin["strikes"],
            "reason": coin["reason"],
            "since": formatter.time(coin["since"]),
            "next probe": formatter.time(coin["next_probe"]),
        },
        "No coin has a strike.",
    )
    st.caption(
        f"{registry['active']:,} coins are active, {registry['inactive']:,} inactive and "
        f"{registry['delisted']:,} delisted. The registry was last compared with CoinGecko "
        f"{formatter.age(registry['synced_at'])} ago. Three bad responses in a row make a coin "
        "inactive; one good response makes it active again."
    )


def _show_rejections(formatter: Formatter, rejections: Json | None) -> None:
    if rejections is None:
        return
    show_table(
        "Rejected entries, last 7 days",
        rejections["items"] if rejections["by_reason"] else [],
        lambda rejection: {
            "time": formatter.time(rejection["rejected_at"]),
            "coin": rejection["coin_id"],
            "reason": rejection["reason"],
            "raw entry": rejection["raw"],
        },
        "No rejected entries.",
    )
    if rejections["by_reason"]:
        counts = rejections["by_reason"].items()
        st.caption(", ".join(f"{count} {escape_markdown(reason)}" for reason, count in counts))
