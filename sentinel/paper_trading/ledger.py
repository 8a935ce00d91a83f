"""The ledger of a wallet: an append-only log of events in PostgreSQL.

What a wallet holds is derived from its events. A process that is killed between two of them leaves
a valid ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from psycopg.rows import class_row

from sentinel.backtesting.portfolio import (
    EXIT_REASONS,
    ExitReason,
    InvalidTrades,
    Portfolio,
    Trade,
    build_portfolio,
)
from sentinel.storage.connection import Connection

# `unblocked`: after a protective exit, the strategy's own signal was at or below 0.
EventKind = Literal["opened", "ordered", "filled", "rejected", "unblocked"]

# The largest share of a fill's cash by which quantity times price plus fee may differ from it.
MAX_ROUNDING = Decimal("1e-18")

EVENTS = """
SELECT kind::text, coin_id, observed_at, recorded_at, share, price_usd, quantity, cash_usd, fee_usd,
       reason
FROM sentinel.wallet_events
WHERE wallet_id = %(wallet_id)s
ORDER BY event_id
"""
LAST_EVENT_ID = """
SELECT coalesce(max(event_id), 0) FROM sentinel.wallet_events WHERE wallet_id = %(wallet_id)s
"""
# Held until the transaction ends, so that two steps at once cannot add the same event twice.
LOCK_OPEN_WALLET = """
SELECT 1 FROM sentinel.wallets WHERE wallet_id = %(wallet_id)s AND closed_at IS NULL FOR UPDATE
"""
ADD_EVENT = """
INSERT INTO sentinel.wallet_events (wallet_id, kind, coin_id, observed_at, recorded_at, share,
                                    price_usd, quantity, cash_usd, fee_usd, reason)
VALUES (%(wallet_id)s, %(kind)s, %(coin_id)s, %(observed_at)s, %(recorded_at)s, %(share)s,
        %(price_usd)s, %(quantity)s, %(cash_usd)s, %(fee_usd)s, %(reason)s)
"""


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """One line of the ledger. Fields that do not apply to its kind are None."""

    kind: EventKind
    coin_id: str
    # The time of the observation that the event belongs to.
    observed_at: datetime
    # The time of the step that added the event.
    recorded_at: datetime
    # Orders and their outcome: the share of the cash (above 0) or of the coins (below 0).
    share: float | None = None
    # Fills: see Trade. Openings: `cash_usd` is the initial cash of the coin.
    price_usd: Decimal | None = None
    quantity: Decimal | None = None
    cash_usd: Decimal | None = None
    fee_usd: Decimal | None = None
    # Why an order was rejected, or the rule that sold instead of the strategy.
    reason: str | None = None

    @property
    def trade(self) -> Trade:
        """The trade of a fill. Raises InvalidTrades if its figures are missing or inconsistent."""
        price, quantity, cash, fee = self.price_usd, self.quantity, self.cash_usd, self.fee_usd
        if price is None or quantity is None or cash is None or fee is None:
            raise InvalidTrades(f"The fill of {self.coin_id} at {self.observed_at} is incomplete.")
        if abs(cash + quantity * price + fee) > MAX_ROUNDING * abs(cash):
            raise InvalidTrades(
                f"The fill of {self.coin_id} at {self.observed_at} moved {cash} USD, which does "
                f"not match {quantity} coins at {price} and a fee of {fee}."
            )
        side: Literal["buy", "sell"] = "buy" if quantity > 0 else "sell"
        at, reason = self.observed_at.timestamp(), to_exit_reason(self.reason)
        return Trade(at, side, price, quantity, cash, fee, reason)


def to_exit_reason(reason: str | None) -> ExitReason | None:
    """Return the protective exit that a reason names, or None."""
    return next((known for known in EXIT_REASONS if known == reason), None)


@dataclass(frozen=True, slots=True)
class CoinAccount:
    """The part of a wallet that trades one coin, derived from its events."""

    # The cash that the account was opened with.
    initial_usd: Decimal
    # UNIX seconds of the first observation that the account trades on.
    started_at: float
    trades: Sequence[Trade]
    rejected_fills: int
    # Whether purchases became possible again since the latest trade.
    is_unblocked: bool
    # The newest event of the account.
    last_event: LedgerEvent

    @property
    def pending_order(self) -> LedgerEvent | None:
        """The order that waits for the next price, or None."""
        return self.last_event if self.last_event.kind == "ordered" else None

    @property
    def portfolio(self) -> Portfolio:
        """The cash and the coins after all trades. Raises InvalidTrades."""
        found = build_portfolio(self.initial_usd, self.trades)
        found.is_blocked = found.is_blocked and not self.is_unblocked
        return found


def load_events(connection: Connection, wallet_id: int) -> list[LedgerEvent]:
    """Return a wallet's events, the oldest first."""
    with connection.cursor(row_factory=class_row(LedgerEvent)) as cursor:
        return cursor.execute(EVENTS, {"wallet_id": wallet_id}).fetchall()


def find_last_event_id(connection: Connection, wallet_id: int) -> int:
    """Return the id of a wallet's newest event, which tells whether the ledger has changed."""
    row = connection.execute(LAST_EVENT_ID, {"wallet_id": wallet_id}).fetchone()
    return int(row[0]) if row else 0


def load_accounts(connection: Connection, wallet_id: int) -> dict[str, CoinAccount]:
    """Return a wallet's accounts by coin. Raises InvalidTrades if the ledger is inconsistent."""
    return replay_events(load_events(connection, wallet_id))


def replay_events(events: Sequence[LedgerEvent]) -> dict[str, CoinAccount]:
    """Return the accounts by coin that events lead to. Raises InvalidTrades."""
    found = {}
    for opening in (event for event in events if event.kind == "opened"):
        own = [event for event in events if event.coin_id == opening.coin_id]
        account = CoinAccount(
            opening.cash_usd or Decimal(0),
            opening.observed_at.timestamp(),
            [event.trade for event in own if event.kind == "filled"],
            sum(event.kind == "rejected" for event in own),
            [event.kind for event in own if event.kind in ("filled", "unblocked")][-1:]
            == ["unblocked"],
            own[-1],
        )
        account.portfolio  # noqa: B018 - raises now, not in the middle of a step
        found[opening.coin_id] = account
    unopened = sorted({event.coin_id for event in events} - found.keys())
    if unopened or not found:
        raise InvalidTrades(f"The account of {', '.join(unopened) or 'any coin'} was never opened.")
    return found


def add_events(connection: Connection, wallet_id: int, events: Sequence[LedgerEvent]) -> None:
    """Append events to a wallet's ledger."""
    for event in events:
        connection.execute(ADD_EVENT, asdict(event) | {"wallet_id": wallet_id})


def add_if_unchanged(
    connection: Connection, wallet_id: int, events: Sequence[LedgerEvent], last_event_id: int
) -> bool:
    """Append events in one transaction if `last_event_id` is still the ledger's newest event.

    Otherwise, or if the wallet was closed meanwhile, this changes nothing and returns False.
    """
    with connection.transaction():
        is_open = connection.execute(LOCK_OPEN_WALLET, {"wallet_id": wallet_id}).fetchone()
        if not is_open or find_last_event_id(connection, wallet_id) != last_event_id:
            return False
        add_events(connection, wallet_id, events)
    return True
