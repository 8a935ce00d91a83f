"""What each wallet of the portfolio holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from services.api.portfolio.arithmetic import ZERO, add_known, exact_arithmetic, multiply_known
from services.api.portfolio.legs import Leg
from services.api.portfolio.models import WalletContent, WalletHolding
from services.api.portfolio.valuation import Label, ValuationPrices


@exact_arithmetic()
def list_wallets(
    legs: Iterable[Leg], prices: ValuationPrices, labels: Mapping[str, Label]
) -> list[WalletContent]:
    """Return every wallet that was ever used, the main one first, then by name."""
    held: dict[str, dict[str, Decimal]] = {}
    for leg in legs:
        coins = held.setdefault(leg.wallet, {})
        coins[leg.coin_id] = coins.get(leg.coin_id, ZERO) + leg.quantity
    return [_value_wallet(wallet, coins, prices, labels) for wallet, coins in sorted(held.items())]


def _value_wallet(
    wallet: str,
    coins: Mapping[str, Decimal],
    prices: ValuationPrices,
    labels: Mapping[str, Label],
) -> WalletContent:
    holdings = []
    for coin_id, quantity in coins.items():
        symbol, name = labels.get(coin_id, (coin_id, coin_id))
        value = multiply_known(quantity, prices.price_usd(coin_id))
        if quantity:
            holdings.append(WalletHolding(coin_id, symbol, name, quantity, value))
    holdings.sort(key=lambda holding: (-(holding.value_usd or ZERO), holding.coin_id))
    value_usd = add_known(holding.value_usd for holding in holdings)
    value_idr = multiply_known(value_usd, prices.idr_per_usd) if holdings else ZERO
    return WalletContent(wallet, value_usd, value_idr, tuple(holdings))
