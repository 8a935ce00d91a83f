"""How the monitor itself fares: health, metrics, runs, gaps, budget."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

import budget_monitor
from sentinel.budget import usage_log
from sentinel.errors import StorageUnavailable
from sentinel.storage import queries as storage_queries
from sentinel.storage.connection import Connection
from services.api import queries, schemas
from services.api.dependencies import CoinFilter, Context, Here, Limit, Offset, as_utc
from services.api.problems import described

router = APIRouter(tags=["operations"])
GAPS_AMONG = 50  # coins: a second's work where there is a point a minute
LONGEST_INTERVAL = timedelta(hours=1)  # a loop that rests longer is not well
LATE = 3  # intervals without a new observation or tick, after which something is wrong
LEAST_AGE = timedelta(minutes=15)  # observations are not younger just because the loop is fast
DEFAULT_INTERVAL = timedelta(minutes=5)


@router.get(
    "/health", responses={503: {"model": schemas.Health, "description": "something is wrong"}}
)
def health(here: Here, response: Response) -> schemas.Health:
    """Whether the database answers, prices are fresh and the loop ticks; 503 where one is not."""
    found = look(here)
    response.status_code = 200 if found.status == "ok" else 503
    response.headers["Cache-Control"] = "no-store"
    return found


def look(here: Context) -> schemas.Health:
    """The checks behind `/health`."""
    try:
        newest, beat = here.store.read(
            lambda c: (queries.newest_observation(c), queries.heartbeat(c))
        )
    except StorageUnavailable as error:
        check = schemas.Check(is_ok=False, message=str(error))
        return schemas.Health(
            status="unhealthy",
            newest_observation=None,
            age_seconds=None,
            interval_seconds=None,
            missed_runs=None,
            checks={"database": check},
        )
    now = here.now()
    interval = _interval(beat)
    age = None if newest is None else now - newest
    checks = {
        "database": schemas.Check(is_ok=True, message="it answers"),
        "freshness": _freshness(age, interval),
        "last_run": _last_run(beat, now, interval),
    }
    is_ok = all(check.is_ok for check in checks.values())
    return schemas.Health(
        status="ok" if is_ok else "unhealthy",
        newest_observation=newest,
        age_seconds=None if age is None else age.total_seconds(),
        interval_seconds=interval.total_seconds(),
        missed_runs=None if age is None else max(0, int(age / interval) - 1),
        checks=checks,
    )


def _interval(beat: queries.Row | None) -> timedelta:
    seconds = beat["state"].get("interval_seconds") if beat else None
    return min(LONGEST_INTERVAL, timedelta(seconds=seconds)) if seconds else DEFAULT_INTERVAL


def _freshness(age: timedelta | None, interval: timedelta) -> schemas.Check:
    if age is None:
        return schemas.Check(is_ok=False, message="nothing was observed yet: start the ingestion")
    text = f"the newest observation is {age.total_seconds() / 60:.0f} minutes old"
    return schemas.Check(is_ok=age <= max(LEAST_AGE, LATE * interval), message=text)


def _last_run(beat: queries.Row | None, now: datetime, interval: timedelta) -> schemas.Check:
    if beat is None:
        return schemas.Check(is_ok=False, message="the loop never ticked: start the ingestion")
    state, age = beat["state"], now - beat["beat_at"]
    if age > max(LEAST_AGE, LATE * interval):
        minutes = age.total_seconds() / 60
        return schemas.Check(is_ok=False, message=f"the loop last ticked {minutes:.0f} minutes ago")
    errors = state.get("errors") or []
    text = "; ".join(errors) or state.get("message", "")
    return schemas.Check(is_ok=not errors, message=text)


@router.get("/metrics", response_class=Response, responses=described(503))
def metrics(here: Here) -> Response:
    """What Prometheus reads: https://prometheus.io/docs/instrumenting/exposition_formats"""
    counts, beat = here.store.read(lambda c: (queries.counts(c), queries.heartbeat(c)))
    registry = CollectorRegistry()

    def gauge(name: str, text: str, value: float | None) -> None:
        if value is not None:
            Gauge(f"sentinel_{name}", text, registry=registry).set(value)

    for name in ("messages_waiting", "alerts", "coins", "coins_watched", "database_bytes"):
        gauge(name, f"{name.replace('_', ' ').capitalize()}.", counts[name])
    for name in ("newest_observation", "newest_run"):
        at = counts[name]
        text = f"When the {name.replace('_', ' ')} was, UNIX seconds."
        gauge(f"{name}_timestamp_seconds", text, at.timestamp() if at else None)
    if beat:
        text = "When the loop last ticked, UNIX seconds."
        gauge("heartbeat_timestamp_seconds", text, beat["beat_at"].timestamp())
        failures = beat["state"].get("failures_in_a_row", 0)
        gauge("failed_ticks_in_a_row", "Ticks that failed since the last good one.", failures)
    _count_budget(here, registry)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _count_budget(here: Context, registry: CollectorRegistry) -> None:
    settings = here.monitor.settings
    usages = usage_log.read(budget_monitor.log_path(settings)).usages
    # With usages given nobody asks Neon, as nobody should at every scrape.
    status = budget_monitor.check_budget_status(settings, here.now(), usages=usages)
    used = Gauge("sentinel_quota_used", "Of a month's quota.", ["quota"], registry=registry)
    allowed = Gauge("sentinel_quota", "A month's quota.", ["quota"], registry=registry)
    for meter in status.quota_usages:
        if meter.spent is not None:
            used.labels(meter.name).set(meter.spent)
        if meter.quota is not None:
            allowed.labels(meter.name).set(meter.quota)


@router.get("/runs", responses=described(422, 503))
def runs(
    here: Here,
    before: Annotated[schemas.Moment | None, Query(description="a started_at")] = None,
    limit: Limit = 50,
) -> schemas.Page[schemas.Run]:
    """Runs of the pipeline, the newest first; `next` is the `before` of the page that follows."""
    moment = as_utc(before) if before else None
    rows = here.store.read(lambda c: queries.runs(c, moment, limit + 1))
    shown = rows[:limit]
    last = shown[-1]["started_at"] if len(rows) > limit else None
    following = f"{last:%Y-%m-%dT%H:%M:%S.%fZ}" if last else None
    return schemas.Page[schemas.Run].model_validate({"items": shown, "next": following})


@router.get("/gaps", responses=described(422, 503))
def gaps(
    here: Here, coin_id: CoinFilter = None, limit: Limit = 100, offset: Offset = 0
) -> schemas.Page[schemas.Gap]:
    """Gaps of the last seven days against a coin's own cadence: of one coin, or of the 50 best
    ranked ones, in their order."""

    def read(connection: Connection) -> list[Any]:
        coins = [coin_id] if coin_id else queries.best_ranked(connection, GAPS_AMONG)
        minutes = here.monitor.settings.cadence_minutes
        return storage_queries.find_gaps(
            connection,
            here.now(),
            cadence=timedelta(minutes=minutes),
            coin_ids=coins,
        )

    found = here.store.read(read)
    shown = found[offset : offset + limit]
    items = [gap._asdict() | {"slot_minutes": gap.slot.total_seconds() / 60} for gap in shown]
    following = str(offset + limit) if len(found) > offset + limit else None
    return schemas.Page[schemas.Gap].model_validate({"items": items, "next": following})


@router.get("/budget", responses=described(503))
def budget(here: Here) -> dict[str, Any]:
    """The month's ledger over every free quota: what `python budget_monitor.py --json` prints."""
    status = budget_monitor.check_budget_status(here.monitor.settings, here.now())
    return budget_monitor.as_json(status)
