"""Legs: what transactions do to one coin in one wallet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from services.api.portfolio.arithmetic import ZERO, exact_arithmetic
from services.api.portfolio.models import Transaction, TransactionKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """Coins that a transaction adds to a wallet, or takes from it if the quantity is negative."""

    transaction_id: int
    made_at: datetime
    kind: TransactionKind
    wallet: str
    coin_id: str
    quantity: Decimal
    price_usd: Decimal
    fee_usd: Decimal
    idr_per_usd: Decimal | None
    # Whether the coins move between own wallets: then only the fee counts for cost and profit.
    is_internal: bool = False


@exact_arithmetic()
def expand(transactions: Iterable[Transaction]) -> list[Leg]:
    """Return the legs of transactions by time; at the same time coins received come first.

    A trade has two legs of the same value; the coins given carry the fee. A transfer between own
    wallets has two legs too; every other transaction has one. The SQL view `transaction_legs` does
    the same.
    """
    legs = (leg for transaction in transactions for leg in _expand_one(transaction))
    # A sale may need the coins of a purchase that was entered with the same time.
    return sorted(legs, key=lambda leg: (leg.made_at, leg.quantity < 0, leg.transaction_id))


def _expand_one(transaction: Transaction) -> Iterator[Leg]:
    t = transaction
    leg = Leg(
        transaction_id=t.transaction_id,
        made_at=t.made_at,
        kind=t.kind,
        wallet=t.wallet,
        coin_id=t.coin_id,
        quantity=t.quantity,
        price_usd=t.price_usd,
        fee_usd=t.fee_usd,
        idr_per_usd=t.idr_per_usd,
        is_internal=t.to_wallet is not None,
    )
    if t.to_wallet is not None:
        yield replace(leg, quantity=-t.quantity)
        yield replace(leg, wallet=t.to_wallet, fee_usd=ZERO)
        return
    yield leg
    if t.to_coin_id is not None and t.to_quantity is not None:
        price = -t.quantity * t.price_usd / t.to_quantity
        yield replace(
            leg, coin_id=t.to_coin_id, quantity=t.to_quantity, price_usd=price, fee_usd=ZERO
        )
