"""Turn imported entries into transactions of the portfolio. Pure functions.

Dollars and rupiah are money, and so are their stablecoins unless the request says otherwise. A
trade of a coin for money is a purchase or a sale, any other one a trade.

Fees: in money they are the fee. In the coin that was bought they reduce the quantity, in the coin
that was sold they add to it; the fee is their value, so that the money adds up exactly. Any other
coin that was paid as a fee is a small sale of its own with a fee of the same value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from services.api.imports.coins import CoinResolver, ResolvedCoin
from services.api.imports.entries import Amount, BadLine, Ignored, ImportedEntry
from services.api.imports.market import PastMarket
from services.api.imports.options import ImportOptions
from services.api.imports.pricing import EntryPrices
from services.api.imports.rounding import check_amount, round_amount, unit_price
from services.api.imports.symbols import OTHER_MONEY
from services.api.portfolio.arithmetic import ZERO, exact_arithmetic
from services.api.portfolio.models import Transaction, TransactionKind
from services.api.portfolio.price_book import Wanted

MAX_NOTE_CHARACTERS = 200


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
) -> Iterator[Wanted]:
    """Yield the coins and times whose stored prices the entry may need. Raises BadLine."""
    sides = [side for side in (entry.given, entry.received) if side]
    needs_no_price = entry.kind == "reward" or any(map(options.is_money, sides))
    for amount in (*entry.fees, *(() if needs_no_price else sides)):
        if not options.is_money(amount):
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
    if not all(side.quantity for side in sides if not options.is_money(side)):
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
        self._options, self._coins, self._entry = options, coins, entry
        self._prices = EntryPrices(entry, options, market)
        self._note = f"{source}: {entry.note}" if entry.note else source

    def run(self) -> BuiltEntry:
        given, received = self._entry.given, self._entry.received
        if self._entry.kind == "trade":
            if given is None or received is None:
                raise BadLine("the line names only one side of a trade.")
            return self._build_trade(given, received)
        amount = given or received
        if amount is None or self._options.is_money(amount):
            raise Ignored("money, not a coin")
        if self._entry.kind == "transfer":
            return self._build_transfer(amount, 1 if received else -1)
        coin = self._coin(amount)
        return self._built(coin, self._fill(coin, "reward", amount.quantity, ZERO, ZERO))

    def _build_transfer(self, amount: Amount, sign: int) -> BuiltEntry:
        if self._options.ignore_transfers:
            raise Ignored("transfers are left out")
        coin = self._coin(amount)
        price = self._prices.find(coin, amount)
        if price is None:
            raise self._prices.missing(coin, ", or leave all transfers out with transfers=ignore")
        return self._build_with_fees(coin, amount, sign, price, "transfer")

    def _build_trade(self, given: Amount, received: Amount) -> BuiltEntry:
        if self._options.is_money(given) and self._options.is_money(received):
            raise Ignored("money for money")
        if self._options.is_money(given):
            return self._build_for_money(given, received, 1)
        if self._options.is_money(received):
            return self._build_for_money(received, given, -1)
        return self._build_coin_trade(given, received)

    def _build_for_money(self, money: Amount, amount: Amount, sign: int) -> BuiltEntry:
        coin = self._coin(amount)
        price = self._prices.stated
        if price is None and money.symbol in OTHER_MONEY:
            raise BadLine(
                f"the rate of {money.symbol} is not stored: give the price of one {amount.symbol} "
                "in USD in prices.",
                "prices",
            )
        if price is None:
            per_usd = self._prices.per_usd(money.symbol)
            price = unit_price(money, amount, self._entry.price) / per_usd
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
        price, quantity, fee_usd = round_amount(price), amount.quantity, ZERO
        sales: list[Transaction] = []
        for fee in self._entry.fees:
            if self._options.is_money(fee):
                fee_usd += self._value_fee(fee, money, amount.quantity * price)
            elif self._coin(fee).coin == coin.coin:
                quantity -= sign * fee.quantity
                fee_usd += fee.quantity * price
            else:
                sales.append(self._sell_fee(fee, {}))
        if quantity <= 0:
            raise BadLine("the fee is not smaller than what was received.")
        main = self._fill(coin, kind, sign * quantity, price, fee_usd)
        shown = (
            Amount(unit_price(money, amount, self._entry.price), money.symbol) if money else None
        )
        return self._built(coin, main, *sales, price=shown)

    def _value_fee(self, fee: Amount, money: Amount | None, value: Decimal) -> Decimal:
        """Return a fee in USD; `value` is that of the money of the trade."""
        if money and money.quantity and fee.symbol == money.symbol in OTHER_MONEY:
            return fee.quantity / money.quantity * value
        return fee.quantity / self._prices.per_usd(fee.symbol)

    def _build_coin_trade(self, given: Amount, received: Amount) -> BuiltEntry:
        coin, to_coin = self._coin(given), self._coin(received)
        if coin.coin == to_coin.coin:
            raise Ignored("the same coin under another symbol")
        price = self._prices.find(coin, given)
        if price is None:
            to_price = self._prices.find_stored(to_coin, received)
            if to_price is None:
                raise self._prices.missing(coin)
            price = to_price * received.quantity / given.quantity
        price = round_amount(price)
        prices = {
            coin.coin.coin_id: price,
            to_coin.coin.coin_id: price * given.quantity / received.quantity,
        }
        fee_usd, sales = ZERO, list[Transaction]()
        for fee in self._entry.fees:
            if self._options.is_money(fee):
                fee_usd += fee.quantity / self._prices.per_usd(fee.symbol)
            else:
                sales.append(self._sell_fee(fee, prices))
        trade = replace(
            self._fill(coin, "trade", -given.quantity, price, fee_usd),
            to_coin_id=to_coin.coin.coin_id,
            to_quantity=check_amount(received.quantity),
        )
        return self._built(coin, trade, *sales, to_coin=to_coin)

    def _sell_fee(self, fee: Amount, prices: Mapping[str, Decimal]) -> Transaction:
        """Return the sale of a coin that was paid as a fee: its whole price is the fee."""
        coin = self._coin(fee)
        price = prices.get(coin.coin.coin_id) or self._prices.find_stored(coin, fee)
        effect = (
            "counts as 0, because no price of that day is stored"
            if price is None
            else "is a sale of its own"
        )
        self._prices.messages.append(f"the fee of {fee.quantity:f} {fee.symbol} {effect}")
        price = round_amount(price or ZERO)
        sale = self._fill(coin, "sell", -fee.quantity, price, fee.quantity * price)
        note = f"{self._note}; fee in {fee.symbol}"[:MAX_NOTE_CHARACTERS]
        return replace(sale, note=note)

    def _coin(self, amount: Amount) -> ResolvedCoin:
        return self._coins.resolve(amount.symbol, self._entry.made_at)

    def _fill(
        self,
        coin: ResolvedCoin,
        kind: TransactionKind,
        quantity: Decimal,
        price: Decimal,
        fee_usd: Decimal,
    ) -> Transaction:
        return Transaction(
            made_at=self._entry.made_at,
            kind=kind,
            wallet=self._options.wallet,
            coin_id=coin.coin.coin_id,
            quantity=check_amount(quantity),
            price_usd=check_amount(round_amount(price)),
            fee_usd=check_amount(round_amount(fee_usd)),
            idr_per_usd=self._prices.idr_per_usd,
            note=self._note[:MAX_NOTE_CHARACTERS],
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
            message="; ".join(dict.fromkeys(self._prices.messages)),
        )
