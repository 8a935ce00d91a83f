"""Values of the returns, which the API returns as they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.api.schemas.base import Amount, Share, example_config

PeriodName = Literal["24h", "7d", "30d", "60d", "1y", "all"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A rate of return as a fraction, or why there is none."""

    __pydantic_config__ = example_config("""{"value": 0.0731, "unavailable": null}""")

    value: Share | None
    # Such as "no price of bitcoin on 2026-03-01".
    unavailable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyReturns:
    """The returns of a period in one currency."""

    # Over the period, not per year: what one unit of money gained that was invested all the time.
    time_weighted: Figure
    # Per year, of 365 days: the rate at which all payments would have grown to the value.
    xirr: Figure
    # What the price of bitcoin gained in the period.
    bitcoin: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodReturns:
    """The returns of a period until now; `all` is the time since the first transaction."""

    __pydantic_config__ = example_config("""{"period": "30d", "starts_at": "2026-10-21T12:00:00Z",
        "usd": {"time_weighted": {"value": 0.0731, "unavailable": null},
                "xirr": {"value": 0.942, "unavailable": null},
                "bitcoin": {"value": 0.051, "unavailable": null}},
        "idr": {"time_weighted": {"value": null,
                                  "unavailable": "no rupiah rate on 2026-10-21"},
                "xirr": {"value": null, "unavailable": "no rupiah rate on 2026-10-21"},
                "bitcoin": {"value": null, "unavailable": "no rupiah rate on 2026-10-21"}}}""")

    period: PeriodName
    # Later than the period's length ago if the first transaction is.
    starts_at: datetime
    usd: CurrencyReturns
    idr: CurrencyReturns


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """What the same payments would be worth in another asset; null if `unavailable` says why."""

    value: Amount | None = None
    # The value minus what was paid.
    profit: Amount | None = None
    # Per year, as that of the portfolio.
    xirr: Figure
    unavailable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All payments in one asset, in both currencies."""

    __pydantic_config__ = example_config("""{
        "usd": {"value": "25410.5", "profit": "3410.5", "unavailable": null,
                "xirr": {"value": 0.118, "unavailable": null}},
        "idr": {"value": null, "profit": null,
                "unavailable": "no rupiah rate on 2026-10-21",
                "xirr": {"value": null, "unavailable": "no rupiah rate on 2026-10-21"}}}""")

    usd: Alternative
    idr: Alternative


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioReturns:
    """The returns of all periods, and what the same payments would be worth elsewhere."""

    valued_at: datetime
    # Empty without transactions.
    periods: tuple[PeriodReturns, ...]
    # The same payments, since the first one: in bitcoin, bought and sold at its price,
    bitcoin: Comparison | None
    # and as dollars: no profit in USD, and the dollar's change in rupiah.
    cash: Comparison | None
