"""200 random transactions of all kinds, against an independent computation with fractions."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.conftest import NOW
from tests.services.api.client import ApiSession

TRANSACTIONS, DAYS, LAST_DAY = 200, 600, 12
COINS = ("bitcoin", "ethereum")
# As the fixture `week_api` stores them: now, and 24 hours ago.
PRICES = {"bitcoin": Fraction(90_000), "ethereum": Fraction(3_000)}
PRICES_DAY_AGO = {coin_id: price + 96 for coin_id, price in PRICES.items()}
RATE = Fraction(16_250)
WALLETS = ("", "Binance", "Cold storage")
COLUMNS = (
    *("made_at", "kind", "wallet", "coin_id", "quantity", "price", "fee", "currency"),
    *("idr_per_usd", "to_coin_id", "to_quantity", "to_wallet"),
)
Entry = dict[str, str]


@dataclass
class Lot:
    quantity: Fraction
    price: Fraction
    rate: Fraction
    # What is left of the purchase's fee.
    fee: Fraction


@dataclass
class Book:
    """One coin's figures, in fractions."""

    lots: list[Lot] = field(default_factory=list)
    average_cost: Fraction = Fraction(0)
    average_realized: Fraction = Fraction(0)
    fifo_realized: Fraction = Fraction(0)
    realized: Fraction = Fraction(0)
    realized_idr: Fraction = Fraction(0)
    rupiah_effect: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)
    fees_idr: Fraction = Fraction(0)
    # Money put in minus money taken out, fees included.
    invested: Fraction = Fraction(0)
    invested_idr: Fraction = Fraction(0)

    @property
    def quantity(self) -> Fraction:
        return sum((lot.quantity for lot in self.lots), Fraction(0))

    def pay_fee(self, fee: Fraction, rate: Fraction) -> None:
        self.fees += fee
        self.fees_idr += fee * rate
        self.invested += fee
        self.invested_idr += fee * rate

    def receive(self, quantity: Fraction, price: Fraction, rate: Fraction, fee: Fraction) -> None:
        self.pay_fee(fee, rate)
        self.lots.append(Lot(quantity, price, rate, fee))
        self.average_cost += quantity * price + fee
        self.invested += quantity * price
        self.invested_idr += quantity * price * rate

    def give(self, quantity: Fraction, price: Fraction, rate: Fraction, fee: Fraction) -> None:
        self.pay_fee(fee, rate)
        proceeds = quantity * price - fee
        cost = self.average_cost * quantity / self.quantity
        self.average_cost -= cost
        self.average_realized += proceeds - cost
        self.fifo_realized += proceeds
        self.invested -= quantity * price
        self.invested_idr -= quantity * price * rate
        while quantity:
            lot = self.lots[0]
            part = min(quantity, lot.quantity)
            part_fee = lot.fee * part / lot.quantity
            self.fifo_realized -= part * lot.price + part_fee
            self.realized += part * (price - lot.price)
            self.realized_idr += part * (price - lot.price) * lot.rate
            self.rupiah_effect += part * price * (rate - lot.rate)
            lot.quantity, lot.fee, quantity = (
                lot.quantity - part,
                lot.fee - part_fee,
                quantity - part,
            )
            if not lot.quantity:
                self.lots.pop(0)

    def move(self, fee: Fraction, rate: Fraction) -> None:
        self.pay_fee(fee, rate)
        self.average_realized -= fee
        self.fifo_realized -= fee

    def profit(self, price: Fraction) -> dict[str, Fraction]:
        unrealized = sum((lot.quantity * (price - lot.price) for lot in self.lots), Fraction(0))
        unrealized_idr = sum(
            (lot.quantity * (price - lot.price) * lot.rate for lot in self.lots), Fraction(0)
        )
        effect = self.rupiah_effect + sum(
            (lot.quantity * price * (RATE - lot.rate) for lot in self.lots), Fraction(0)
        )
        # From the money that went in and out, not from the parts.
        usd = self.quantity * price - self.invested
        idr = self.quantity * price * RATE - self.invested_idr
        assert usd == self.realized + unrealized - self.fees
        assert idr == self.realized_idr + unrealized_idr - self.fees_idr + effect
        return {
            "usd": usd,
            "idr": idr,
            "realized_usd": self.realized,
            "unrealized_usd": unrealized,
            "realized_idr": self.realized_idr,
            "unrealized_idr": unrealized_idr,
            "coin_move_idr": self.realized_idr + unrealized_idr,
            "rupiah_move_idr": effect,
            "fees_usd": self.fees,
            "fees_idr": self.fees_idr,
        }


def draw_entries(dice: random.Random) -> list[Entry]:
    """Return valid transactions by time, some of them in the last 24 hours."""
    held: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    entries = []
    for n in range(TRANSACTIONS):
        ago = timedelta(days=DAYS - n * DAYS / TRANSACTIONS, minutes=dice.randint(0, 600))
        if n >= TRANSACTIONS - LAST_DAY:
            ago = timedelta(hours=TRANSACTIONS - n)
        coin_id, wallet = dice.choice(COINS), dice.choice(WALLETS)
        kind = dice.choice(("buy", "buy", "sell", "trade", "transfer", "move", "reward"))
        available = held[coin_id, wallet]
        quantity = Decimal(dice.randint(1, 10**9)) / 10 ** dice.randint(6, 12)
        if kind in ("sell", "trade", "move") or (kind == "transfer" and dice.random() < 0.5):
            quantity = -min(available, dice.choice((available, quantity)))
        if not quantity:
            kind, quantity = "buy", Decimal(dice.randint(1, 10**6)) / 10**5
        entry = dict.fromkeys(COLUMNS, "") | {
            "made_at": (NOW - ago).isoformat(),
            "kind": "transfer" if kind == "move" else kind,
            "wallet": wallet,
            "coin_id": coin_id,
            "fee": f"{dice.choice((0, 0, dice.randint(1, 9999))) / 100:.2f}",
            "currency": dice.choice(("usd", "idr")),
            "idr_per_usd": f"{dice.randint(15_000_00, 17_000_00) / 100:.2f}",
        }
        if kind not in ("move", "reward"):
            entry["price"] = f"{dice.randint(1, 10**8) / 1000:.3f}"
        if kind == "trade":
            entry["to_coin_id"] = COINS[1 - COINS.index(coin_id)]
            entry["to_quantity"] = f"{dice.randint(1, 10**9) / 10**7:.7f}"
            held[entry["to_coin_id"], wallet] += Decimal(entry["to_quantity"])
        held[coin_id, wallet] += quantity
        if kind == "move":
            to_wallet = dice.choice([name for name in WALLETS if name != wallet])
            held[coin_id, to_wallet] -= quantity
            entry["to_wallet"] = to_wallet or "main"
            quantity = abs(quantity)
        entry["quantity"] = f"{quantity:f}"
        entries.append(entry)
    return entries


def to_usd(amount: str, entry: Entry) -> Fraction:
    """Return a price or a fee in USD, rounded to 18 places as the API stores rupiah."""
    exact = Fraction(amount or 0)
    if entry["currency"] == "usd":
        return exact
    return Fraction(round(exact / Fraction(entry["idr_per_usd"]) * 10**18), 10**18)


def record(books: dict[str, Book], wallets: dict[tuple[str, str], Fraction], entry: Entry) -> None:
    """Apply a transaction to the books and to the coins held in each wallet."""
    book, rate = books[entry["coin_id"]], Fraction(entry["idr_per_usd"])
    quantity, price = Fraction(entry["quantity"]), to_usd(entry["price"], entry)
    fee, place = to_usd(entry["fee"], entry), (entry["wallet"], entry["coin_id"])
    if entry["to_wallet"]:
        book.move(fee, rate)
        wallets[place] -= quantity
        wallets[entry["to_wallet"].removeprefix("main"), entry["coin_id"]] += quantity
        return
    wallets[place] += quantity
    if quantity > 0:
        book.receive(quantity, price, rate, fee)
        return
    book.give(-quantity, price, rate, fee)
    if entry["to_coin_id"]:
        received = Fraction(entry["to_quantity"])
        books[entry["to_coin_id"]].receive(
            received, -quantity * price / received, rate, Fraction(0)
        )
        wallets[entry["wallet"], entry["to_coin_id"]] += received


def assert_amount(text: str, expected: Fraction) -> None:
    """The text is the fraction rounded to 20 digits (half even), in plain notation."""
    assert re.fullmatch(r"0|-?(0|[1-9]\d*)(\.\d*[1-9])?", text), text
    assert len(text.strip("-").replace(".", "").strip("0")) <= 20, text
    scale = 0
    while expected and abs(expected) * Fraction(10) ** scale < 10**19:
        scale += 1
    while abs(expected) * Fraction(10) ** scale >= 10**20:
        scale -= 1
    rounded = Fraction(round(expected * Fraction(10) ** scale)) / Fraction(10) ** scale
    assert Fraction(text) == rounded, (text, float(expected))


def assert_profit(found: dict[str, Any], expected: dict[str, Fraction]) -> None:
    for name, value in expected.items():
        assert_amount(found[name], value)


def test_200_random_transactions_have_the_figures_of_an_independent_computation(
    portfolio_api: ApiSession, dice: random.Random
) -> None:
    entries = draw_entries(dice)
    lines = [",".join(COLUMNS), *(",".join(entry.values()) for entry in entries)]
    response = portfolio_api.post(
        "/portfolio/transactions.csv",
        data="\n".join(lines).encode(),
        headers={"Content-Type": "text/csv"},
    )
    assert response.json() == {"added": TRANSACTIONS, "skipped": 0}, lines
    books: dict[str, Book] = defaultdict(Book)
    day_books: dict[str, Book] = defaultdict(Book)
    wallets: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    is_today = False
    for entry in sorted(entries, key=lambda entry: entry["made_at"]):
        if not is_today and datetime.fromisoformat(entry["made_at"]) >= NOW - timedelta(days=1):
            is_today = True
            for coin_id, book in books.items():
                day_books[coin_id].receive(
                    book.quantity, PRICES_DAY_AGO[coin_id], Fraction(1), Fraction(0)
                )
        record(books, wallets, entry)
        if is_today:
            record(day_books, defaultdict(Fraction), entry)
    portfolio = portfolio_api.get_json("/portfolio", days=1)
    totals: dict[str, Fraction] = defaultdict(Fraction)
    for holding in portfolio["holdings"]:
        coin_id = holding["coin_id"]
        book, price = books[coin_id], PRICES[coin_id]
        assert_amount(holding["quantity"], book.quantity)
        assert_amount(holding["value_idr"], book.quantity * price * RATE)
        assert_amount(holding["average_cost"]["cost_usd"], book.average_cost)
        assert_amount(holding["average_cost"]["realized_usd"], book.average_realized)
        fifo_cost = sum((lot.quantity * lot.price + lot.fee for lot in book.lots), Fraction(0))
        assert_amount(holding["fifo_cost"]["cost_usd"], fifo_cost)
        assert_amount(holding["fifo_cost"]["realized_usd"], book.fifo_realized)
        profit = book.profit(price)
        assert_profit(holding["total_profit"], profit)
        # The rate of 24 hours ago is unknown, so rupiah are unknown.
        day = day_books[coin_id].profit(price)
        names = ("usd", "realized_usd", "unrealized_usd", "fees_usd")
        assert_profit(holding["day_profit"], {name: day[name] for name in names})
        for name, value in profit.items():
            totals[name] += value
    assert_profit(portfolio["total_profit"], totals)
    net_worth = sum(books[coin_id].quantity * PRICES[coin_id] for coin_id in COINS)
    assert_amount(portfolio["net_worth_usd"], Fraction(net_worth))
    found = {
        (wallet["wallet"], holding["coin_id"]): holding["quantity"]
        for wallet in portfolio_api.get_json("/portfolio/wallets")["items"]
        for holding in wallet["holdings"]
    }
    held = {place: quantity for place, quantity in wallets.items() if quantity}
    assert found.keys() == held.keys()
    for place, quantity in held.items():
        assert_amount(found[place], quantity)
