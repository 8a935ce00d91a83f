"""Figures that the pages derive from the documents. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from markupsafe import Markup

from sentinel.health.facts import SEVERITY
from sentinel.site import svg
from sentinel.site.formatting import format_bytes, format_duration, format_share
from sentinel.site.labels import name_quota
from sentinel.site.status import (
    AlertScore,
    Backup,
    Check,
    ForecastScore,
    Quota,
    RaisedAlert,
    Status,
    Storage,
)

# forecast_band.COVERAGE, which needs numpy. The job that makes the page does not install it.
PROMISED_COVERAGE = 0.8


def sort_by_severity(checks: Sequence[Check]) -> list[Check]:
    """Return the checks, those that fail first and those that pass last."""
    return sorted(checks, key=lambda check: SEVERITY.index(check.state), reverse=True)


def find_tightest(quotas: Sequence[Quota]) -> tuple[Quota, float] | None:
    """Return the quota of which the month takes the largest share, and that share."""
    shares = [
        (quota, max(quota.used or 0, quota.projected or 0) / quota.limit)
        for quota in quotas
        if quota.limit
    ]
    return max(shares, key=lambda each: each[1], default=None)


def draw_quota(quota: Quota) -> Markup:
    """Return the bar of a quota with a limit and a known usage."""
    used, limit = quota.used or 0, quota.limit or 0
    label = f"{name_quota(quota.name)}: {format_share(used / limit)} used"
    if quota.projected is not None:
        label += f", {format_share(quota.projected / limit)} projected"
    return svg.draw_quota(used, quota.projected, limit, label)


def draw_storage(storage: Storage) -> Markup:
    """Return the bar of the database's size against its limit."""
    limit = storage.limit_bytes or 0
    label = f"{format_bytes(storage.database_bytes)} of {format_bytes(limit)}"
    return svg.draw_quota(storage.database_bytes, None, limit, label)


def draw_coverage(coverage: float, label: str) -> Markup:
    """Return the bar of how often the forecasts' band held."""
    return svg.draw_share(coverage, PROMISED_COVERAGE, label)


def draw_caught(share: float) -> Markup:
    """Return the bar of the falls that alerts caught."""
    return svg.draw_share(share, None, "Falls caught")


def draw_weeks(score: AlertScore) -> Markup:
    """Return the bars of the alerts of each week against the budget."""
    return svg.draw_weeks(score.weeks, find_weekly_budgets(score))


def find_weekly_budgets(score: AlertScore) -> list[float | None]:
    """Return the alerts that the target rate allows in each week; None: no budget."""
    if score.target_rate is None:
        return [None] * len(score.weeks)
    watched = [
        week.coins_watched if week.coins_watched is not None else score.coins_watched
        for week in score.weeks
    ]
    return [score.target_rate * coins for coins in watched]


@dataclass(frozen=True, slots=True)
class TrustFigures:
    """The trust figures of both halves: each part from the fresher document that has it."""

    forecasts: Sequence[ForecastScore]
    forecasts_from: Status | None
    alerts: AlertScore | None
    alerts_from: Status | None
    # Those of the last days, of the same document.
    raised: Sequence[RaisedAlert]
    backup: Backup | None
    backup_from: Status | None


def choose_trust(status: Status, other: Status | None) -> TrustFigures:
    """Choose each part of the trust figures from the page's own document and the other half's."""
    documents = [status] if other is None else [status, other]
    # A document from the future is no fresher than the page: the clock of its maker is wrong.
    documents.sort(key=lambda each: min(each.generated_at, status.generated_at), reverse=True)
    forecasts = next((each for each in documents if each.trust.forecasts), None)
    alerts = next((each for each in documents if each.trust.alerts), None)
    backup = next((each for each in documents if each.trust.backup), None)
    return TrustFigures(
        forecasts.trust.forecasts if forecasts else (),
        forecasts,
        alerts.trust.alerts if alerts else None,
        alerts,
        alerts.alerts if alerts else (),
        backup.trust.backup if backup else None,
        backup,
    )


def is_old(document: Status, page: Status) -> bool:
    """Whether a document was old when the page was made."""
    age = page.generated_at - document.generated_at
    return age > timedelta(seconds=document.old_after_seconds)


def format_age_beside(document: Status, page: Status) -> str:
    """Return how old a document was when the page was made."""
    age = page.generated_at - document.generated_at
    return format_duration(age / timedelta(minutes=1))
