"""The response of the health check."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from services.api.schemas.base import ApiModel, example_config


class HealthCheckResponse(ApiModel):
    """The result of one check."""

    is_ok: bool
    message: str


class HealthResponse(ApiModel):
    """The results of all checks; `status` is `ok` if every check is."""

    model_config = example_config("""{"status": "ok", "newest_observation": "2026-11-20T12:00:12Z",
        "last_run_at": "2026-11-20T12:00:14Z",
        "age_seconds": 40.0, "interval_seconds": 300.0, "missed_runs": 0,
        "checks": {"database": {"is_ok": true, "message": "The database answers."}}}""")

    status: Literal["ok", "unhealthy"]
    newest_observation: datetime | None
    # When the loop ended its last run.
    last_run_at: datetime | None
    age_seconds: float | None
    # The pause that the loop means to make between two runs.
    interval_seconds: float | None
    # Runs that should have stored prices since the newest observation.
    missed_runs: int | None
    checks: dict[str, HealthCheckResponse]
