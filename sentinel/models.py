"""The values that cross from room to room: frozen, time always with a zone, units in the names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

Source = Literal["observed", "backfilled"]


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
    """A pause between two observations of a coin in which about `missed` are missing, one each
    `slot`. `reason` says why it stays, None where it may still be repaired."""

    coin_id: str
    start: datetime
    stop: datetime
    slot: timedelta
    missed: int
    reason: str | None = None


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
