"""The health check, and metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

import budget_monitor
from sentinel.budget import usage_log
from sentinel.health.facts import CheckState, HealthCheck, find_failures
from sentinel.storage.service_status import ServiceStatus
from services.api.auth import has_token
from services.api.dependencies import ApiContext, RequestContext
from services.api.deployment_health import check_health, describe_health
from services.api.problems import problem_responses
from services.api.queries.pipeline import count_metrics
from services.api.queries.rows import Row
from services.api.schemas.pipeline import HealthResponse

router = APIRouter(tags=["health"])


@router.get("/health", responses={503: {"model": HealthResponse, "description": "a check failed"}})
def get_health(context: RequestContext, request: Request, response: Response) -> HealthResponse:
    """Database, freshness, last run, delivery, backup, disk and clock; 503 if a check fails.

    Without the token, the messages name no database, host, folder or user.
    """
    found = check_health(context)
    response.status_code = 503 if find_failures(found.checks) else 200
    response.headers["Cache-Control"] = "no-store"
    token = context.monitor.api_token
    is_owner = token is not None and has_token(request.headers, token.encode())
    return describe_health(found, context, is_owner=is_owner)


@router.get("/metrics", response_class=Response, responses=problem_responses(503))
def get_metrics(context: RequestContext) -> Response:
    """Metrics for Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats"""
    found = check_health(context)
    metrics = context.pool.read(count_metrics)
    registry = CollectorRegistry()
    _add_counts(registry, metrics)
    _add_checks(registry, found.checks)
    _add_heartbeat(registry, found.facts.loop if found.facts else None)
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


def _add_checks(registry: CollectorRegistry, checks: Sequence[HealthCheck]) -> None:
    help_text = "State of a health check: 0 ok, 1 warning, 2 unhealthy."
    states = Gauge("sentinel_health", help_text, ["check"], registry=registry)
    for check in checks:
        states.labels(check.name).set(get_args(CheckState).index(check.state))


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
