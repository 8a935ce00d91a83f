"""The rules of the health checks: from the facts to states and sentences, without I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sentinel.errors import ApiUnavailable, BudgetExhausted, StorageUnavailable
from sentinel.health.facts import (
    CheckState,
    DiskSpace,
    HealthCheck,
    HealthFacts,
    LostMessages,
    NewestRun,
    TargetDelivery,
    count_missed_runs,
)
from sentinel.health.failure_rates import check_failure_rates
from sentinel.storage import service_status
from sentinel.storage.service_status import BackupStatus, ServiceStatus
from sentinel.times import format_age

# One missed run is the usual age of a price: CoinGecko's prices are up to two minutes old.
OLD_MISSED_RUNS = 2
MAX_WAIT = timedelta(minutes=10)  # of a message; a target that asks for a pause asks for less
MAX_DELIVERY_FAILURES = 3  # in a row, within 15 seconds; fewer are a short fault of the network
MAX_BACKUP_AGE = timedelta(days=2)  # two nights
MAX_NEON_BACKUP_AGE = timedelta(days=8)  # a week: nightly dumps exceed Neon's egress quota
# Shares of the disk, and bytes: PostgreSQL stops on a full disk.
DISK_WARNING_SHARE, DISK_UNHEALTHY_SHARE, DISK_UNHEALTHY_BYTES = 0.10, 0.05, 500_000_000
# Why a run failed, by its exit code. The run's own message may contain addresses.
_CAUSES = {
    ApiUnavailable.exit_code: ": CoinGecko gives no usable answer",
    StorageUnavailable.exit_code: ": the database is unavailable",
    BudgetExhausted.exit_code: ": a monthly quota is used up",
}
MAX_CLOCK_OFFSET = timedelta(minutes=5)  # transform.py rejects prices of the future after ten


def check_facts(facts: HealthFacts, now: datetime) -> list[HealthCheck]:
    """Return all checks of a deployment whose database answers."""
    return [
        HealthCheck("database", "ok", "The database answers."),
        _check_freshness(facts, now),
        _check_last_run(facts, now),
        check_failure_rates(facts.failing_coins),
        _check_delivery(facts, now),
        *([_check_telegram(facts.telegram, now)] if facts.telegram else []),
        _check_backup(facts.backup, facts.max_backup_age or MAX_BACKUP_AGE, now),
        check_disk(facts.disk),
        _measure_clock(facts, now),
    ]


def _rate_age(age: timedelta, interval: timedelta, limit: timedelta) -> CheckState:
    if age > limit:
        return "unhealthy"
    return "warning" if count_missed_runs(age, interval) >= OLD_MISSED_RUNS else "ok"


def _check_freshness(facts: HealthFacts, now: datetime) -> HealthCheck:
    if facts.newest_observation is None:
        text = "No observation is stored: start the ingestion (make up), or run python ingest.py."
        return HealthCheck("freshness", "unhealthy", text)
    age = now - facts.newest_observation
    missed = count_missed_runs(age, facts.interval)
    state = _rate_age(age, facts.interval, facts.late_after)
    text = f"The newest observation is {format_age(age)} old"
    if missed >= OLD_MISSED_RUNS:
        text += f", {missed} runs are missing"
    if state == "unhealthy":
        limit = format_age(facts.late_after)
        text += f" (the limit is {limit}): check why no run has stored newer ones"
    return HealthCheck("freshness", state, f"{text}.")


def _check_last_run(facts: HealthFacts, now: datetime) -> HealthCheck:
    if facts.loop:
        return _check_loop(facts.loop, now)
    if facts.newest_run:
        return _check_scheduled_run(facts, facts.newest_run, now)
    text = "No run is recorded yet: start the ingestion (make up), or run python ingest.py."
    return HealthCheck("last_run", "unhealthy", text)


def _check_loop(loop: ServiceStatus, now: datetime) -> HealthCheck:
    age = now - loop.recorded_at
    state = _rate_age(age, loop.interval, service_status.late_after(loop.interval))
    errors = "; ".join(loop.state.get("errors") or [])
    detail = errors or str(loop.state.get("message", ""))
    text = f"The loop's last run was {format_age(age)} ago"
    if state == "unhealthy":
        text += ": see its log, or start it (make up)"
    elif errors:
        cause = _CAUSES.get(loop.state.get("exit_code", 0), "")
        state, text = "unhealthy", f"{text} and failed{cause}"
    return HealthCheck("last_run", state, f"{text}.", detail)


def _check_scheduled_run(facts: HealthFacts, run: NewestRun, now: datetime) -> HealthCheck:
    age = now - run.started_at
    text = f"The newest run started {format_age(age)} ago"
    if age > facts.late_after:
        return HealthCheck("last_run", "unhealthy", f"{text}: check the schedule, or start a run.")
    if run.status in ("partial", "failed"):
        state: CheckState = "unhealthy" if run.status == "failed" else "warning"
        return HealthCheck("last_run", state, f"{text} and is {run.status}: see its summary.")
    return HealthCheck("last_run", "ok", f"{text}.")


def _check_delivery(facts: HealthFacts, now: datetime) -> HealthCheck:
    failing = [delivery for delivery in facts.deliveries if is_failing(delivery, now)]
    if not failing:
        return _check_lost_messages(facts.lost_messages)
    texts = [
        f"Messages to {delivery.label} have not arrived since "
        f"{format_minute(delivery.waiting_since)} ({delivery.waiting} waiting): check ALERT_URLS, "
        "TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID."
        for delivery in failing
    ]
    errors = [f"{delivery.error.rstrip('.')}." for delivery in failing if delivery.error]
    return HealthCheck("delivery", "unhealthy", " ".join(texts), " ".join(errors))


def _check_lost_messages(lost: Sequence[LostMessages]) -> HealthCheck:
    if not lost:
        return HealthCheck("delivery", "ok", "No message is overdue.")
    texts = [
        f"{each.label} refused {each.refused} messages for good in the last day." for each in lost
    ]
    errors = [f"{each.error.rstrip('.')}." for each in lost]
    return HealthCheck("delivery", "warning", " ".join(texts), " ".join(errors))


def is_failing(delivery: TargetDelivery, now: datetime) -> bool:
    """Return whether a target gets no messages: it refuses them, or one waits for MAX_WAIT."""
    has_waited = now - delivery.waiting_since > MAX_WAIT
    return has_waited or delivery.failures >= MAX_DELIVERY_FAILURES


def _check_telegram(status: ServiceStatus, now: datetime) -> HealthCheck:
    """Return the check of the process that answers Telegram commands."""
    age, state = now - status.recorded_at, status.state
    if age > service_status.MAX_POLL_PAUSE:
        text = f"The process that answers Telegram commands has been silent for {format_age(age)}"
        return HealthCheck("telegram", "unhealthy", f"{text}: see its log, or start it (make up).")
    if problem := state.get("problem"):
        level: CheckState = "unhealthy" if state.get("is_token_wrong") else "warning"
        return HealthCheck("telegram", level, "No Telegram commands arrive.", f"{problem}.")
    counts = (
        f"{state.get('answered', 0)} answered, {state.get('strangers', 0)} of strangers ignored, "
        f"{state.get('dropped', 0)} dropped since its start."
    )
    return HealthCheck("telegram", "ok", "Telegram commands are answered.", counts)


def _check_backup(backup: BackupStatus | None, limit: timedelta, now: datetime) -> HealthCheck:
    if backup is None:
        return HealthCheck("backup", "ok", "No backup was made yet: run ./backup_db.sh.")
    if backup.problem or backup.verified_at is None:
        text = f"The last backup failed ({format_minute(backup.tried_at)})."
        return HealthCheck("backup", "unhealthy", text, backup.problem or "")
    age = now - backup.verified_at
    if -age > MAX_CLOCK_OFFSET:  # its age would not tell for a long time that backups stopped
        made_at = format_minute(backup.verified_at)
        text = f"The last verified backup is of {made_at}: a clock was wrong, run ./backup_db.sh"
        return HealthCheck("backup", "unhealthy", f"{text}.")
    text = f"The last verified backup is {format_age(age)} old"
    if age > limit:
        text += ": run ./backup_db.sh, and schedule it (docs/monitor.md)"
        return HealthCheck("backup", "unhealthy", f"{text}.")
    return HealthCheck("backup", "ok", f"{text}.")


def check_disk(disk: DiskSpace | None) -> HealthCheck:
    """Return the check of the free space in the state folder."""
    if disk is None:
        return HealthCheck("disk", "ok", "The free space of the state folder cannot be read.")
    share = disk.free_bytes / disk.total_bytes if disk.total_bytes else 0.0
    text = f"{_format_size(disk.free_bytes)} ({share:.0%}) of the state folder's disk are free"
    state: CheckState = "ok"
    if share < DISK_UNHEALTHY_SHARE or disk.free_bytes < DISK_UNHEALTHY_BYTES:
        state = "unhealthy"
    elif share < DISK_WARNING_SHARE:
        state = "warning"
    remedy = "" if state == "ok" else ": delete files there, or move the folder to a larger disk"
    return HealthCheck("disk", state, f"{text}{remedy}.", f"The folder is {disk.folder}.")


def _measure_clock(facts: HealthFacts, now: datetime) -> HealthCheck:
    """Compare the host's clock with the database's and, as the loop measured it, CoinGecko's."""
    offsets = {"the database's": facts.database_clock_offset}
    loop = facts.loop
    # An offset that a loop measured long ago says nothing about the clock now.
    if loop and not service_status.is_late(now - loop.recorded_at, loop.interval):
        seconds = loop.state.get("clock_offset_seconds")
        if seconds is not None:
            offsets["CoinGecko's"] = timedelta(seconds=seconds)
    return check_clock(offsets)


def check_clock(offsets: Mapping[str, timedelta]) -> HealthCheck:
    """Return the check of this host's clock, which is ahead of others by `offsets`."""
    wrong = [
        f"{format_age(abs(offset))} {'ahead of' if offset > timedelta() else 'behind'} {whose}"
        for whose, offset in offsets.items()
        if abs(offset) > MAX_CLOCK_OFFSET
    ]
    if not wrong:
        return HealthCheck("clock", "ok", f"The clock agrees with {' and '.join(offsets)}.")
    text = f"This host's clock is {' and '.join(wrong)}: set it, and keep it right with NTP."
    return HealthCheck("clock", "unhealthy", text)


def _format_size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"


def format_minute(at: datetime) -> str:
    """Return a time in UTC, to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
