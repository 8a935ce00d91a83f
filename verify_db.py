"""Check the stored data: how much, how fresh, how complete, and how long the free storage lasts."""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.spool import Spool
from safe_zone import CADENCE_WINDOW, GAP_WINDOW, MAX_AGE_MINUTES, Settings, load_settings
from sentinel import console
from sentinel.archive import records
from sentinel.arguments import make_parser, number
from sentinel.budget import budget_output
from sentinel.budget.coingecko_credits import covered_coins
from sentinel.budget.schedule import ScheduleCoverage, SlotCoverage
from sentinel.errors import EXIT_OK, EXIT_UNHEALTHY, SentinelError
from sentinel.health.checks import format_minute
from sentinel.health.deployment import check_deployment
from sentinel.health.facts import HealthCheck, find_failures
from sentinel.models import Gap, describe_gap_reason
from sentinel.process import run_as_script
from sentinel.storage import egress, service_status
from sentinel.storage.connection import Connection, Session, resolve_database
from sentinel.storage.preconditions import refuse_foreign_market_data
from sentinel.storage.queries.gaps import find_gaps
from sentinel.storage.queries.prices import LatestPrice, read_latest_prices
from sentinel.storage.queries.schedule_coverage import measure_schedule_coverage, read_cadence
from sentinel.storage.queries.slot_coverage import list_best_coins, measure_slot_coverage
from sentinel.storage.queries.table_health import TableHealth, count_duplicates, read_table_health
from sentinel.storage.retention import overdue_partitions

TOP_COINS = 5
SHOWN_GAPS = 10


@dataclass(frozen=True, slots=True)
class Health:
    """What the check found. Only `problems` is set where the schema is missing or old."""

    # What is wrong and what to do, one text each; empty if the database is healthy.
    problems: list[str]
    # All checks of the deployment, those that are well included.
    checks: Sequence[HealthCheck] = ()
    tables: TableHealth | None = None
    # The gaps of the last GAP_WINDOW of the coins that the backfill covers, in order of rank, those
    # that stay open included.
    gaps: Sequence[Gap] = ()
    # How many of the runs of the last CADENCE_WINDOW happened.
    schedule: ScheduleCoverage | None = None
    # How much of the history of these coins was observed and backfilled; None: it is too short.
    slots: SlotCoverage | None = None
    # Observations that are stored more than once.
    duplicates: int = 0
    # The newest prices of the TOP_COINS best-ranked coins.
    top: Sequence[LatestPrice] = ()
    # None: no backup was ever tried.
    backup: service_status.BackupStatus | None = None
    # What all readers received in this month, in bytes; None: the database is not Neon's.
    egress_bytes: int | None = None


def examine(
    connection: Connection, settings: Settings, now: datetime, max_age: timedelta | None = None
) -> Health:
    """Check the database and return what was found.

    `max_age` replaces the limit for the age of the newest observation.
    """
    refuse_foreign_market_data(connection)
    found = check_deployment(connection, settings, now, max_age=max_age)
    failures = [check.message for check in find_failures(found.checks)]
    if found.facts is None:
        return Health(failures, found.checks)
    configured = timedelta(minutes=settings.cadence_minutes)
    cadence = read_cadence(connection, now, configured)
    coins = covered_coins(settings.backfill_credits_per_day)
    coin_ids = list_best_coins(connection, now, coins)
    duplicates = count_duplicates(connection)
    return Health(
        _describe_duplicates(duplicates) + _describe_overdue_days(connection, now) + failures,
        found.checks,
        read_table_health(connection, now),
        find_gaps(connection, now, cadence=cadence, coin_ids=coin_ids).fetchall(),
        measure_schedule_coverage(connection, now, configured),
        measure_slot_coverage(connection, now, cadence=cadence, coins=coins).fetchone(),
        duplicates,
        read_latest_prices(connection, TOP_COINS),
        found.facts.backup,
        egress.read_month(connection).total if egress.find_compute(connection) else None,
    )


def _describe_duplicates(duplicates: int) -> list[str]:
    if not duplicates:
        return []
    return [
        f"{duplicates} observations are stored twice: the index is damaged, run REINDEX TABLE "
        "sentinel.observations."
    ]


def _describe_overdue_days(connection: Connection, now: datetime) -> list[str]:
    """Return a problem if yesterday's purge did not drop all expired days, else nothing."""
    overdue = overdue_partitions(connection, now)
    if not overdue:
        return []
    _, archive_error, _ = records.last_attempt(connection)
    why = archive_error or "see the warnings of the last runs"
    return [f"{len(overdue)} days older than the retention wait to be purged: {why.rstrip('.')}."]


def age_minutes(tables: TableHealth, now: datetime) -> float | None:
    """Return the age of the newest observation in minutes; None: nothing is stored."""
    return (now - tables.newest).total_seconds() / 60 if tables.newest else None


def as_json(
    health: Health, database: str, spooled_rows: int, now: datetime, quota_bytes: float | None
) -> dict[str, Any]:
    """Return the result as one JSON object; times are ISO 8601 in UTC, sizes are in bytes."""
    fields: dict[str, Any] = {
        "healthy": not health.problems,
        "problems": health.problems,
        "checks": {check.name: _check_as_json(check) for check in health.checks},
        "database": database,
        "spooled_rows": spooled_rows,
    }
    if health.tables:
        fields |= asdict(health.tables) | {
            "age_minutes": age_minutes(health.tables, now),
            "bytes_per_row": health.tables.bytes_per_row,
            "days_until_full": health.tables.days_until_full(now, quota_bytes),
            "duplicates": health.duplicates,
            "gaps": [_gap_as_json(gap) for gap in health.gaps],
            "schedule": health.schedule and budget_output.coverage_as_json(health.schedule),
            "slots": health.slots and asdict(health.slots),
            "top": [asdict(price) for price in health.top],
            "backup": health.backup and asdict(health.backup),
            "egress_bytes": health.egress_bytes,
        }
    return fields


def _check_as_json(check: HealthCheck) -> dict[str, Any]:
    return {"is_ok": check.is_ok, "state": check.state, "message": check.message}


def _gap_as_json(gap: Gap) -> dict[str, Any]:
    # `slot` is in minutes.
    return gap._asdict() | {"slot": gap.slot.total_seconds() / 60}


def show(
    health: Health, database: str, spooled_rows: int, now: datetime, quota_bytes: float | None
) -> None:
    """Print the result as tables, and a last line that says whether the database is healthy."""
    if tables := health.tables:
        age = age_minutes(tables, now)
        per_row = f"{tables.bytes_per_row:.0f} bytes a row" if tables.bytes_per_row else "empty"
        ago = "" if age is None else f" ({age:.0f} minutes ago)"
        facts = [
            ("database", database),
            ("observations", f"{tables.rows:,} rows of {tables.coins:,} coins"),
            ("newest", _format_minute(tables.newest) + ago),
            ("oldest", _format_minute(tables.oldest)),
            ("duplicates", health.duplicates),
            ("size", f"{tables.database_bytes / 1e6:,.1f} MB, {per_row}"),
            ("free storage", _describe_free_storage(tables, now, quota_bytes)),
            ("runs", _describe_schedule(health.schedule)),
            ("history", str(health.slots or "known after a day, unless the backfill is off")),
            ("gaps", _describe_gaps(health.gaps)),
            ("waiting in the spool", f"{spooled_rows:,} rows"),
            ("last verified backup", _describe_backup(health.backup, now)),
        ]
        if health.egress_bytes is not None:
            facts.append(("egress this month", f"{health.egress_bytes / 1e6:,.1f} MB"))
        console.show_table("Health", ("what", "value"), facts)
    if health.gaps:
        _show_gaps(health.gaps)
    if health.top:
        _show_top(health.top)
    for check in health.checks:
        if check.state == "warning":
            print(f"warning: {check.message}")
    print("healthy" if not health.problems else f"unhealthy: {' '.join(health.problems)}")


def _show_gaps(gaps: Sequence[Gap]) -> None:
    newest = sorted(gaps, key=lambda gap: gap.start, reverse=True)[:SHOWN_GAPS]
    cells = [
        (
            gap.coin_id,
            _format_minute(gap.start),
            _format_minute(gap.stop),
            gap.missed,
            describe_gap_reason(gap.reason),
        )
        for gap in newest
    ]
    columns = ("coin", "from", "to", "missing", "why it is open")
    console.show_table(f"The newest {len(cells)} gaps", columns, cells)


def _show_top(prices: Sequence[LatestPrice]) -> None:
    cells = [
        (
            price.rank,
            price.coin_id,
            console.format_number(price.price_usd),
            console.format_number(price.market_cap_usd),
            _format_minute(price.observed_at),
        )
        for price in prices
    ]
    console.show_table("Top coins", ("rank", "coin", "USD", "market cap", "observed at"), cells)


def _describe_gaps(gaps: Sequence[Gap]) -> str:
    """Return the number of gaps, of how many coins they are, and why they are open."""
    within = f"in the last {GAP_WINDOW.days} days"
    if not gaps:
        return f"none {within}"
    coins = len({gap.coin_id for gap in gaps})
    reasons = Counter(describe_gap_reason(gap.reason) for gap in gaps).most_common()
    counts = "; ".join(f"{count} {reason}" for reason, count in reasons)
    return f"{len(gaps)} of {coins} coins {within}: {counts}"


def _describe_schedule(schedule: ScheduleCoverage | None) -> str:
    return f"{schedule} in the last {CADENCE_WINDOW.days} days" if schedule else "none"


def _describe_backup(backup: service_status.BackupStatus | None, now: datetime) -> str:
    if backup is None or backup.verified_at is None:
        return "none: run ./backup_db.sh"
    hours = (now - backup.verified_at).total_seconds() / 3600
    return (
        f"{_format_minute(backup.verified_at)} ({hours:.0f} hours ago), {backup.rows:,} rows, "
        f"{backup.file}"
    )


def _describe_free_storage(tables: TableHealth, now: datetime, quota_bytes: float | None) -> str:
    if quota_bytes is None:
        return "no limit"
    limit = f"{quota_bytes / 1e6:,.0f} MB"
    days = tables.days_until_full(now, quota_bytes)
    if days is not None:
        return f"{limit} full in {days:.0f} days at the last day's growth"
    if tables.oldest and (now - tables.oldest).days >= 1:
        return f"{limit} never full at the last day's growth"
    return f"{limit}; the days until it is full are known after a day of data"


def _format_minute(at: datetime | None) -> str:
    return format_minute(at) if at else "none"


def main() -> int:
    """Check the configured database; return 0, or 6 if it is unhealthy."""
    parser = make_parser(
        "verify_db.py",
        __doc__,
        "example: python verify_db.py --max-age 60; exit code 6 means unhealthy",
    )
    parser.add_argument(
        "--max-age",
        metavar="MIN",
        type=number(10_000_000),
        help="maximum age of the newest observation in minutes (default: three intervals of the "
        f"loop, at least 15; without a loop {MAX_AGE_MINUTES})",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    try:
        return _verify(arguments)
    except SentinelError as error:
        if arguments.json:
            print(json.dumps({"healthy": False, "problems": [str(error)]}))
        raise


def _verify(arguments: argparse.Namespace) -> int:
    """Check the configured database, print the result and return the exit code."""
    settings, now = load_settings(), datetime.now(UTC)
    max_age = None if arguments.max_age is None else timedelta(minutes=float(arguments.max_age))
    with resolve_database(settings) as address, Session(address) as session:
        health = session.use(lambda c: examine(c, settings, now, max_age))
    spooled_rows = Spool(settings.state_dir / "spool").waiting_rows()
    quota_bytes = settings.quotas["neon_storage_bytes"]
    if arguments.json:
        fields = as_json(health, address.display_name, spooled_rows, now, quota_bytes)
        print(json.dumps(fields, default=datetime.isoformat))
    else:
        show(health, address.display_name, spooled_rows, now, quota_bytes)
    return EXIT_UNHEALTHY if health.problems else EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
