"""Turn imported entries into transactions of the portfolio. Pure functions.

Dollars and rupiah are money, and so are their stablecoins unless the request says otherwise. A
trade of a coin for money is a purchase or a sale, any other one a trade.

Fees: in money they are the fee. In the coin that was bought they reduce the quantity, in the coin
that was sold they add to it; the fee is their value, so that the money adds up exactly. Any other
coin that was paid as a fee is a small sale of its own with a fee of the same value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from services.api.imports.coins import CoinResolver, ResolvedCoin
from services.api.imports.entries import Amount, BadLine, Ignored, ImportedEntry
from services.api.imports.market import PastMarket
from services.api.imports.symbols import OTHER_MONEY, STABLECOINS, find_money
from services.api.portfolio.arithmetic import ZERO, exact_arithmetic
from services.api.portfolio.models import Transaction, TransactionKind
from services.api.schemas.base import LARGEST_AMOUNT, SMALLEST_AMOUNT

MAX_NOTE_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What a request says about its file."""

    wallet: str = ""
    stablecoins_as_usd: bool = True
    # Coin id by symbol.
    coins: Mapping[str, str] = field(default_factory=dict)
    # For rupiah of dates without a stored rate.
    idr_per_usd: Decimal | None = None
    # In USD, of one coin, by the number of the line.
    prices: Mapping[int, Decimal] = field(default_factory=dict)
    ignore_transfers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltEntry:
    """The transactions of an entry: the entry itself, and a sale for each fee in another coin."""

    transactions: tuple[Transaction, ...]
    coin: ResolvedCoin
    to_coin: ResolvedCoin | None = None
    # As the file has it.
    price: Amount | None = None
    message: str = ""


def list_needed_prices(
    entry: ImportedEntry, options: ImportOptions, coins: CoinResolver
) -> Iterator[tuple[str, datetime]]:
    """Yield the coins and times whose stored prices the entry may need. Raises BadLine."""
    sides = [side for side in (entry.given, entry.received) if side]
    needs_no_price = entry.kind == "reward" or any(is_money(side, options) for side in sides)
    for amount in (*entry.fees, *(() if needs_no_price else sides)):
        if not is_money(amount, options):
            yield coins.resolve(amount.symbol, entry.made_at).coin.coin_id, entry.made_at


@exact_arithmetic()
def build_entry(
    entry: ImportedEntry,
    options: ImportOptions,
    coins: CoinResolver,
    market: PastMarket,
    source: str,
) -> BuiltEntry:
    """Return the transactions of an entry. Raises BadLine and Ignored.

    `source` is the name of the file's format.
    """
    sides = [side for side in (entry.given, entry.received) if side]
    if not all(side.quantity for side in sides if not is_money(side, options)):
        raise Ignored("the quantity is 0")
    return _Build(options, coins, market, entry, source).run()


class _Build:
    """The construction of one entry's transactions."""

    def __init__(
        self,
        options: ImportOptions,
        coins: CoinResolver,
        market: PastMarket,
        entry: ImportedEntry,
        source: str,
    ) -> None:
        self._options, self._coins, self._market, self._entry = options, coins, market, entry
        self._messages: list[str] = []
        note = f"{source}: {entry.note}" if entry.note else source
        self._base = Transaction(
            made_at=entry.made_at,
            kind="buy",
            wallet=options.wallet,
            coin_id="",
            quantity=ZERO,
            price_usd=ZERO,
            idr_per_usd=market.rates.get(entry.made_at),
            note=note[:MAX_NOTE_CHARACTERS],
        )

    def run(self) -> BuiltEntry:
        given, received = self._entry.given, self._entry.received
        if self._entry.kind == "trade":
            if given is None or received is None:
                raise BadLine("the line names only one side of a trade.")
            return self._build_trade(given, received)
        amount = given or received
        if amount is None or self._is_money(amount):
            raise Ignored("money, not a coin")
        if self._entry.kind == "transfer":
            return self._build_transfer(amount, 1 if received else -1)
        coin = self._coin(amount)
        return self._built(coin, self._fill(coin, "reward", amount.quantity, ZERO, ZERO))

    def _build_transfer(self, amount: Amount, sign: int) -> BuiltEntry:
        if self._options.ignore_transfers:
            raise Ignored("transfers are left out")
        coin = self._coin(amount)
        price = self._find_price(coin, amount)
        if price is None:
            raise self._unknown_price(coin, ", or leave all transfers out with transfers=ignore")
        return self._build_with_fees(coin, amount, sign, price, "transfer")

    def _build_trade(self, given: Amount, received: Amount) -> BuiltEntry:
        if self._is_money(given) and self._is_money(received):
            raise Ignored("money for money")
        if self._is_money(given):
            return self._build_for_money(given, received, 1)
        if self._is_money(received):
            return self._build_for_money(received, given, -1)
        return self._build_coin_trade(given, received)

    def _build_for_money(self, money: Amount, amount: Amount, sign: int) -> BuiltEntry:
        coin = self._coin(amount)
        price = self._options.prices.get(self._line)
        if price is None and money.symbol in OTHER_MONEY:
            raise BadLine(
                f"the rate of {money.symbol} is not stored: give the price of one {amount.symbol} "
                "in USD in prices.",
                "prices",
            )
        if price is None:
            price = _unit_price(money, amount, self._entry.price) / self._per_usd(money)
        kind: TransactionKind = "buy" if sign > 0 else "sell"
        return self._build_with_fees(coin, amount, sign, price, kind, money)

    def _build_with_fees(
        self,
        coin: ResolvedCoin,
        amount: Amount,
        sign: int,
        price: Decimal,
        kind: TransactionKind,
        money: Amount | None = None,
    ) -> BuiltEntry:
        """Return a purchase, sale or transfer; `money` is the other side."""
        price, quantity, fee_usd = _round(price), amount.quantity, ZERO
        sales: list[Transaction] = []
        for fee in self._entry.fees:
            if fee.symbol in OTHER_MONEY and money and money.symbol == fee.symbol:
                fee_usd += fee.quantity / money.quantity * amount.quantity * price
            elif self._is_money(fee):
                fee_usd += fee.quantity / self._per_usd(fee)
            elif self._coin(fee).coin == coin.coin:
                quantity -= sign * fee.quantity
                fee_usd += fee.quantity * price
            else:
                sales += self._sell_fee(fee, {})
        if quantity <= 0:
            raise BadLine("the fee is not smaller than what was received.")
        main = self._fill(coin, kind, sign * quantity, price, fee_usd)
        shown = (
            Amount(_unit_price(money, amount, self._entry.price), money.symbol) if money else None
        )
        return self._built(coin, main, *sales, price=shown)

    def _build_coin_trade(self, given: Amount, received: Amount) -> BuiltEntry:
        coin, to_coin = self._coin(given), self._coin(received)
        price = self._find_price(coin, given)
        if price is None:
            to_price = self._market_price(to_coin, received)
            if to_price is None:
                raise self._unknown_price(coin)
            price = to_price * received.quantity / given.quantity
        price = _round(price)
        prices = {
            coin.coin.coin_id: price,
            to_coin.coin.coin_id: price * given.quantity / received.quantity,
        }
        fee_usd, sales = ZERO, list[Transaction]()
        for fee in self._entry.fees:
            if self._is_money(fee):
                fee_usd += fee.quantity / self._per_usd(fee)
            else:
                sales += self._sell_fee(fee, prices)
        trade = replace(
            self._fill(coin, "trade", -given.quantity, price, fee_usd),
            to_coin_id=to_coin.coin.coin_id,
            to_quantity=_check(received.quantity),
        )
        return self._built(coin, trade, *sales, to_coin=to_coin)

    def _sell_fee(self, fee: Amount, prices: Mapping[str, Decimal]) -> list[Transaction]:
        """Return the sale of a coin that was paid as a fee: its whole price is the fee."""
        coin = self._coin(fee)
        price = prices.get(coin.coin.coin_id) or self._market_price(coin, fee)
        if price is None:
            self._messages.append(
                f"the fee of {fee.quantity:f} {fee.symbol} counts as 0, because no price of that "
                "day is stored"
            )
        else:
            self._messages.append(f"the fee of {fee.quantity:f} {fee.symbol} is a sale of its own")
        price = _round(price or ZERO)
        sale = self._fill(coin, "sell", -fee.quantity, price, fee.quantity * price)
        note = f"{self._base.note}; fee in {fee.symbol}"[:MAX_NOTE_CHARACTERS]
        return [replace(sale, note=note)]

    @property
    def _line(self) -> int:
        return self._entry.rows[0].number

    def _coin(self, amount: Amount) -> ResolvedCoin:
        return self._coins.resolve(amount.symbol, self._entry.made_at)

    def _is_money(self, amount: Amount) -> bool:
        return is_money(amount, self._options)

    def _find_price(self, coin: ResolvedCoin, amount: Amount) -> Decimal | None:
        """Return a coin's price in USD: the request's, the file's, or the stored one."""
        stated = self._entry.price
        if self._line in self._options.prices:
            return self._options.prices[self._line]
        if stated and find_money(stated.symbol, stablecoins_as_usd=True):
            return stated.quantity / self._per_usd(stated)
        return self._market_price(coin, amount)

    def _market_price(self, coin: ResolvedCoin, amount: Amount) -> Decimal | None:
        price = self._market.prices.get((coin.coin.coin_id, self._entry.made_at))
        if price is None and amount.symbol in STABLECOINS:
            self._messages.append(f"{amount.symbol} counts at its face value")
            return 1 / self._per_usd(Amount(amount.quantity, amount.symbol))
        return price

    def _per_usd(self, money: Amount) -> Decimal:
        """Return how much of a money one dollar is. Raises BadLine if no rate is known."""
        known = find_money(money.symbol, stablecoins_as_usd=True)
        if known == "usd":
            return Decimal(1)
        at = self._entry.made_at
        rate = self._base.idr_per_usd if known == "idr" else None
        if rate is None and known == "idr" and self._options.idr_per_usd:
            rate = self._options.idr_per_usd
            self._base = replace(self._base, idr_per_usd=rate)
            self._messages.append(
                f"at your rate of {rate:f} rupiah: none of {at:%Y-%m-%d} is stored"
            )
        if rate is None and known == "idr":
            raise BadLine(
                f"no rupiah rate of {at:%Y-%m-%d} is stored: give one in idr_per_usd.",
                "idr_per_usd",
            )
        if rate is None:
            raise BadLine(f"the fee is in {money.symbol}, whose rate is not stored: set it to 0.")
        return rate

    def _unknown_price(self, coin: ResolvedCoin, remedy: str = "") -> BadLine:
        return BadLine(
            f"no price of {coin.coin.name} on {self._entry.made_at:%Y-%m-%d} is stored: give it in "
            f'prices as {{"{self._line}": "…"}}, in USD{remedy}.',
            "prices",
        )

    def _fill(
        self,
        coin: ResolvedCoin,
        kind: TransactionKind,
        quantity: Decimal,
        price: Decimal,
        fee_usd: Decimal,
    ) -> Transaction:
        return replace(
            self._base,
            kind=kind,
            coin_id=coin.coin.coin_id,
            quantity=_check(quantity),
            price_usd=_check(_round(price)),
            fee_usd=_check(_round(fee_usd)),
        )

    def _built(
        self,
        coin: ResolvedCoin,
        *transactions: Transaction,
        to_coin: ResolvedCoin | None = None,
        price: Amount | None = None,
    ) -> BuiltEntry:
        return BuiltEntry(
            transactions=transactions,
            coin=coin,
            to_coin=to_coin,
            price=price or self._entry.price,
            message="; ".join(dict.fromkeys(self._messages)),
        )


def is_money(amount: Amount, options: ImportOptions) -> bool:
    """Return whether an amount is money rather than a coin."""
    known = find_money(amount.symbol, stablecoins_as_usd=options.stablecoins_as_usd)
    return known is not None or amount.symbol in OTHER_MONEY


def _unit_price(money: Amount, amount: Amount, stated: Amount | None) -> Decimal:
    """Return the price of one coin in money: the file's own if it gives exactly that money."""
    if stated and stated.quantity * amount.quantity == money.quantity:
        return stated.quantity
    return money.quantity / amount.quantity


def _round(amount: Decimal) -> Decimal:
    return amount.quantize(SMALLEST_AMOUNT)


def _check(amount: Decimal) -> Decimal:
    """Return an amount that can be stored. Raises BadLine."""
    if abs(amount) > LARGEST_AMOUNT or amount != amount.quantize(SMALLEST_AMOUNT):
        raise BadLine(f"the amount {amount:.6e} is too large, or has more than 18 decimal places.")
    return amount
