"""The text of a daily summary: one fact a line, parts without data are left out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from sentinel.budget.quota_usage import QuotaUsage
from sentinel.budget.schedule import ScheduleCoverage, SlotCoverage
from sentinel.daily_summary.figures import (
    AlertDay,
    AlertOutcome,
    Figures,
    FiredTarget,
    NetWorth,
    PriceMove,
)
from sentinel.notifications.delivery_rules import LATE_AFTER
from sentinel.notifications.messages import Message, MessageFormatter, without_links

# A price that is so much older than the newest one is shown with its time.
STALE_AFTER = timedelta(minutes=15)
UNCHANGED = 0.0005  # a smaller outcome of an alert rounds to 0.0 %
MAX_NAMED_COINS = 10  # whose price is missing


def compose_summary(
    figures: Figures, formatter: MessageFormatter, now: datetime, planned: datetime
) -> Message:
    """Return the summary at `now`, which was planned for `planned`."""
    title = formatter.translate(
        "summary_late" if now - planned >= LATE_AFTER else "summary",
        time=formatter.format_time(now),
        planned=formatter.format_time(planned),
    )
    body = "\n".join(_list_lines(figures, formatter, now))
    return Message("summary", f"summary:{planned.isoformat()}", title, body, "summary")


def _list_lines(figures: Figures, formatter: MessageFormatter, now: datetime) -> Iterator[str]:
    if figures.priced_at:
        time = formatter.format_time(figures.priced_at)
        yield formatter.translate("summary_priced_at", time=time)
    if figures.net_worth:
        yield from _describe_net_worth(figures.net_worth, formatter)
    yield from _describe_moves(figures, formatter)
    if figures.alerts:
        yield from _describe_alerts("summary_alerts", "now", figures.alerts, formatter)
    if figures.alerts_before:
        before = figures.alerts_before
        yield from _describe_alerts("summary_alerts_before", "later", before, formatter)
    for target in figures.fired_targets:
        yield _describe_target(target, formatter)
    if figures.runs and figures.runs.expected:
        yield _describe_runs(figures.runs, formatter)
    if figures.history:
        yield _describe_history(figures.history, formatter)
    yield from _describe_quotas(figures.quotas, formatter)
    if figures.backup_verified_at:
        age = formatter.format_duration(now - figures.backup_verified_at)
        yield formatter.translate("summary_backup", age=age)
    yield from _describe_health(figures, formatter)


# --- the portfolio ---------------------------------------------------------------------------


def _describe_net_worth(worth: NetWorth, formatter: MessageFormatter) -> Iterator[str]:
    translate = formatter.translate
    if worth.value_usd is not None:
        value = _describe_amount(
            worth.value_usd, worth.change_usd, formatter.format_own_usd, formatter
        )
        yield translate("summary_net_worth", value=value)
        if worth.value_idr is None:
            yield translate("summary_no_rate")
        else:
            idr = _describe_amount(
                worth.value_idr, worth.change_idr, formatter.format_own_idr, formatter
            )
            yield translate("summary_rupiah", value=idr)
    if worth.without_price:
        yield translate("summary_without", coins=_join_symbols(worth.without_price, formatter))
    if worth.without_change and worth.change_usd is not None:
        coins = _join_symbols(worth.without_change, formatter)
        yield translate("summary_without_change", coins=coins)


def _describe_amount(
    value: Decimal,
    change: Decimal | None,
    format_own: Callable[..., str],
    formatter: MessageFormatter,
) -> str:
    """Return an amount with its change: $23,035.03, +$273.12 (+1.2%) in 24 hours."""
    if change is None:
        return format_own(value)
    before = value - change
    share = formatter.format_percent(float(change / before), signed=True) if before > 0 else ""
    text = f"{format_own(change, signed=True)}{f' ({share})' if share else ''}"
    return formatter.translate("summary_change", value=format_own(value), change=text)


def _join_symbols(symbols: Sequence[str], formatter: MessageFormatter) -> str:
    text = ", ".join(map(_format_symbol, symbols[:MAX_NAMED_COINS]))
    if len(symbols) <= MAX_NAMED_COINS:
        return text
    return f"{text}, {formatter.translate('more', count=len(symbols) - MAX_NAMED_COINS)}"


def _format_symbol(symbol: str) -> str:
    return without_links(symbol.upper())


# --- prices and alerts -----------------------------------------------------------------------


def _describe_moves(figures: Figures, formatter: MessageFormatter) -> Iterator[str]:
    directions = (
        ("summary_rises", [move for move in figures.moves if move.change > 0]),
        ("summary_falls", [move for move in figures.moves if move.change < 0]),
    )
    for key, moves in directions:
        if moves:
            texts = [_describe_move(move, figures.priced_at, formatter) for move in moves]
            yield formatter.translate(key, moves=", ".join(texts))


def _describe_move(move: PriceMove, newest: datetime | None, formatter: MessageFormatter) -> str:
    change = formatter.format_percent(move.change, signed=True)
    text = f"{_format_symbol(move.symbol)} {change}"
    if newest is None or newest - move.observed_at <= STALE_AFTER:
        return text
    time = formatter.format_clock(move.observed_at)
    return f"{text} ({formatter.translate('summary_stale', time=time)})"


def _describe_alerts(
    key: str, until: str, day: AlertDay, formatter: MessageFormatter
) -> Iterator[str]:
    """Yield the number of alerts and the largest of them; `until` is when the outcomes are of."""
    if not day.total:
        yield formatter.translate(f"{key}_none")
        return
    yield formatter.translate(key, count=day.total)
    for alert in day.shown:
        yield f"- {_describe_alert(alert, until, formatter)}"
    if day.coins > len(day.shown):
        yield formatter.translate("more", count=day.coins - len(day.shown))


def _describe_alert(alert: AlertOutcome, until: str, formatter: MessageFormatter) -> str:
    text = formatter.translate(
        "summary_fall" if alert.move < 0 else "summary_rise",
        symbol=_format_symbol(alert.symbol),
        move=formatter.format_percent(abs(alert.move)),
        time=formatter.format_clock(alert.observed_at),
    )
    if alert.outcome is None:
        return text
    if abs(alert.outcome) < UNCHANGED:
        outcome = formatter.translate(f"summary_unchanged_{until}")
    else:
        direction = "higher" if alert.outcome > 0 else "lower"
        change = formatter.format_percent(abs(alert.outcome))
        outcome = formatter.translate(f"summary_{direction}_{until}", change=change)
    return f"{text}, {outcome}"


def _describe_target(target: FiredTarget, formatter: MessageFormatter) -> str:
    format_money = formatter.format_usd if target.currency == "usd" else formatter.format_idr
    return formatter.translate(
        f"summary_target_{target.direction}",
        symbol=_format_symbol(target.symbol),
        price=format_money(target.price),
        time=formatter.format_clock(target.fired_at),
    )


# --- the deployment --------------------------------------------------------------------------


def _describe_runs(runs: ScheduleCoverage, formatter: MessageFormatter) -> str:
    return formatter.translate(
        "summary_runs",
        delivered=runs.delivered,
        expected=runs.expected,
        pause=formatter.format_duration(runs.longest_silence),
    )


def _describe_history(history: SlotCoverage, formatter: MessageFormatter) -> str:
    shares = ("observed_share", "backfilled_share", "open_share")
    texts = {name: formatter.format_percent(getattr(history, name)) for name in shares}
    return formatter.translate("summary_history", **texts)


def _describe_quotas(quotas: Sequence[QuotaUsage], formatter: MessageFormatter) -> Iterator[str]:
    """Yield the quotas that need attention, else the one that is used most; nothing if unknown."""
    known = sorted(
        ((share, usage) for usage in quotas if (share := usage.share) is not None), reverse=True
    )
    exceeded = [(share, usage) for share, usage in known if usage.state != "ok"]
    texts = ", ".join(
        f"{formatter.translate(usage.name)} {formatter.format_percent(share)}"
        for share, usage in exceeded or known[:1]
    )
    if known:
        key = "summary_quotas_exceeded" if exceeded else "summary_quotas"
        yield formatter.translate(key, quotas=texts)


def _describe_health(figures: Figures, formatter: MessageFormatter) -> Iterator[str]:
    if not figures.problems:
        yield formatter.translate("summary_healthy")
        return
    yield formatter.translate("summary_problems")
    for check in figures.problems:
        yield f"- {check.summary}"
