"""What a request says about its import file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from services.api.imports.entries import Amount
from services.api.imports.symbols import OTHER_MONEY, find_money


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """The choices that change what a file's entries become."""

    wallet: str = ""
    stablecoins_as_usd: bool = True
    # Coin id by symbol.
    coins: Mapping[str, str] = field(default_factory=dict)
    # For rupiah of dates without a stored rate.
    idr_per_usd: Decimal | None = None
    # In USD, of one coin, by the number of the line.
    prices: Mapping[int, Decimal] = field(default_factory=dict)
    ignore_transfers: bool = False

    def is_money(self, amount: Amount) -> bool:
        """Return whether an amount is money rather than a coin."""
        known = find_money(amount.symbol, stablecoins_as_usd=self.stablecoins_as_usd)
        return known is not None or amount.symbol in OTHER_MONEY
