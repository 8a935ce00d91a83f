"""The values that cross from room to room: frozen, time always with a zone, units in the names."""

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
GAP_WAITS = "waits for a credit, if the coin is still collected"


class MarketRow(NamedTuple):
    """One observation of one coin. A tuple, because runs hold thousands and loads transpose them.

    `market_cap_usd` and `volume_24h_usd` are None where CoinGecko does not know them.
    """

    coin_id: str
    observed_at: datetime
    price_usd: float
    market_cap_usd: float | None
    volume_24h_usd: float | None
    source: Source = "observed"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A coin's answer that is no row: why, the answer itself as JSON text, in which run."""

    coin_id: str
    reason: str
    raw: str
    run_id: str
    rejected_at: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """What one answer came to; each requested coin is in exactly one of the first three.

    `idr_per_usd` is the rupiah's rate that the answer implies, None if unknown.
    """

    rows: tuple[MarketRow, ...]
    rejections: tuple[Rejection, ...]
    missing: tuple[str, ...]
    idr_per_usd: float | None


class CoinLabel(NamedTuple):
    """How a coin is called; None where nobody knows, and `rank` None outside the ranked coins."""

    symbol: str | None
    name: str | None
    rank: int | None


class Gap(NamedTuple):
    """A pause between two observations of a coin that is longer than its usual cadence."""

    coin_id: str
    # The observations before and after the pause.
    start: datetime
    stop: datetime
    # The coin's usual cadence.
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
    """What one USD cost in `currency` (ISO 4217, lower case) at `observed_at`."""

    observed_at: datetime
    currency: str
    per_usd: float


@dataclass(frozen=True, slots=True)
class LoadCounts:
    """What an upsert did, in rows."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    @property
    def total(self) -> int:
        """Rows that are in the database now, however they came there."""
        return self.inserted + self.updated + self.unchanged

    def __add__(self, other: LoadCounts) -> LoadCounts:
        return LoadCounts(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
        )
