"""The figures of the header line that every page shows: market, exchange rate, health."""

from __future__ import annotations

import logging

from sentinel.errors import SentinelError
from sentinel.health.deployment import (
    DeploymentHealth,
    check_deployment,
    describe_missing_database,
)
from sentinel.health.facts import SEVERITY
from sentinel.storage.connection import Connection
from services.api.dependencies import ApiContext
from services.api.portfolio.quotes import MAX_RATE_AGE, read_rate
from services.api.queries.rows import Row, fetch_rows
from services.api.schemas.summary import SummaryResponse

log = logging.getLogger("sentinel.api")

# The coins of the last day before the newest observation: runs no longer fetch the others.
MARKET = """
SELECT sum(market_cap_usd) AS market_cap_usd, count(*) AS coins,
       sum(market_cap_usd) FILTER (WHERE coin_id = 'bitcoin')
           / nullif(sum(market_cap_usd), 0) AS bitcoin_share
FROM sentinel.coins
WHERE observed_at > (SELECT max(observed_at) FROM sentinel.coins) - interval '1 day'
"""


def read_summary(connection: Connection, context: ApiContext) -> SummaryResponse:
    """Return the summary of a database that answers."""
    now = context.now()
    health = check_deployment(connection, context.monitor.settings, now)
    if health.facts is None:  # no schema
        return _describe(context, health, {})
    [market] = fetch_rows(connection, MARKET)
    rate = read_rate(connection, now, MAX_RATE_AGE)
    figures = {
        "idr_per_usd": float(rate.idr_per_usd) if rate else None,
        "idr_observed_at": rate.observed_at if rate else None,
    }
    return _describe(context, health, market | figures)


def summarize(context: ApiContext) -> SummaryResponse:
    """Return the summary; without a database its figures are null, and its health says so."""
    try:
        return context.pool.read(lambda connection: read_summary(connection, context))
    except SentinelError as error:
        log.warning("%s", error)
        return _describe(context, describe_missing_database(context.monitor.settings, error), {})


def _describe(context: ApiContext, health: DeploymentHealth, figures: Row) -> SummaryResponse:
    now, facts = context.now(), health.facts
    newest = facts.newest_observation if facts else None
    problems = sorted(
        (check for check in health.checks if check.state != "ok"),
        key=lambda check: -SEVERITY.index(check.state),
    )
    empty = dict.fromkeys(SummaryResponse.model_fields) | {"coins": 0}
    known = {
        "state": problems[0].state if problems else "ok",
        "problems": [
            {"name": check.name, "state": check.state, "message": check.summary}
            for check in problems
        ],
        "newest_observation": newest,
        "age_seconds": (now - newest).total_seconds() if newest else None,
        "interval_seconds": facts.interval.total_seconds() if facts else None,
        "missed_runs": facts.missed_runs(now) if facts else None,
    }
    return SummaryResponse.model_validate({**empty, **figures, **known})
