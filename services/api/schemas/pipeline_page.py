"""The response of `/pipeline`."""

from __future__ import annotations

from datetime import datetime

from sentinel.budget.status import Decision
from sentinel.site.status import OpenGaps, Quota, Schedule
from services.api.schemas.base import ApiModel
from services.api.schemas.pipeline import (
    BackupResponse,
    HealthResponse,
    RegistryResponse,
    RunResponse,
    SlotCoverageResponse,
)
from services.api.schemas.rejections import RejectionResponse


class SlotStatesResponse(ApiModel):
    """What became of each slot of the last seven days, one letter a slot, without gaps."""

    # When the first slot begins, and how long a slot is.
    start: datetime
    slot_minutes: float
    # `d`: a run was delivered, `b`: a backfill filled the slot, `-`: it is open.
    states: str


class ServiceResponse(ApiModel):
    """The last activity of a process."""

    service: str
    recorded_at: datetime
    age_seconds: float
    # Null: the process has no rhythm, or was removed.
    is_late: bool | None


class ResolutionCountResponse(ApiModel):
    """What became of the rejected entries that have one reason."""

    reason: str
    open: int
    replayed: int
    discarded: int
    newest_at: datetime


class NamedRejectionResponse(RejectionResponse):
    """A rejected entry with its coin's name; null for a coin that the registry does not know."""

    name: str | None


class PipelineResponse(ApiModel):
    """Everything about the pipeline; parts without a run yet are null."""

    health: HealthResponse
    # The slots of the last 7 days by hour and of the last 60 by day, and one by one.
    schedule: Schedule | None
    slots: SlotStatesResponse | None
    # Which share of the history was observed and backfilled; null: less than a day is stored.
    coverage: SlotCoverageResponse | None
    # The gaps of the coins that the backfill covers, of the last 7 days, by reason.
    gaps: list[OpenGaps]
    # The budget's decision on the next run, why, and the month's usage of each quota.
    decision: Decision
    reason: str
    quotas: list[Quota]
    registry: RegistryResponse
    services: list[ServiceResponse]
    backup: BackupResponse
    # The rejected entries of 60 days by reason, those with the most open ones first.
    quarantine: list[ResolutionCountResponse]
    # The newest 100 open ones, of the requested reason.
    rejections: list[NamedRejectionResponse]
    # The newest 20.
    runs: list[RunResponse]
