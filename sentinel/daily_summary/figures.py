"""What a daily summary says, as figures. Parts without data are None or empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sentinel.budget.quota_usage import QuotaUsage
from sentinel.budget.schedule import ScheduleCoverage, SlotCoverage
from sentinel.health.facts import HealthCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class NetWorth:
    """The value of the held coins, and its change by prices and rates over 24 hours.

    Purchases and sales of the day are not part of the change. It counts as the API's portfolio.
    """

    # None: no held coin has a price.
    value_usd: Decimal | None
    # None: no coin has a price from 24 hours ago.
    change_usd: Decimal | None
    # None: no rupiah rate of the last day.
    value_idr: Decimal | None
    # None: a rate or a price is unknown.
    change_idr: Decimal | None
    # Symbols of the held coins without a price of the last day: they are in no figure.
    without_price: Sequence[str] = ()
    # Symbols of the coins that the change leaves out, because no price from 24 hours ago is stored.
    without_change: Sequence[str] = ()


class PriceMove(NamedTuple):
    """The price change of a watched coin over 24 hours."""

    symbol: str
    # A fraction of the price.
    change: float
    observed_at: datetime


class AlertOutcome(NamedTuple):
    """An alert and what came of it."""

    symbol: str
    observed_at: datetime
    # The move that was announced, as a fraction; below 0 for a fall.
    move: float
    # The change from the alert's price until now, or after 24 hours; None: unknown.
    outcome: float | None


class AlertDay(NamedTuple):
    """The alerts of 24 hours."""

    # All of them.
    total: int
    # The newest alert of each coin, the largest moves first; only the first few.
    shown: Sequence[AlertOutcome]
    # Coins with an alert.
    coins: int


NO_ALERTS = AlertDay(0, (), 0)


class FiredTarget(NamedTuple):
    """A price target that fired."""

    symbol: str
    # above or below.
    direction: str
    price: Decimal
    # usd or idr.
    currency: str
    fired_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All parts of a daily summary."""

    # The newest price; None: no price is stored.
    priced_at: datetime | None = None
    # None: the portfolio is empty.
    net_worth: NetWorth | None = None
    # The largest rises, then the largest falls among the watched coins.
    moves: Sequence[PriceMove] = ()
    # The alerts of the last 24 hours with their outcome until now; None: no coin is watched yet.
    alerts: AlertDay | None = None
    # Those of the 24 hours before, with their outcome after 24 hours.
    alerts_before: AlertDay | None = None
    # Those of the last 24 hours, the newest first; only the first few.
    fired_targets: Sequence[FiredTarget] = ()
    # The runs of the last 24 hours.
    runs: ScheduleCoverage | None = None
    # The history of the last days; None without a day of history.
    history: SlotCoverage | None = None
    quotas: Sequence[QuotaUsage] = ()
    # None: no backup was ever verified.
    backup_verified_at: datetime | None = None
    # The checks that are not ok.
    problems: Sequence[HealthCheck] = ()
