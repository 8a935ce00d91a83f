"""The column of figures on the Pipeline page: checks, quotas, processes, backup. Pure HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from html import escape

from sentinel import amounts, times
from sentinel.amounts import UNKNOWN
from sentinel.site.labels import name_code, name_quota
from services.api_client import Json
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr, tr_shared

# What stands before a check or a process in each state; its name stands beside it for everybody.
SYMBOLS = {"ok": "✓", "warning": "!", "unhealthy": "✕", "muted": "·"}
SEVERITY = ("unhealthy", "warning", "ok")
BYTE_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))


def _check_names() -> Mapping[str, str]:
    return {
        "database": tr("Database"),
        "freshness": tr("Age of the prices"),
        "last_run": tr("Last run"),
        "rejections": tr("Rejected entries"),
        "delivery": tr("Messages"),
        "telegram": tr("Telegram commands"),
        "backup": tr("Backup"),
        "disk": tr("Disk"),
        "clock": tr("Clock"),
    }


def _service_names() -> Mapping[str, str]:
    return {
        "ingestion": tr("Monitor's loop"),
        "schedule": tr("Scheduled runs"),
        "backup": tr("Backup"),
        "archive": tr("Archive"),
        "seed": tr("Demo data"),
        "telegram": tr("Telegram commands"),
        "summary": tr("Daily summary"),
        "alert_score": tr("Alert score"),
        "monitor_page": tr("Monitor's figures for the public page"),
        "page": tr("Public page"),
    }


def _tone_names() -> Mapping[str, str]:
    return {"ok": tr("well"), "warning": tr("warning"), "unhealthy": tr("failed")}


def draw_checks(checks: Mapping[str, Json]) -> str:
    """Return the health checks, those that fail first and those that pass last."""
    names = _check_names()
    by_severity = sorted(checks.items(), key=lambda item: SEVERITY.index(item[1]["state"]))
    return _draw_list(
        (check["state"], names.get(name, name_code(name)), check["message"])
        for name, check in by_severity
    )


def _draw_list(items: Iterable[tuple[str, str, str]]) -> str:
    """Return lines of a tone, a name and a text."""
    states = _tone_names()
    names = {tone: f'aria-label="{escape(state)}"' for tone, state in states.items()}
    lines = "".join(
        f'<li class="ms-{tone}"><span role="img" {names.get(tone, "aria-hidden=true")}>'
        f"{SYMBOLS[tone]}</span><b>{escape(name)}</b> <span>{escape(text)}</span></li>"
        for tone, name, text in items
    )
    return f'<ul class="ms-list">{lines}</ul>'


# --- quotas ----------------------------------------------------------------------------------


def draw_quotas(formatter: Formatter, pipeline: Json) -> str:
    """Return a bar for each quota, and why the budget holds runs back if it does."""
    bars = "".join(_draw_quota(formatter, quota) for quota in pipeline["quotas"])
    texts = {
        "skip": tr("The next run is skipped: {reason}.", reason=pipeline["reason"]),
        "stop": tr("Runs have stopped: {reason}.", reason=pipeline["reason"]),
    }
    text = texts.get(pipeline["decision"], "")
    return f'<div class="ms-quotas">{bars}</div><p>{escape(text)}</p>'


def _draw_quota(formatter: Formatter, quota: Json) -> str:
    tone, state = _rate_quota(quota)
    name, limit = tr_shared(name_quota(quota["name"])), quota["limit"]
    bar = _draw_bar(quota["used"] or 0.0, quota["projected"] or 0.0, limit) if limit else ""
    return (
        f'<div class="ms-quota ms-{tone}"><b>{escape(name)}</b>'
        f'<span class="ms-badge ms-{tone}">{escape(state)}</span>{bar}'
        f"<small>{escape(describe_quota(formatter, quota))}</small></div>"
    )


def _rate_quota(quota: Json) -> tuple[str, str]:
    """Return the tone of a quota's badge and its text."""
    if quota["limit"] is None:
        return "muted", tr("no limit")
    states = {
        "ok": ("ok", tr("enough")),
        "warn": ("warning", tr("nearly used up")),
        "stop": ("unhealthy", tr("used up")),
    }
    return states[quota["state"]]


def describe_quota(formatter: Formatter, quota: Json) -> str:
    """Return how much of a quota is used, its limit, and the projection of the month."""
    used, limit, projected = (
        format_quota(formatter, quota[key], quota["name"]) for key in ("used", "limit", "projected")
    )
    if quota["limit"] is None:
        text = tr("{amount} used", amount=used)
    else:
        text = tr("{used} of {limit}", used=used, limit=limit)
    if quota["projected"] is None:
        return text
    end = tr("{amount} by the month's end", amount=projected)
    return f"{text} · {end}"


def _draw_bar(used: float, projected: float, limit: float) -> str:
    """Return a bar as long as the limit, or as the projection if that is beyond it."""
    end = max(used, projected, limit)
    widths = {
        "--used": used / end,
        "--projected": max(used, projected) / end,
        "--limit": limit / end,
    }
    style = ";".join(f"{name}:{share:.2%}" for name, share in widths.items())
    return f'<div class="ms-meter" style="{style}" aria-hidden="true"></div>'


def format_quota(formatter: Formatter, amount: float | None, name: str) -> str:
    """Return an amount of a quota with its unit: 412 MB, 1.2 GB, 12.5 h, 734."""
    if amount is None:
        return UNKNOWN
    if name.endswith("_bytes"):
        return format_bytes(formatter, amount)
    if name.endswith("_hours"):
        return f"{amounts.format_quantity(round(amount, 1), formatter.language)} {tr('h')}"
    return formatter.count(amount)


def format_bytes(formatter: Formatter, size: float | None) -> str:
    """Return a size in decimal units, as quotas are given; a dash for None."""
    if size is None:
        return amounts.UNKNOWN
    divisor, unit = next((each for each in BYTE_UNITS if size >= each[0]), BYTE_UNITS[-1])
    scaled = size / divisor
    number = round(scaled, 1) if scaled < 10 else round(scaled)
    return f"{amounts.format_quantity(number, formatter.language)} {unit}"


# --- processes, backup, registry -------------------------------------------------------------


def draw_services(formatter: Formatter, services: Iterable[Json]) -> str:
    """Return the processes with their last activity; a process without a rhythm has no state."""
    names = _service_names()
    lines = []
    for service in services:
        is_late, name = service["is_late"], service["service"]
        tone = "muted" if is_late is None else "unhealthy" if is_late else "ok"
        text = tr("{age} ago", age=formatter.age(service["recorded_at"]))
        if is_late:
            text = tr("late, last active {age} ago", age=formatter.age(service["recorded_at"]))
        lines.append((tone, names.get(name, name_code(name)), text))
    return _draw_list(lines)


def draw_backup(formatter: Formatter, backup: Json) -> str:
    """Return the last backup that was restored and compared, and a failure after it."""
    items = []
    if backup["verified_at"]:
        text = tr(
            "{age} ago: {rows} rows, {size}, restored and compared",
            age=formatter.age(backup["verified_at"]),
            rows=formatter.count(backup["rows"]),
            size=format_bytes(formatter, backup["bytes"]),
        )
        items.append(("ok", tr("Last verified backup"), text))
    elif not backup["problem"]:
        text = tr("Run backup_db.sh, or let cron run it every night.")
        items.append(("muted", tr("There is no backup yet"), text))
    if backup["problem"]:
        age = formatter.age(backup["tried_at"])
        items.append(("unhealthy", tr("Failed {age} ago", age=age), backup["problem"]))
    return _draw_list(items)


def describe_registry(formatter: Formatter, registry: Json) -> str:
    """Return the number of coins by status, and when they were compared with CoinGecko's list."""
    return tr(
        "{active} active, {inactive} inactive, {delisted} delisted. Compared with CoinGecko's list "
        "{age} ago.",
        active=formatter.count(registry["active"]),
        inactive=formatter.count(registry["inactive"]),
        delisted=formatter.count(registry["delisted"]),
        age=formatter.age(registry["synced_at"]),
    )


def describe_coverage(formatter: Formatter, coverage: Json | None) -> str:
    """Return which shares of the best-ranked coins' history were observed and backfilled."""
    if coverage is None:
        return ""
    return tr(
        "History of the first {coins} coins: {observed} observed, {backfilled} backfilled, "
        "{open} open.",
        coins=formatter.count(coverage["coins"]),
        **{
            name: formatter.percent(coverage[f"{name}_share"], signed=False)
            for name in ("observed", "backfilled", "open")
        },
    )


def describe_pause(formatter: Formatter, totals: Json) -> str:
    """Return the longest pause between two runs, and when it began."""
    pause = times.format_duration(
        timedelta(minutes=totals["longest_silence_minutes"]), formatter.language
    )
    if totals["longest_silence_from"] is None:
        return ""
    return tr(
        "Longest pause: {pause}, from {time}.",
        pause=pause,
        time=formatter.time(totals["longest_silence_from"]),
    )
