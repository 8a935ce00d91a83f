"""Parts of a tick that are only a few lines: its interval, backfill, wallets, heartbeat."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import budget_monitor
from api_library import choose_plan
from coin_registry import CoinRegistry
from ingest import RunReport, run_pipeline
from safe_zone import Settings
from sentinel.archive.store import open_configured_archive
from sentinel.budget import usage_log
from sentinel.budget.quota_usage import QuotaUsage
from sentinel.clocks import Clocks
from sentinel.daily_summary import queueing as daily_summary
from sentinel.errors import BudgetExhausted, SentinelError
from sentinel.notifications import outbox
from sentinel.notifications.messages import MessageFormatter
from sentinel.paper_trading import stepping
from sentinel.paper_trading.strategy_process import StrategyProcess
from sentinel.paper_trading.wallets import Wallet
from sentinel.storage import service_status
from sentinel.storage.connection import Connection
from services.ingestion.polling_interval import affordable_interval
from services.settings import MonitorSettings

log = logging.getLogger("sentinel.loop")

# With a quota used up, the loop still ticks this often and checks the budget again.
MAX_INTERVAL = timedelta(hours=1)


def find_interval(settings: Settings, extra_coins: int, now: datetime) -> timedelta:
    """Return the shortest pause between ticks that the credits allow, MAX_INTERVAL at most.

    `extra_coins` are fetched besides those of the settings.
    """
    usages = usage_log.read(budget_monitor.log_path(settings)).usages
    status = budget_monitor.check_budget_status(settings, now, usages=usages)
    if status.decision == "stop":
        return MAX_INTERVAL  # a tick without new prices still reads from the database
    usage = next(u for u in status.quota_usages if u.name == "coingecko_credits")
    plan = choose_plan(settings.api_key, is_pro=settings.is_pro)
    coins = len(settings.targets) + extra_coins if settings.targets else settings.limit
    shortest = affordable_interval(
        plan, usage.quota, usage.spent or 0.0, max(coins, extra_coins), now
    )
    return min(shortest, MAX_INTERVAL)


def backfill_watched_coins(settings: Settings, watched: Collection[str], clocks: Clocks) -> None:
    """Backfill right after an outage, while CoinGecko still has detailed prices.

    A failure is only logged.
    """
    try:
        listed = CoinRegistry.load(settings.registry_path).coins
    except ValueError:
        return  # the registry file is damaged; the next run replaces it
    targets = tuple(coin_id for coin_id in watched if coin_id in listed)
    if not targets:
        return
    backfill_settings = dataclasses.replace(settings, mode="backfill", targets=targets)
    report = run_pipeline(backfill_settings, clocks=clocks)
    level = logging.WARNING if report.exit_code else logging.INFO
    log.log(level, "after an outage: %s", report.message)


def step_wallets(
    connection: Connection,
    chosen: Sequence[Wallet],
    settings: Settings,
    now: datetime,
    process: StrategyProcess,
) -> None:
    """Step these paper-trading wallets. A user's strategy that fails is only logged."""
    archive = open_configured_archive(settings)
    added, errors = stepping.step_wallets(
        connection, archive, chosen, now, settings.state_dir, process
    )
    for name, events in added.items():
        for event in events:
            log.info("wallet '%s': %s %s", name, event.kind, event.coin_id)
    for error in errors:
        log.warning("%s", error)


def queue_summary(
    connection: Connection,
    monitor: MonitorSettings,
    formatter: MessageFormatter,
    targets: Sequence[str],
    now: datetime,
) -> None:
    """Queue the daily summary if it is due."""
    settings, options = monitor.settings, monitor.options
    daily_summary.queue_if_due(
        connection, settings, options, formatter, targets, now, lambda: read_quotas(settings, now)
    )


def read_quotas(settings: Settings, now: datetime) -> Sequence[QuotaUsage]:
    """Return the usage of the quotas, for the daily summary; also by Neon's own figures."""
    return budget_monitor.check_budget_status(settings, now).quota_usages


def record_heartbeat(
    connection: Connection,
    report: RunReport,
    errors: Sequence[SentinelError],
    loop_state: Mapping[str, object],
    now: datetime,
) -> None:
    """Record the tick in `service_status`, for health checks and the dashboard.

    `loop_state` says how often the loop ticks, how many ticks failed in a row, and its targets.
    """
    # A used-up budget fails no tick, but the user should see it.
    exhausted = [report.message] if report.exit_code == BudgetExhausted.exit_code else []
    state = {
        "status": report.status,
        "exit_code": report.exit_code,
        "run_id": report.run_id,
        "message": report.message,
        "errors": [str(error) for error in errors] or exhausted,
        "messages_waiting": outbox.count_waiting(connection),
        "clock_offset_seconds": report.clock_offset_seconds,
        **loop_state,
    }
    service_status.record(connection, "ingestion", state, now)
