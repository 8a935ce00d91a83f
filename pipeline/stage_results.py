"""What each stage of a run hands on."""

from __future__ import annotations

from dataclasses import dataclass, field

from sentinel.budget.schedule import SlotCoverage
from sentinel.budget.usage_log import Usage
from sentinel.errors import SentinelError
from sentinel.models import FxRate, LoadCounts, MarketRow, Rejection
from sentinel.storage.connection import Session


@dataclass(slots=True)
class FetchResult:
    """What the fetch stage has collected. A chunk that fails leaves the others in place."""

    # Ids of the requested coins, the best ranked first; probes of inactive coins are not included.
    targets: list[str] = field(default_factory=list)
    # Whether this run compared the registry with CoinGecko's list.
    is_registry_synced: bool = False
    # Valid prices, at most one per coin.
    rows: list[MarketRow] = field(default_factory=list)
    # Entries that failed validation.
    rejections: list[Rejection] = field(default_factory=list)
    # Exchange rates that the responses imply.
    rates: list[FxRate] = field(default_factory=list)
    # Ids of requested coins that the responses did not contain.
    missing: list[str] = field(default_factory=list)
    # Ids of the coins whose health this run changed.
    strikes: list[str] = field(default_factory=list)
    deactivated: list[str] = field(default_factory=list)
    healed: list[str] = field(default_factory=list)
    # Those of the healed coins that were inactive.
    reactivated: list[str] = field(default_factory=list)
    # Whether a response had so many bad coins that the run recorded no strikes for it.
    is_degraded: bool = False
    # Chunks that CoinGecko did not deliver.
    errors: list[SentinelError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What committed transactions did with this run's rows."""

    # Rows that this run fetched.
    counts: LoadCounts = field(default_factory=LoadCounts)
    # Rows of earlier runs that waited in the spool.
    rows_drained: int = 0
    # Rows that filled gaps.
    rows_backfilled: int = 0


@dataclass(slots=True)
class StorageUse:
    """What the run's database session cost, and what the database reported."""

    # The database as messages name it.
    database_name: str = "the database"
    # How long the run held the database, in seconds.
    db_seconds: float = 0.0
    # Rows that the retention dropped.
    purged_rows: int = 0
    # Size of the whole database in bytes; None if the run did not ask.
    database_bytes: int | None = None
    # What all readers received from the database in this month; None if it is not Neon's.
    egress_bytes: int | None = None
    # Usage of earlier runs as the database recorded it; None if the run did not ask.
    recorded_usages: list[Usage] | None = None
    # How much of the history was observed and backfilled; None: unknown.
    slot_coverage: SlotCoverage | None = None

    def measure(self, session: Session) -> None:
        """Take over the session's counters as of now."""
        self.purged_rows, self.db_seconds = session.purged_rows, session.held_seconds
        self.egress_bytes = session.month_egress_bytes


@dataclass(frozen=True, slots=True)
class AlertResult:
    """What the alert stage has done."""

    # New alerts.
    raised: int = 0
    # Messages that targets accepted.
    sent: int = 0
    # Messages that wait for a later run.
    waiting: int = 0
    # Targets that accept no messages, one text each.
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class BackfillResult:
    """What the backfill stage has done."""

    # Credits that its calls cost.
    credits: int = 0
    # Coins with gaps that wait for a later run.
    coins_waiting: int = 0
    # Chart points that failed validation.
    rejections: list[Rejection] = field(default_factory=list)
    # Errors of a run in backfill mode; in a normal run they are warnings.
    errors: list[SentinelError] = field(default_factory=list)
