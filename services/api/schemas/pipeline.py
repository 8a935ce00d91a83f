"""Responses about the pipeline: health, runs, gaps, schedule, registry, backups."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sentinel.health.facts import CheckState
from services.api.schemas.base import ApiModel, example_config


class HealthCheckResponse(ApiModel):
    """The result of one check. A `warning` does not fail: `is_ok` is false only for `unhealthy`."""

    is_ok: bool
    state: CheckState
    message: str


class HealthResponse(ApiModel):
    """The results of all checks; `status` is `ok` if none is unhealthy."""

    model_config = example_config("""{"status": "ok", "newest_observation": "2026-11-20T12:00:12Z",
        "last_run_at": "2026-11-20T12:00:14Z",
        "age_seconds": 40.0, "interval_seconds": 300.0, "missed_runs": 0,
        "checks": {"database": {"is_ok": true, "state": "ok",
        "message": "The database answers."}}}""")

    status: Literal["ok", "unhealthy"]
    newest_observation: datetime | None
    # When the loop ended its last run; null where it never ran.
    last_run_at: datetime | None
    age_seconds: float | None
    # The pause between two runs: the loop's, or the schedule's where no loop ever ran.
    interval_seconds: float | None
    # Runs that should have stored prices since the newest observation.
    missed_runs: int | None
    checks: dict[str, HealthCheckResponse]


class RunResponse(ApiModel):
    """A run of the pipeline, as the run recorded it."""

    model_config = example_config("""{"run_id": "20261120T120030Z-6a00",
        "started_at": "2026-11-20T12:00:30Z", "recorded_at": "2026-11-20T12:00:31Z",
        "mode": "ingest", "status": "ok", "targets": 500, "rows_valid": 500, "rows_inserted": 498,
        "rows_updated": 0, "rows_unchanged": 2, "rows_backfilled": 0, "rows_drained": 0,
        "rejected": {}, "missing": [], "api_calls": 1, "api_credits": 1, "db_seconds": 0.05,
        "purged_rows": 0}""")

    run_id: str
    started_at: datetime
    recorded_at: datetime
    mode: str
    status: Literal["ok", "partial", "failed", "skipped"]
    targets: int
    rows_valid: int
    rows_inserted: int
    rows_updated: int
    rows_unchanged: int
    rows_backfilled: int
    # Rows of earlier runs that waited in the spool.
    rows_drained: int
    # Invalid entries by reason.
    rejected: dict[str, int]
    # Ids that CoinGecko did not return.
    missing: list[str]
    api_calls: int
    api_credits: int
    db_seconds: float
    purged_rows: int


class GapResponse(ApiModel):
    """A pause between two observations of more than twice the cadence."""

    model_config = example_config("""{"coin_id": "bitcoin", "start": "2026-11-20T08:00:00Z",
        "stop": "2026-11-20T10:00:00Z", "slot_minutes": 15.0, "missed": 7, "reason": null}""")

    coin_id: str
    start: datetime
    stop: datetime
    # The cadence, and about how many observations are missing.
    slot_minutes: float
    missed: int
    # Why the gap cannot be filled; null while the backfill may still fill it.
    reason: str | None


class SlotCoverageResponse(ApiModel):
    """The history of the best-ranked coins from 7 days ago to 24 hours ago, in slots.

    A slot is one cadence of one coin: observed by a run, backfilled, or open.
    """

    coins: int
    slots: float
    observed_share: float
    backfilled_share: float
    open_share: float
    longest_pause_minutes: float


class ScheduleResponse(ApiModel):
    """Schedule coverage of the last seven days: slots that were due, and slots with a run."""

    model_config = example_config("""{"cadence_minutes": 5.0, "expected": 2016, "delivered": 1990,
        "share": 0.987, "longest_silence_minutes": 42.0, "slots": {"coins": 100,
        "slots": 172800.0, "observed_share": 0.985, "backfilled_share": 0.015, "open_share": 0.0,
        "longest_pause_minutes": 9.5}}""")

    cadence_minutes: float
    expected: int
    delivered: int
    share: float | None
    longest_silence_minutes: float
    # Null: the backfill is off, or nothing is stored that is older than a day.
    slots: SlotCoverageResponse | None


class RegistryCoinResponse(ApiModel):
    """A coin with bad responses: `strikes` in a row. An inactive one is retried at `next_probe`."""

    model_config = example_config("""{"id": "0xlsd", "symbol": "0xlsd", "name": "0xLSD",
        "rank": null, "status": "inactive", "strikes": 3, "reason": "missing",
        "since": "2026-11-20T12:00:30Z", "next_probe": "2026-11-21T12:00:30Z"}""")

    id: str
    symbol: str
    name: str
    rank: int | None
    status: Literal["active", "inactive", "delisted"]
    strikes: int
    reason: str | None
    since: datetime | None
    next_probe: datetime | None


class RegistryResponse(ApiModel):
    """Number of coins by status, and the coins with strikes, inactive ones first.

    Delisted coins are counted, not listed.
    """

    synced_at: datetime | None
    active: int
    inactive: int
    delisted: int
    coins: list[RegistryCoinResponse]


class BackupResponse(ApiModel):
    """The last attempt to make a backup, and the last backup that was restored and compared."""

    model_config = example_config("""{"tried_at": "2026-11-20T03:00:00Z",
        "verified_at": "2026-11-20T03:00:00Z", "age_seconds": 32400.0,
        "file": "market-sentinel-20261120T030000Z.dump", "bytes": 48000000, "rows": 2000000,
        "problem": null}""")

    tried_at: datetime | None
    # Null if no backup was ever verified; file, bytes, rows and age are those of this backup.
    verified_at: datetime | None
    age_seconds: float | None
    file: str | None
    bytes: int | None
    rows: int | None
    # Why the last attempt failed.
    problem: str | None
