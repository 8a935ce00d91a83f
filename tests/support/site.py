"""Figures of the public page for tests: a deployment of two days that is healthy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sentinel.site.status import Check, Registry, Status, Trust

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def make_status(**changed: Any) -> Status:
    """Return a status document, with `changed` fields."""
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
