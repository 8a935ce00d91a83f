"""The health check, and metrics for Prometheus."""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

import budget_monitor
from sentinel.budget import usage_log
from sentinel.errors import SentinelError
from sentinel.storage import service_status
from sentinel.storage.service_status import ServiceStatus
from services.api.dependencies import ApiContext, RequestContext
from services.api.problems import problem_responses
from services.api.queries.pipeline import count_metrics, find_newest_observation
from services.api.queries.rows import Row
from services.api.schemas.pipeline import HealthCheckResponse, HealthResponse

router = APIRouter(tags=["health"])


@router.get("/health", responses={503: {"model": HealthResponse, "description": "a check failed"}})
def get_health(context: RequestContext, response: Response) -> HealthResponse:
    """Whether the database answers, prices are fresh and the loop runs; 503 if a check fails."""
    health = check_health(context)
    response.status_code = 200 if health.status == "ok" else 503
    response.headers["Cache-Control"] = "no-store"
    return health


def check_health(context: ApiContext) -> HealthResponse:
    """Return the results of all checks."""
    try:
        newest, heartbeat = context.pool.read(
            lambda connection: (
                find_newest_observation(connection),
                service_status.read(connection, "ingestion"),
            )
        )
    except SentinelError as error:  # no connection, or a database that we cannot use
        return _report_missing_database(error)
    now = context.now()
    interval = heartbeat.interval if heartbeat else service_status.DEFAULT_INTERVAL
    age = None if newest is None else now - newest
    checks = {
        "database": HealthCheckResponse(is_ok=True, message="The database answers."),
        "freshness": _check_freshness(age, interval),
        "last_run": _check_last_run(heartbeat, now),
    }
    is_ok = all(check.is_ok for check in checks.values())
    return HealthResponse(
        status="ok" if is_ok else "unhealthy",
        newest_observation=newest,
        last_run_at=heartbeat.recorded_at if heartbeat else None,
        age_seconds=None if age is None else age.total_seconds(),
        interval_seconds=interval.total_seconds(),
        missed_runs=None if age is None else max(0, int(age / interval) - 1),
        checks=checks,
    )


def _report_missing_database(error: SentinelError) -> HealthResponse:
    checks = {"database": {"is_ok": False, "message": str(error)}}
    unknown = dict.fromkeys(HealthResponse.model_fields)
    return HealthResponse.model_validate(unknown | {"status": "unhealthy", "checks": checks})


def _check_freshness(age: timedelta | None, interval: timedelta) -> HealthCheckResponse:
    if age is None:
        message = "There is no observation yet: start the ingestion."
        return HealthCheckResponse(is_ok=False, message=message)
    minutes = age.total_seconds() / 60
    return HealthCheckResponse(
        is_ok=not service_status.is_late(age, interval),
        message=f"The newest observation is {minutes:.0f} min old.",
    )


def _check_last_run(heartbeat: ServiceStatus | None, now: datetime) -> HealthCheckResponse:
    if heartbeat is None:
        message = "The loop has never run: start the ingestion."
        return HealthCheckResponse(is_ok=False, message=message)
    state, age = heartbeat.state, now - heartbeat.recorded_at
    if service_status.is_late(age, heartbeat.interval):
        message = f"The loop's last run was {age.total_seconds() / 60:.0f} min ago."
        return HealthCheckResponse(is_ok=False, message=message)
    errors = state.get("errors") or []
    message = "; ".join(errors) or state.get("message", "")
    return HealthCheckResponse(is_ok=not errors, message=message)


@router.get("/metrics", response_class=Response, responses=problem_responses(503))
def get_metrics(context: RequestContext) -> Response:
    """Metrics for Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats"""
    metrics, heartbeat = context.pool.read(
        lambda connection: (count_metrics(connection), service_status.read(connection, "ingestion"))
    )
    registry = CollectorRegistry()
    _add_counts(registry, metrics)
    _add_heartbeat(registry, heartbeat)
    _add_quotas(registry, context)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _add_gauge(registry: CollectorRegistry, name: str, help_text: str, value: float) -> None:
    Gauge(f"sentinel_{name}", help_text, registry=registry).set(value)


def _add_counts(registry: CollectorRegistry, metrics: Row) -> None:
    for name in ("messages_waiting", "alerts", "coins", "coins_watched", "database_bytes"):
        _add_gauge(registry, name, f"{name.replace('_', ' ').capitalize()}.", metrics[name])
    for name in ("newest_observation", "newest_run"):
        if metrics[name]:
            help_text = f"Time of the {name.replace('_', ' ')}, UNIX seconds."
            seconds = metrics[name].timestamp()
            _add_gauge(registry, f"{name}_timestamp_seconds", help_text, seconds)


def _add_heartbeat(registry: CollectorRegistry, heartbeat: ServiceStatus | None) -> None:
    if heartbeat is None:
        return
    help_text = "Time of the loop's last run, UNIX seconds."
    seconds = heartbeat.recorded_at.timestamp()
    _add_gauge(registry, "heartbeat_timestamp_seconds", help_text, seconds)
    help_text = "Runs of the loop that failed since the last successful one."
    failures = heartbeat.state.get("failures_in_a_row", 0)
    _add_gauge(registry, "failed_ticks_in_a_row", help_text, failures)


def _add_quotas(registry: CollectorRegistry, context: ApiContext) -> None:
    settings = context.monitor.settings
    usages = usage_log.read(budget_monitor.log_path(settings)).usages
    # The usages come from the file: without them every scrape would ask Neon's API.
    status = budget_monitor.check_budget_status(settings, context.now(), usages=usages)
    used = Gauge("sentinel_quota_used", "Used of a month's quota.", ["quota"], registry=registry)
    quota = Gauge("sentinel_quota", "A month's quota.", ["quota"], registry=registry)
    for usage in status.quota_usages:
        if usage.spent is not None:
            used.labels(usage.name).set(usage.spent)
        if usage.quota is not None:
            quota.labels(usage.name).set(usage.quota)
