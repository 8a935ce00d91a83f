"""Health check: what is stored, how fresh, how complete, how long the free storage lasts."""

from __future__ import annotations

import argparse
import functools
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.spool import Spool
from safe_zone import CADENCE_WINDOW, GAP_WINDOW, MAX_AGE_MINUTES, Settings, load_settings
from sentinel import console
from sentinel.archive import records
from sentinel.budget import output as budget_output
from sentinel.budget.schedule import ScheduleCoverage
from sentinel.errors import EXIT_OK, EXIT_UNHEALTHY, ConfigurationError
from sentinel.models import Gap, describe_gap_reason
from sentinel.process import run_as_script
from sentinel.storage import schema, service_status
from sentinel.storage.connection import Connection, Session, resolve_database
from sentinel.storage.queries.gaps import find_gaps
from sentinel.storage.queries.prices import LatestPrice, read_latest_prices
from sentinel.storage.queries.schedule_coverage import measure_schedule_coverage
from sentinel.storage.queries.table_health import (
    TableHealth,
    count_duplicates,
    read_table_health,
)
from sentinel.storage.retention import overdue_partitions
from sentinel.storage.schema import is_up_to_date

log = logging.getLogger("sentinel.verify")
TOP = 5
SHOWN_GAPS = 10


@dataclass(frozen=True, slots=True)
class Health:
    """What was found; `problems` is empty where all is well."""

    problems: list[str]
    tables: TableHealth | None = None
    gaps: Sequence[Gap] = ()
    delivery: ScheduleCoverage | None = None
    duplicates: int = 0
    top: Sequence[LatestPrice] = ()
    backup: service_status.BackupStatus | None = None


def examine(
    connection: Connection,
    now: datetime,
    cadence: timedelta,
    max_age_minutes: float = MAX_AGE_MINUTES,
) -> Health:
    """Look at everything and judge it; `cadence` is the schedule's, on paper."""
    if not schema.has_schema(connection):
        return Health(["nothing was ever stored here: run python ingest.py"])
    if not is_up_to_date(connection):
        return Health(["the schema is older than this code: python ingest.py brings it up to date"])
    tables = read_table_health(connection, now)
    duplicates = count_duplicates(connection)
    backup = service_status.read_backup_status(connection)
    problems = _problems(tables, duplicates, backup, now, max_age_minutes)
    return Health(
        problems + _overdue(connection, now),
        tables,
        find_gaps(connection, now, cadence=cadence),
        measure_schedule_coverage(connection, now, cadence),
        duplicates,
        read_latest_prices(connection, TOP),
        backup,
    )


def _problems(
    tables: TableHealth,
    duplicates: int,
    backup: service_status.BackupStatus | None,
    now: datetime,
    max_age_minutes: float,
) -> list[str]:
    problems = []
    age = age_minutes(tables, now)
    if age is None:
        problems.append("no observation is stored: run python ingest.py")
    elif age > max_age_minutes:
        problems.append(
            f"the newest observation is {age:.0f} minutes old, more than {max_age_minutes:g}: "
            "look why the schedule does not run"
        )
    if duplicates:
        problems.append(
            f"{duplicates} observations are stored twice: the index is damaged, run "
            "REINDEX TABLE sentinel.observations"
        )
    if backup and backup.problem:
        problems.append(f"the last backup failed ({_minute(backup.tried_at)}): {backup.problem}")
    return problems


def _overdue(connection: Connection, now: datetime) -> list[str]:
    """What to say of days that a purge should have dropped by yesterday."""
    over = overdue_partitions(connection, now)
    if not over:
        return []
    _, trouble, _ = records.last_attempt(connection)
    why = trouble or "look at the last runs' warnings"
    return [f"{len(over)} days older than the retention wait to be purged: {why}"]


def age_minutes(tables: TableHealth, now: datetime) -> float | None:
    """Minutes since the newest observation, None where there is none."""
    return (now - tables.newest).total_seconds() / 60 if tables.newest else None


def as_json(
    health: Health, place: str, spooled: int, now: datetime, quota: float | None
) -> dict[str, Any]:
    """The health as one JSON object; times are ISO 8601 in UTC, sizes bytes."""
    found: dict[str, Any] = {
        "healthy": not health.problems,
        "problems": health.problems,
        "database": place,
        "spooled_rows": spooled,
    }
    if health.tables:
        found |= asdict(health.tables) | {
            "age_minutes": age_minutes(health.tables, now),
            "bytes_per_row": health.tables.bytes_per_row,
            "days_until_full": health.tables.days_until_full(now, quota),
            "duplicates": health.duplicates,
            "gaps": [_gap_as_json(gap) for gap in health.gaps],
            "delivery": health.delivery and budget_output.coverage_as_json(health.delivery),
            "top": [asdict(price) for price in health.top],
            "backup": health.backup and asdict(health.backup),
        }
    return found


def _gap_as_json(gap: Gap) -> dict[str, Any]:
    return gap._asdict() | {"slot": gap.slot.total_seconds() / 60}


def show(health: Health, place: str, spooled: int, now: datetime, quota: float | None) -> None:
    """The health as tables on stdout."""
    if health.tables:
        _show_facts(health, health.tables, place, spooled, now, quota)
    if health.gaps:
        newest = sorted(health.gaps, key=lambda gap: gap.start, reverse=True)[:SHOWN_GAPS]
        cells = [
            (
                gap.coin_id,
                _minute(gap.start),
                _minute(gap.stop),
                gap.missed,
                describe_gap_reason(gap.reason),
            )
            for gap in newest
        ]
        columns = ("coin", "from", "to", "missing", "why it is open")
        console.show_table(f"Gaps, the newest {len(cells)}", columns, cells)
    if health.top:
        _show_top(health.top)
    print("healthy" if not health.problems else f"unhealthy: {'; '.join(health.problems)}")


def _show_facts(
    health: Health,
    tables: TableHealth,
    place: str,
    spooled: int,
    now: datetime,
    quota: float | None,
) -> None:
    age = age_minutes(tables, now)
    per_row = f"{tables.bytes_per_row:.0f} bytes a row" if tables.bytes_per_row else "empty"
    ago = "" if age is None else f" ({age:.0f} minutes ago)"
    facts = [
        ("database", place),
        ("observations", f"{tables.rows:,} rows of {tables.coins:,} coins"),
        ("newest", _minute(tables.newest) + ago),
        ("oldest", _minute(tables.oldest)),
        ("duplicates", health.duplicates),
        ("size", f"{tables.database_bytes / 1e6:,.1f} MB, {per_row}"),
        ("free storage", _storage(tables, now, quota)),
        ("runs", _runs(health.delivery)),
        ("gaps", _gaps(health.gaps)),
        ("waiting in the spool", f"{spooled:,} rows"),
        ("last verified backup", _backup(health.backup, now)),
    ]
    console.show_table("Health", ("what", "value"), facts)


def _show_top(prices: Sequence[LatestPrice]) -> None:
    cells = [
        (
            price.rank,
            price.coin_id,
            console.format_number(price.price_usd),
            console.format_number(price.market_cap_usd),
            _minute(price.observed_at),
        )
        for price in prices
    ]
    console.show_table("Top coins", ("rank", "coin", "USD", "market cap", "observed at"), cells)


def _gaps(gaps: Sequence[Gap]) -> str:
    """How many there are of how many coins, and what becomes of them."""
    within = f"in the last {GAP_WINDOW.days} days"
    if not gaps:
        return f"none {within}"
    coins = len({gap.coin_id for gap in gaps})
    reasons = Counter(describe_gap_reason(gap.reason) for gap in gaps).most_common()
    told = "; ".join(f"{count} {reason}" for reason, count in reasons)
    return f"{len(gaps)} of {coins} coins {within}: {told}"


def _runs(delivery: ScheduleCoverage | None) -> str:
    return f"{delivery} in the last {CADENCE_WINDOW.days} days" if delivery else "none"


def _backup(backup: service_status.BackupStatus | None, now: datetime) -> str:
    if backup is None or backup.verified_at is None:
        return "none: run ./backup_db.sh"
    hours = (now - backup.verified_at).total_seconds() / 3600
    return (
        f"{_minute(backup.verified_at)} ({hours:.0f} hours ago), {backup.rows:,} rows, "
        f"{backup.file}"
    )


def _storage(tables: TableHealth, now: datetime, quota: float | None) -> str:
    if quota is None:
        return "no limit"
    limit = f"{quota / 1e6:,.0f} MB"
    days = tables.days_until_full(now, quota)
    if days is not None:
        return f"{limit} full in {days:.0f} days at the last day's pace"
    if tables.oldest and (now - tables.oldest).days >= 1:
        return f"{limit} never full at the last day's pace"
    return f"{limit}; the days until it is full are known after a day of data"


def _minute(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else "none"


def _max_age(word: str) -> float:
    try:
        minutes = float(word)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < float("inf"):
        raise ConfigurationError(f"--max-age '{word}' must be a number of minutes above 0")
    return minutes


def main() -> int:
    """Examine the configured database; returns 0, or 6 where it is unhealthy."""
    parser = argparse.ArgumentParser(
        prog="verify_db.py",
        description=__doc__,
        epilog="example: python verify_db.py --max-age 60; exit code 6 means unhealthy",
    )
    parser.add_argument(
        "--max-age",
        metavar="MIN",
        default=str(MAX_AGE_MINUTES),
        help=f"how old the newest observation may be (default {MAX_AGE_MINUTES})",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    console.configure_logging()
    max_age, settings, now = _max_age(arguments.max_age), load_settings(), datetime.now(UTC)
    health, place = _examine_configured(settings, now, max_age)
    spooled = Spool(settings.state_dir / "spool").waiting_rows()
    quota = settings.quotas["neon_storage_bytes"]
    if arguments.json:
        found = as_json(health, place, spooled, now, quota)
        print(json.dumps(found, default=datetime.isoformat))
    else:
        show(health, place, spooled, now, quota)
    return EXIT_UNHEALTHY if health.problems else EXIT_OK


def _examine_configured(settings: Settings, now: datetime, max_age: float) -> tuple[Health, str]:
    with resolve_database(settings) as address, Session(address) as session:
        cadence = timedelta(minutes=settings.cadence_minutes)
        look = functools.partial(examine, now=now, cadence=cadence, max_age_minutes=max_age)
        return session.use(look), address.display_name


if __name__ == "__main__":
    run_as_script(main)
