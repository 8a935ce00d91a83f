"""Values that packages exchange: frozen, with time zones and with units in the names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

Source = Literal["observed", "backfilled"]
GapReason = Literal["no_prices", "only_hourly_left", "unknown_coin", "unusable_chart"]

# Why a gap stays open. The database stores the code; pages and commands show the sentence.
GAP_REASONS: Mapping[str, str] = {
    "no_prices": "CoinGecko has no prices for this period",
    "only_hourly_left": "found after more than 24 hours: CoinGecko has only hourly prices left",
    "unknown_coin": "CoinGecko does not know the coin",
    "unusable_chart": "CoinGecko's chart is unusable; the run asks again later",
}
# What pages and commands show for a gap that a backfill may still fill.
GAP_WAITS = "waits for the backfill, if the coin is still collected"


class MarketRow(NamedTuple):
    """One observation of one coin.

    It is a tuple, because a run holds thousands of them and the load needs them by column.
    """

    coin_id: str
    # When CoinGecko last updated the price, UTC.
    observed_at: datetime
    price_usd: float
    # None: CoinGecko does not know it.
    market_cap_usd: float | None
    volume_24h_usd: float | None
    source: Source = "observed"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One coin's entry that failed validation."""

    coin_id: str
    # A code, such as null_price; transform.py lists them.
    reason: str
    # The entry as JSON text.
    raw: str
    run_id: str
    # When the run started.
    rejected_at: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """The content of one response. Each requested coin is in exactly one of the first three."""

    rows: tuple[MarketRow, ...]
    rejections: tuple[Rejection, ...]
    # Ids that the response does not contain.
    missing: tuple[str, ...]
    # Rupiah for one USD, as the quotes imply; None: unknown.
    idr_per_usd: float | None


class CoinLabel(NamedTuple):
    """A coin's names and rank."""

    # None: the registry does not know the coin.
    symbol: str | None
    name: str | None
    # None: outside the ranked coins.
    rank: int | None


class Gap(NamedTuple):
    """A pause between two observations of a coin that is too long for the cadence."""

    coin_id: str
    # The observations before and after the pause.
    start: datetime
    stop: datetime
    # The cadence, at least that of 5-minute points.
    slot: timedelta
    # About how many observations are missing.
    missed: int
    # Why the gap stays open; None while a backfill may still fill it.
    reason: GapReason | None = None


def describe_gap_reason(code: str | None) -> str:
    """Return the sentence for a gap's reason; an unknown code is returned unchanged."""
    return GAP_WAITS if code is None else GAP_REASONS.get(code, code)


@dataclass(frozen=True, slots=True)
class FxRate:
    """An exchange rate."""

    observed_at: datetime
    # ISO 4217, lower case.
    currency: str
    # Units of the currency for one USD.
    per_usd: float


@dataclass(frozen=True, slots=True)
class LoadCounts:
    """What an upsert did, in rows."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    @property
    def total(self) -> int:
        """All rows, which are in the database now."""
        return self.inserted + self.updated + self.unchanged

    def __add__(self, other: LoadCounts) -> LoadCounts:
        return LoadCounts(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
        )
