"""The health checks as the API shows them."""

from __future__ import annotations

import logging

from sentinel.errors import SentinelError
from sentinel.health.deployment import (
    DeploymentHealth,
    check_deployment,
    describe_missing_database,
)
from sentinel.health.facts import find_failures
from services.api.dependencies import ApiContext
from services.api.schemas.pipeline import HealthCheckResponse, HealthResponse
from services.api.shown_paths import shorten_paths

log = logging.getLogger("sentinel.api")


def check_health(context: ApiContext) -> DeploymentHealth:
    """Return the checks; without a database they say so."""
    settings, now = context.monitor.settings, context.now()
    try:
        return context.pool.read(lambda connection: check_deployment(connection, settings, now))
    except SentinelError as error:  # no connection, or a database that we cannot use
        log.warning("%s", error)
        return describe_missing_database(settings, error)


def describe_health(
    found: DeploymentHealth, context: ApiContext, *, is_owner: bool
) -> HealthResponse:
    """Return the response; only the owner reads causes, in which paths are shortened."""
    now, facts, settings = context.now(), found.facts, context.monitor.settings
    newest = facts.newest_observation if facts else None
    return HealthResponse(
        status="unhealthy" if find_failures(found.checks) else "ok",
        newest_observation=newest,
        last_run_at=facts.loop.recorded_at if facts and facts.loop else None,
        age_seconds=None if newest is None else (now - newest).total_seconds(),
        interval_seconds=facts.interval.total_seconds() if facts else None,
        missed_runs=facts.missed_runs(now) if facts else None,
        checks={
            check.name: HealthCheckResponse(
                is_ok=check.is_ok,
                state=check.state,
                message=shorten_paths(check.message, settings) if is_owner else check.summary,
            )
            for check in found.checks
        },
    )
