"""Figures of the public page for tests: two healthy days, and a deployment with all parts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sentinel.site.site_files import SiteFigures
from sentinel.site.status import (
    Check,
    RaisedAlert,
    Registry,
    Rejections,
    SimulationResult,
    Status,
    Storage,
    Trust,
)
from tests.support import site_parts as parts

NOW, HOUR, DAY = parts.NOW, parts.HOUR, parts.DAY


def make_status(**changed: Any) -> Status:
    """Return the document of two healthy days, with `changed` fields."""
    values: dict[str, Any] = {
        "maker": "schedule",
        "generated_at": NOW,
        "interval_seconds": 3600,
        "repository_url": "https://github.com/owner/name",
        "state": "ok",
        "checks": [Check(name="database", state="ok", summary="The database answers.")],
        "newest_price_at": NOW - timedelta(minutes=2),
        "newest_run_at": NOW - timedelta(minutes=1),
        "schedule": None,
        "gaps": None,
        "quotas": [],
        "registry": Registry(
            synced_at=NOW, active=500, inactive=0, delisted=0, inactive_coins=[], changes=[]
        ),
        "rejections": None,
        "storage": None,
        "trust": Trust(forecasts=[], alerts=None, backup=None),
        "incidents": [],
        "alerts": [],
    }
    return Status.model_validate(values | changed)


def make_full_status(**changed: Any) -> Status:
    """Return the scheduled job's document after 60 days, with every part that it can have."""
    values: dict[str, Any] = {
        "state": "warning",
        "checks": parts.make_checks(),
        "newest_price_at": NOW - timedelta(minutes=7),
        "newest_run_at": NOW - timedelta(minutes=6),
        "schedule": parts.make_schedule(),
        "gaps": parts.make_gaps(),
        "quotas": parts.make_quotas(),
        "registry": parts.make_registry(),
        "rejections": [
            Rejections(reason="null_price", count=231, newest_at=NOW - timedelta(minutes=6)),
            Rejections(reason="missing_timestamp", count=12, newest_at=NOW - 9 * HOUR),
            Rejections(reason="price_too_high", count=1, newest_at=NOW - 4 * DAY),
        ],
        "storage": Storage(
            rows=2_412_880,
            coins=500,
            oldest_at=NOW - 60 * DAY,
            newest_at=NOW - timedelta(minutes=7),
            bytes_per_row=112.4,
            database_bytes=289_400_000,
            limit_bytes=500_000_000.0,
            days_until_full=None,
        ),
        "incidents": parts.make_incidents(),
    }
    return make_status(**(values | changed))


def make_monitor_status(**changed: Any) -> Status:
    """Return the monitor's document: it has alerts, forecasts and a backup, and no schedule."""
    values: dict[str, Any] = {
        "maker": "monitor",
        "generated_at": NOW - timedelta(minutes=24),
        "trust": parts.make_trust(),
        "alerts": [
            RaisedAlert(
                at=NOW - 5 * HOUR,
                coin_id="bitcoin",
                symbol="btc",
                kind="panic",
                move=-0.061,
            )
        ],
    }
    return make_status(**(values | changed))


def make_full_figures() -> SiteFigures:
    """Return what a page with all parts but the market shows."""
    return SiteFigures(
        make_full_status(),
        other=make_monitor_status(),
        simulation=SimulationResult(
            passed_at=NOW - 9 * HOUR, first_seed=1, seeds=200, days=30, commit="2f5446c" + "0" * 33
        ),
    )
