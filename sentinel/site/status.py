"""`status.json`: what a deployment knows about itself. The pages are made from it alone.

The scheduled pipeline and the monitor each write one. Times are UTC, shares are fractions from 0 to
1. A part that the deployment does not have, or that could not be read, is null. The schema is
published beside the document; a field is only ever added, or `schema_version` changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sentinel.health.facts import SEVERITY, CheckState

Maker = Literal["schedule", "monitor"]
# Beside `status.json`, by the nightly workflow.
SIMULATION_FILE = "simulation.json"
MAX_LISTED = 50  # coins, health changes, incidents and alerts
# A document is old after so many of its intervals.
OLD_AFTER_INTERVALS = 3


class Model(BaseModel):
    """The base of all parts."""

    # The text below a field is its description in the published schema. A stranger may write the
    # other half's document: it must hold no time without a zone, and no infinity.
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class Check(Model):
    """One health check."""

    name: str
    state: CheckState
    """`unhealthy` fails; a `warning` is shown."""
    summary: str
    """One sentence. It names no database, host, folder or user."""


class Slots(Model):
    """The slots of the schedule in one hour or one UTC day."""

    start: AwareDatetime
    expected: int
    """Slots that were due. Less than usual where the history begins, and in the current hour."""
    delivered: int
    """Slots in which a run started."""
    backfilled: int
    """Other slots that a backfill filled, by the rows of the reference coin."""


class SlotTotals(Model):
    """The slots of the last days together."""

    days: int
    expected: int
    delivered: int
    backfilled: int
    longest_silence_minutes: float
    """The longest pause between two recorded runs, or since the last one."""
    longest_silence_from: AwareDatetime | None
    """When that pause began."""


class Schedule(Model):
    """Which slots of the schedule had a run, and which a backfill filled."""

    cadence_minutes: float
    reference_coin: str | None
    """The best-ranked coin: its rows say whether a slot without a run was backfilled."""
    totals: list[SlotTotals]
    """Of the last 7 days and of the last 60."""
    hours: list[Slots]
    """Each hour of the last 7 days, in order of time."""
    days: list[Slots]
    """Each UTC day of the last 60, in order of time."""


class OpenGaps(Model):
    """The gaps of the last 7 days that have one reason."""

    reason: str
    """A code, such as `only_hourly_left`; `waits` where a backfill may still fill the gaps."""
    explanation: str
    """The reason as a sentence."""
    gaps: int
    coins: int
    longest_minutes: float
    newest_at: AwareDatetime
    """When the newest of them began."""


class Quota(Model):
    """The month's usage of one free quota, in the unit of its name."""

    name: str
    used: float | None
    projected: float | None
    """By the month's end, at the pace so far."""
    limit: float | None
    """Null: no limit."""
    state: Literal["ok", "warn", "stop"]
    resets_at: AwareDatetime
    source: str | None
    """The page with the limit; null where the settings decide."""


class InactiveCoin(Model):
    """A coin that runs no longer fetch, except to probe it."""

    coin_id: str
    symbol: str
    name: str
    reason: str | None
    """The code of its last strike."""
    since: AwareDatetime | None
    next_probe: AwareDatetime | None


class HealthChange(Model):
    """A coin that a run deactivated or reactivated."""

    at: AwareDatetime
    coin_id: str
    change: Literal["deactivated", "healed"]


class Registry(Model):
    """The coin registry."""

    synced_at: AwareDatetime | None
    active: int
    inactive: int
    delisted: int
    inactive_coins: list[InactiveCoin]
    """At most 50, those with the earliest probe first."""
    changes: list[HealthChange]
    """At most 50 of the last 60 days, the newest first."""


class Rejections(Model):
    """The invalid entries of the last 7 days that have one reason."""

    reason: str
    count: int
    newest_at: AwareDatetime


class Storage(Model):
    """What the database holds."""

    rows: int
    """Observations; an estimate of PostgreSQL's statistics is enough."""
    coins: int
    oldest_at: AwareDatetime | None
    newest_at: AwareDatetime | None
    bytes_per_row: float | None
    database_bytes: int
    limit_bytes: float | None
    days_until_full: float | None
    """Null: the retention drops as much as a day adds, or there is no limit, or no day of rows."""


class ForecastScore(Model):
    """How the forecasts of the last `hours` turned out, all coins together."""

    hours: int
    scored: int
    mase: float | None
    """Mean absolute error, divided by that of "no change": below 1 the forecast is better."""
    hit_rate: float | None
    coverage: float | None
    """How often the 80 % band held the price."""
    coverage_calm: float | None
    """The same in the calmest third of the last day, by the hour before the forecast."""
    coverage_wild: float | None
    result: Literal["edge", "no edge", "too early"]


class AlertWeek(Model):
    """The alerts of one week."""

    start: date
    """A Monday, UTC."""
    alerts: int
    coins_watched: int | None


class AlertScore(Model):
    """Alerts against their budget, and against the falls that happened."""

    coins_watched: int
    target_rate: float | None
    """Alerts per coin and week that the settings allow; null: no budget."""
    actual_rate: float | None
    """Alerts per coin and week in the scored days."""
    weeks: list[AlertWeek]
    """At most the last 8."""
    scored_days: int | None
    falls: int | None
    """Falls in the scored days; null: not scored."""
    caught: int | None
    missed: int | None
    stray: int | None
    """Alerts without a fall."""
    scored_at: AwareDatetime | None


class Backup(Model):
    """The last backup that was restored and compared."""

    verified_at: AwareDatetime
    size_bytes: int | None
    rows: int | None
    last_attempt_at: AwareDatetime
    last_attempt_failed: bool


class Trust(Model):
    """Figures that only a deployment with alerts, forecasts or backups has."""

    forecasts: list[ForecastScore]
    """Of the last 24 and 168 hours; empty without forecasts."""
    alerts: AlertScore | None
    backup: Backup | None


class Incident(Model):
    """A period in which runs failed, or in which the monitor reported a fault of its own."""

    incident: str
    """What kind, such as `coingecko_unavailable`."""
    source: Maker
    began_at: AwareDatetime
    ended_at: AwareDatetime | None
    """Null: it goes on."""
    summary: str
    """One sentence. It names no database, host, folder or user."""


def find_state(checks: Iterable[Check], incidents: Iterable[Incident]) -> CheckState:
    """Return the worst state of the checks; an incident that goes on is unhealthy."""
    states = [check.state for check in checks]
    if any(each.ended_at is None for each in incidents):
        states.append("unhealthy")
    return max(states, key=SEVERITY.index, default="ok")


class RaisedAlert(Model):
    """An alert that was raised. It has no price: prices are shown, and handed out in no file."""

    at: AwareDatetime
    coin_id: str
    symbol: str
    kind: Literal["panic", "reversal"]
    move: float
    """Of the price since its high-water or low-water mark, as a fraction."""


class Status(Model):
    """The whole document."""

    schema_version: Literal[1] = 1
    maker: Maker
    generated_at: AwareDatetime
    interval_seconds: int
    """How often the document is made. It is old after three times as long."""
    repository_url: str | None
    """The page of the repository, such as https://github.com/OWNER/NAME."""
    state: CheckState
    """The worst state of `checks`; an incident that goes on makes it `unhealthy`."""
    checks: list[Check]
    newest_price_at: AwareDatetime | None
    newest_run_at: AwareDatetime | None
    schedule: Schedule | None
    gaps: list[OpenGaps] | None
    quotas: list[Quota]
    registry: Registry
    rejections: list[Rejections] | None
    storage: Storage | None
    trust: Trust
    incidents: list[Incident]
    """At most 50 of the last 60 days, the newest first."""
    alerts: list[RaisedAlert]
    """At most 50 of the last 7 days, the newest first."""

    @property
    def old_after_seconds(self) -> int:
        """The age in seconds from which on its maker seems to have stopped."""
        return OLD_AFTER_INTERVALS * self.interval_seconds


class SimulationResult(Model):
    """`simulation.json`: the last simulated faults after which all promises held."""

    passed_at: AwareDatetime
    first_seed: int
    seeds: int
    days: int
    """Simulated days of each seed."""
    commit: str
