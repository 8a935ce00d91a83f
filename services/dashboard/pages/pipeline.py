"""How the pipeline fares: runs, gaps, parole, rejections, quotas, the last backup."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from sentinel.models import describe_gap_reason
from services.dashboard import data
from services.dashboard.formatting import UNKNOWN, Formatter, Preferences
from services.dashboard.text import LONGEST_SENTENCE, plain

Json = Mapping[str, Any]
SHOWN = 50
DAY_SECONDS = 86_400
OLD_BACKUP_SECONDS = 2 * DAY_SECONDS
UNITS: Mapping[str, tuple[str, float]] = {
    "neon_compute_hours": ("compute hours", 1.0),
    "neon_storage_bytes": ("MB stored", 1e6),
    "coingecko_credits": ("CoinGecko credits", 1.0),
    "actions_minutes": ("Actions minutes", 1.0),
}


@st.fragment(run_every=data.REFRESH_SECONDS)
def show(choice: Preferences) -> None:
    """The page's body."""
    viewer = data.current_formatter(choice)
    data.show_freshness(viewer)
    health = data.fetch("/health")
    if health is None:
        return
    for name, check in health["checks"].items():
        icon = ":material/check_circle:" if check["is_ok"] else ":material/error:"
        colour = "green" if check["is_ok"] else "red"
        st.markdown(
            f":{colour}[{icon}] **{plain(name.replace('_', ' '))}**: "
            f"{plain(check['message'], LONGEST_SENTENCE)}"
        )
    runs, delivery = data.fetch("/runs", limit=SHOWN), data.fetch("/schedule")
    backup = data.fetch("/backups")
    left, right = st.columns(2)
    with left:
        _show_delivery(viewer, delivery)
    with right:
        _show_backup(viewer, backup)
    _show_budget(data.fetch("/budget"))
    _show_table("Runs", (runs or {}).get("items"), lambda run: _run(viewer, run), "No run yet.")
    gaps = (data.fetch("/gaps") or {}).get("items")
    _show_table(
        "Gaps of the best ranked coins, last week",
        gaps,
        lambda gap: {"coin": gap["coin_id"]} | gap_row(viewer, gap),
        "None: what was missed was repaired.",
    )
    _show_registry(viewer, data.fetch("/registry"))
    _show_rejections(viewer, data.fetch("/rejections", limit=SHOWN))


def _show_delivery(viewer: Formatter, found: Json | None) -> None:
    if found is None:
        return
    st.metric(
        f"Runs delivered in seven days, one each {found['cadence_minutes']:.0f} min",
        viewer.percent(found["share"], signed=False),
        f"{found['delivered']} of {found['expected']}, longest silence "
        f"{found['longest_silence_minutes']:.0f} min",
        delta_color="off",
        delta_arrow="off",
    )


def _show_backup(viewer: Formatter, found: Json | None) -> None:
    if found is None:
        return
    age = found["age_seconds"]
    st.metric(
        "Last verified backup",
        UNKNOWN if age is None else f"{viewer.age(found['verified_at'])} ago",
        "restored and compared: " + f"{found['rows']:,} rows" if age is not None else None,
        delta_color="off",
        delta_arrow="off",
    )
    if found["problem"]:
        st.error(
            f"The backup of {viewer.at(found['tried_at'])} failed: "
            f"{plain(found['problem'], LONGEST_SENTENCE)}",
            icon=":material/error:",
        )
    elif age is None:
        st.info("No backup was ever made. `./backup_db.sh` makes and proves one.")
    elif age > OLD_BACKUP_SECONDS:
        st.warning("That is long ago: `docs/monitor.md` has a cron line for a daily one.")


def _show_budget(found: Json | None) -> None:
    if found is None:
        return
    st.subheader("Free quotas of this month")
    columns = st.columns(len(found["meters"]))
    for column, (name, meter) in zip(columns, found["meters"].items(), strict=True):
        unit, divisor = UNITS.get(name, (name.replace("_", " "), 1.0))
        used, quota, projected = (meter[key] for key in ("used", "quota", "projected"))
        with column:
            if quota is None or used is None:
                st.progress(0.0, text=f"{unit}: {'no limit' if quota is None else 'unknown'}")
                continue
            st.progress(
                min(1.0, used / quota) if quota else 1.0,
                text=f"{unit}: {used / divisor:,.1f} of {quota / divisor:,.0f}",
            )
            if projected is not None:
                st.caption(f"projected {projected / divisor:,.0f}, {plain(meter['state'])}")
    st.caption(f"Verdict of the ledger: **{plain(found['verdict'])}**")


def _show_table(
    title: str, rows: Sequence[Json] | None, shape: Callable[[Json], Json], nothing: str
) -> None:
    if rows is None:
        return
    st.subheader(title)
    if not rows:
        st.caption(nothing)
        return
    st.dataframe(
        pd.DataFrame([shape(row) for row in rows]), hide_index=True, key=title, height="auto"
    )


def _run(viewer: Formatter, run: Json) -> Json:
    return {
        "at": viewer.at(run["started_at"]),
        "age": viewer.age(run["started_at"]),
        "mode": run["mode"],
        "status": run["status"],
        "rows": run["rows_valid"],
        "backfilled": run["rows_backfilled"],
        "rejected": sum(run["rejected"].values()),
        "missing": len(run["missing"]),
        "credits": run["api_credits"],
    }


def gap_row(viewer: Formatter, gap: Json) -> dict[str, Any]:
    """A gap as a row of a table."""
    return {
        "from": viewer.at(gap["start"]),
        "to": viewer.at(gap["stop"]),
        "missing": gap["missed"],
        "why it is open": describe_gap_reason(gap["reason"]),
    }


def _show_registry(viewer: Formatter, found: Json | None) -> None:
    if found is None:
        return
    st.subheader("Strikes and parole")
    st.caption(
        f"{found['active']:,} coins active, {found['inactive']:,} on parole, "
        f"{found['delisted']:,} delisted; compared with CoinGecko {viewer.age(found['synced_at'])} "
        "ago. Three bad answers in a row retire a coin, one good one brings it back."
    )
    rows = [
        {
            "coin": f"{coin['name']} ({coin['symbol'].upper()})",
            "status": "on parole" if coin["status"] == "inactive" else coin["status"],
            "strikes": coin["strikes"],
            "reason": coin["reason"],
            "since": viewer.at(coin["since"]),
            "asked again": viewer.at(coin["next_probe"]),
        }
        for coin in found["coins"]
    ]
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True, key="parole", height="auto")


def _show_rejections(viewer: Formatter, found: Json | None) -> None:
    if found is None:
        return
    st.subheader("Rejected answers, last week")
    if not found["by_reason"]:
        st.caption("None.")
        return
    counts = ", ".join(f"{count} {plain(name)}" for name, count in found["by_reason"].items())
    st.caption(counts)
    rows = [
        {
            "at": viewer.at(one["rejected_at"]),
            "coin": one["coin_id"],
            "reason": one["reason"],
            "what came": one["raw"],
        }
        for one in found["items"]
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="rejections", height="auto")
