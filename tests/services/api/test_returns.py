"""Returns and net worth: published and hand-computed cases, random portfolios, missing data."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from safe_zone import Settings
from sentinel.archive.day_file import DayFile
from sentinel.archive.price_lookup import PriceLookup
from services.api.portfolio import timeline
from services.api.portfolio.models import ExchangeRate, PriceQuote, Transaction
from services.api.portfolio.net_worth import compute_net_worth, list_days
from services.api.portfolio.past_prices import add_archived_prices
from services.api.portfolio.period_returns import Course, compute_returns
from services.api.portfolio.price_book import PriceBook, ReturnUnavailable
from services.api.portfolio.return_models import Figure, PeriodReturns, PortfolioReturns
from services.api.portfolio.returns import Payment, Point, compute_time_weighted, compute_xirr
from services.api.portfolio.timeline import list_flows
from services.api.portfolio.valuation import ValuationPrices, value_portfolio
from tests.conftest import NOW

D = Decimal
DAY = timedelta(days=1)
# The price of a coin and the rate of the rupiah at a time; None: unknown.
Price = Callable[[str, datetime], Any]


def entry(
    quantity: Any, price: Any = 0, *, days: float, coin: str = "bitcoin", **fields: Any
) -> Transaction:
    """Return a transaction made `days` ago, by default a purchase or a sale."""
    fields = {"kind": "buy" if quantity > 0 else "sell", "idr_per_usd": D(16_000)} | fields
    for name in ("fee_usd", "to_quantity", "idr_per_usd"):
        fields |= {name: D(fields[name])} if fields.get(name) is not None else {}
    at = NOW - timedelta(days=days)
    return Transaction(made_at=at, coin_id=coin, quantity=D(quantity), price_usd=D(price), **fields)


def make_book(wanted: set[tuple[str, datetime]], price: Price, rate: Price) -> PriceBook:
    """Return a book of the prices and rates that a market knows."""
    prices = {(coin, at): price(coin, at) for coin, at in wanted}
    rates = {at: rate("idr", at) for _, at in wanted}
    return PriceBook(
        {key: PriceQuote(D(p), key[1]) for key, p in prices.items() if p is not None},
        {at: ExchangeRate(D(r), at) for at, r in rates.items() if r is not None},
    )


def returns_of(
    own: Sequence[Transaction],
    price: Price = lambda *_: 100,
    rate: Price = lambda *_: 16_000,
) -> PortfolioReturns:
    course = Course.follow(own, NOW)
    assert course
    return compute_returns(course, make_book(course.list_wanted(), price, rate))


def period(found: PortfolioReturns, name: str) -> PeriodReturns:
    return next(each for each in found.periods if each.period == name)


def days_ago(at: datetime) -> float:
    return (NOW - at) / DAY


def test_the_time_weighted_return_chains_the_growth_between_payments() -> None:
    # 100 grew by 10 %; then 100 more came in, and the 210 lost 10 %.
    points = [Point(D(0), D(100)), Point(D(110), D(210)), Point(D(189), D(189))]
    assert compute_time_weighted(points) == D("-0.01")
    lost = [Point(D(0), D(100)), Point(D(0), D(50)), Point(D(75), D(75))]
    assert compute_time_weighted(lost) == -1
    paused = [Point(D(0), D(100)), Point(D(120), D(0)), Point(D(0), D(50)), Point(D(55), D(55))]
    assert compute_time_weighted(paused) == D("0.32")
    with pytest.raises(ReturnUnavailable, match="nothing was invested"):
        compute_time_weighted([Point(D(0), D(0)), Point(D(5), D(5))])


def test_xirr_equals_the_example_of_spreadsheets() -> None:
    # https://support.microsoft.com/office/xirr-function-de1242ec-6477-445b-b11b-a303ad9adc9d
    paid = [((2008, 1, 1), 10_000), ((2008, 3, 1), -2750), ((2008, 10, 30), -4250)]
    paid.append(((2009, 2, 15), -3250))
    payments = [Payment(datetime(*day, tzinfo=UTC), D(amount)) for day, amount in paid]
    rate = compute_xirr(payments, D(2750), datetime(2009, 4, 1, tzinfo=UTC))
    assert float(rate) == pytest.approx(0.373362535, abs=1e-8)


def _pay(*amounts: tuple[float, Any]) -> list[Payment]:
    return [Payment(NOW - timedelta(days=days), D(amount)) for days, amount in amounts]


def test_xirr_in_closed_forms_and_at_the_limits() -> None:
    assert float(compute_xirr(_pay((365, 100)), D(110), NOW)) == pytest.approx(0.1, abs=1e-12)
    assert float(compute_xirr(_pay((730, 100)), D(64), NOW)) == pytest.approx(-0.2, abs=1e-12)
    assert float(compute_xirr(_pay((365, 100)), D(100), NOW)) == pytest.approx(0, abs=1e-12)
    # Two equal payments: x**2 + x = 3 with x the growth of a year.
    twice = compute_xirr(_pay((730, 1), (365, 1)), D(3), NOW)
    assert float(twice) == pytest.approx((13**0.5 - 1) / 2 - 1, abs=1e-12)
    assert compute_xirr(_pay((365, 100), (100, 5)), D(0), NOW) == -1


@pytest.mark.parametrize(
    ("payments", "value", "reason"),
    [
        (_pay((29, 100)), 110, "needs 30 days"),
        (_pay((365, -100)), 110, "nothing was paid in"),
        ([], 0, "nothing was paid in"),
        # 100 in, 230 out, 132 in: both 10 % and 20 % a year fit.
        (_pay((730, 100), (365, -230), (0, 132)), 0, "more than one rate"),
        (_pay((730, 100), (365, -100), (0, 100)), 0, "no rate fits"),
    ],
)
def test_without_one_rate_xirr_gives_the_reason(
    payments: list[Payment], value: int, reason: str
) -> None:
    with pytest.raises(ReturnUnavailable, match=reason):
        compute_xirr(payments, D(value), NOW)


def test_xirr_makes_the_payments_add_up_to_the_value() -> None:
    chance = random.Random(7)
    for _ in range(20):
        count = chance.randint(1, 8)
        payments = _pay(*((chance.uniform(40, 2000), chance.randint(1, 500)) for _ in range(count)))
        value = D(chance.randint(1, 5000))
        rate = float(compute_xirr(payments, value, NOW))
        grown = sum(float(p.amount) * (1 + rate) ** (days_ago(p.at) / 365) for p in payments)
        assert grown == pytest.approx(float(value), rel=1e-9)


def test_returns_do_not_count_payments_as_profit() -> None:
    def price(_coin: str, at: datetime) -> float:
        return 100 + 10 * (days_ago(at) <= 50) + 11 * (days_ago(at) <= 10)

    own = [entry(1, 100, days=100), entry(9, 110, days=40), entry(-5, 121, days=5)]
    found = period(returns_of(own, price), "all")
    assert found.usd.time_weighted == Figure(D("0.21"))
    assert found.usd.bitcoin == Figure(D("0.21"))
    assert found.idr.time_weighted == Figure(D("0.21"))
    xirr = found.usd.xirr.value
    grown = [(100, 100), (990, 40), (-605, 5)]
    assert xirr is not None
    assert sum(paid * (1 + float(xirr)) ** (days / 365) for paid, days in grown) == pytest.approx(
        605, rel=1e-9
    )
    day = period(returns_of(own, price), "24h")
    assert day.usd.time_weighted == Figure(D(0))
    assert day.usd.xirr.unavailable == "a yearly rate needs 30 days"


def test_the_rupiahs_move_is_part_of_the_return_in_rupiah() -> None:
    found = returns_of(
        [entry(1, 100, days=400)], rate=lambda _, at: 20_000 if at == NOW else 16_000
    )
    last = period(found, "all")
    assert (last.usd.time_weighted, last.idr.time_weighted) == (Figure(D(0)), Figure(D("0.25")))
    assert found.cash
    assert (found.cash.usd.profit, found.cash.idr.profit) == (D(0), D(400_000))
    assert found.cash.idr.xirr.value is not None
    assert 0.2 < found.cash.idr.xirr.value < 0.25


def test_trades_own_transfers_and_rewards_are_no_payments_but_their_fees_are() -> None:
    own = [
        entry(2, 100, days=90),
        entry(-1, 100, days=80, kind="trade", to_coin_id="ether", to_quantity=10),
        entry(1, days=70, kind="transfer", to_wallet="cold"),
        entry(1, days=60, kind="reward", coin="ether"),
    ]
    assert [flow.usd for flow in list_flows(own)] == [200]
    found = returns_of(own, lambda coin, _: 10 if coin == "ether" else 100)
    assert period(found, "all").usd.time_weighted == Figure(D("0.05"))
    paid = [entry(1, days=70, kind="transfer", to_wallet="cold", fee_usd=5)]
    assert [flow.usd for flow in list_flows(own[:1] + paid)] == [200, 5]
    lost = period(returns_of(own[:1] + paid), "all").usd.time_weighted.value
    assert lost == pytest.approx(D(200) / D(205) - 1)
    moved = [entry(1, 100, days=90, kind="transfer"), entry(-1, 130, days=9, kind="transfer")]
    assert [flow.usd for flow in list_flows(moved)] == [100, -130]


def test_what_is_missing_is_named_and_leaves_the_other_figures() -> None:
    own = [entry(1, 100, days=100), entry(1, 50, days=20, coin="ether", idr_per_usd=None)]
    gone = {("bitcoin", 20), ("ether", 7)}

    def price(coin: str, at: datetime) -> float | None:
        return None if (coin, round(days_ago(at))) in gone else 100

    found = returns_of(own, price, rate=lambda _, at: None if round(days_ago(at)) == 20 else 16_000)
    last = period(found, "all")
    assert last.usd.time_weighted.unavailable == "no price of bitcoin on 2026-10-31"
    assert last.usd.xirr.value is not None
    assert last.idr.xirr.unavailable == "no rupiah rate of the payment on 2026-10-31"
    week = period(found, "7d")
    assert week.usd.time_weighted.unavailable == "no price of ether on 2026-11-13"
    assert week.usd.bitcoin == Figure(D(0))
    assert period(found, "24h").usd.time_weighted == Figure(D(0))
    assert found.bitcoin
    assert found.bitcoin.usd.unavailable == "no price of bitcoin on 2026-10-31"
    assert found.bitcoin.usd.value is None
    assert found.cash
    assert found.cash.usd.value == 150


def test_an_old_price_does_not_stand_for_the_start_of_a_short_period() -> None:
    course = Course.follow([entry(1, 100, days=40)], NOW)
    assert course
    start = NOW - DAY
    book = make_book(course.list_wanted(), lambda *_: 100, lambda *_: 16_000)
    book.quotes["bitcoin", start] = PriceQuote(D(100), start - timedelta(hours=3))
    day = period(compute_returns(course, book), "24h")
    assert day.usd.time_weighted.unavailable == "no price of bitcoin on 2026-11-19"


def test_the_price_of_a_purchase_values_the_coins_where_none_is_stored() -> None:
    own = [entry(1, 100, days=1000), entry(1, 200, days=500)]
    found = period(returns_of(own, lambda _, at: 300 if days_ago(at) < 60 else None), "all")
    assert found.usd.time_weighted == Figure(D(2))
    assert found.usd.bitcoin == Figure(D(2))


def test_an_archive_that_cannot_be_read_is_named_beside_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    settings = Settings(archive_url=str(tmp_path / "archive"), state_dir=tmp_path)
    stored = PriceBook({("bitcoin", NOW): PriceQuote(D(100), NOW)})
    old = NOW - 100 * DAY
    lookup = PriceLookup()
    assert add_archived_prices(stored, [("bitcoin", NOW)], lookup, Settings()) is stored
    assert add_archived_prices(stored, [("bitcoin", old)], lookup, settings).note == ""
    (tmp_path / "archive" / DayFile(old.date(), 1, "0" * 64).name).write_bytes(b"damaged")
    book = add_archived_prices(stored, [("bitcoin", old)], lookup, settings)
    assert book.quotes == stored.quotes
    with pytest.raises(ReturnUnavailable, match=r"on 2026-08-12 \(the archive cannot be read\)"):
        book.value({"bitcoin": D(1)}, old, "usd")
    late = PriceLookup(clock=itertools.count(0, 10).__next__)
    book = add_archived_prices(stored, [("bitcoin", old)], late, settings)
    assert "still being read" in book.note


def test_the_same_payments_in_bitcoin_cannot_be_sold_twice() -> None:
    own = [entry(1, 100, days=90, coin="ether"), entry(-1, 500, days=50, coin="ether")]
    found = returns_of(own, lambda coin, _: 500 if coin == "ether" else 100).bitcoin
    assert found
    assert found.usd.unavailable == "more was taken out on 2026-10-01 than there would have been"
    kept = returns_of(own[:1], lambda _, at: 150 if at == NOW else 100).bitcoin
    assert kept
    assert (kept.usd.value, kept.usd.profit, kept.idr.profit) == (D(150), D(50), D(800_000))


def test_a_flow_has_no_payments_of_two_periods() -> None:
    second = timedelta(seconds=1) / DAY
    own = [entry(1, 100, days=7 + second), entry(1, 100, days=7), entry(1, 100, days=7 - second)]
    assert [flow.usd for flow in list_flows(own)] == [300]
    assert [flow.usd for flow in list_flows(own, [NOW - 7 * DAY])] == [200, 100]


def test_thousands_of_payments_share_valuations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MAX_FLOWS", 10)
    own = [entry(1, 100, days=hours / 24) for hours in range(100)]
    flows = list_flows(own)
    assert len(flows) <= 10
    assert sum(flow.usd for flow in flows) == 10_000


def _make_random_portfolio(chance: random.Random) -> list[Transaction]:
    """Return transactions of all kinds that never give more than is held."""
    held = dict.fromkeys("abc", D(0))
    own: list[Transaction] = []
    for days in sorted((chance.uniform(0, 90) for _ in range(25)), reverse=True):
        coin, other = chance.sample("abc", 2)
        size, price = D(chance.randint(1, 9999)) / 1000, D(chance.randint(1, 99_999)) / 100
        kind = chance.choice(["buy", "buy", "sell", "trade", "transfer", "move", "reward"])
        fields: dict[str, Any] = {"coin": coin, "days": days, "fee_usd": chance.randint(0, 3)}
        fields["idr_per_usd"] = chance.randint(15_000, 17_000)
        if kind in ("sell", "trade", "move") and held[coin] < size:
            continue
        if kind == "trade":
            own.append(
                entry(-size, price, kind=kind, to_coin_id=other, to_quantity=size / 2, **fields)
            )
            held[other] += size / 2
        elif kind == "move":
            own.append(entry(size, kind="transfer", to_wallet="cold", **fields))
            continue
        else:
            signed = -size if kind == "sell" else size
            own.append(entry(signed, 0 if kind == "reward" else price, kind=kind, **fields))
        held[coin] += own[-1].quantity
    return own


def _add_up(own: Sequence[Transaction], prices: dict[str, Decimal]) -> list[Fraction]:
    """Return the value in USD and the payments in USD and IDR, by hand and in fractions."""
    value, usd, idr = Fraction(0), Fraction(0), Fraction(0)
    for each in own:
        quantity, price = Fraction(each.quantity), Fraction(each.price_usd)
        if each.to_wallet is None:
            value += quantity * Fraction(prices[each.coin_id])
        if each.to_coin_id and each.to_quantity:
            value += Fraction(each.to_quantity) * Fraction(prices[each.to_coin_id])
        paid = (0 if each.kind == "trade" else quantity * price) + Fraction(each.fee_usd)
        usd, idr = usd + paid, idr + paid * Fraction(each.idr_per_usd or 0)
    return [value, usd, idr]


@pytest.mark.parametrize("seed", range(8))
def test_net_worth_minus_net_invested_is_the_total_profit_at_every_time(seed: int) -> None:
    chance = random.Random(seed)
    own = _make_random_portfolio(chance)
    prices = {coin: D(chance.randint(1, 99_999)) / 100 for coin in "abc"}
    days = list_days(own, NOW, days=400)
    assert len(days) > 10
    for day in days[:: max(1, len(days) // 6)]:
        past = [each for each in own if each.made_at <= day.at]
        wanted = {(coin, day.at) for coin in "abc"}
        book = make_book(wanted, lambda coin, _: prices[coin], lambda *_: 16_500)
        found = compute_net_worth(day, book)
        value, usd, idr = _add_up(past, prices)
        assert found.net_worth_usd == value
        assert found.net_worth_idr == value * 16_500
        assert found.net_invested_usd == usd
        assert found.net_invested_idr == idr
        market = ValuationPrices(
            {coin: PriceQuote(price, day.at) for coin, price in prices.items()},
            ExchangeRate(D(16_500), day.at),
        )
        profit = value_portfolio(past, market, market, day.at).total_profit
        assert profit.usd is not None
        assert profit.idr is not None
        # A trade divides: its second price may be rounded in the hundredth digit.
        assert abs(Fraction(profit.usd) - (value - usd)) < Fraction(1, 10**40)
        assert abs(Fraction(profit.idr) - (value * 16_500 - idr)) < Fraction(1, 10**40)


def test_the_history_begins_with_the_first_transaction_and_keeps_its_days() -> None:
    own = [entry(1, 100, days=5), entry(-1, 100, days=2)]
    days = list_days(own, NOW, days=400)
    assert [len(day.held) for day in days] == [1, 1, 1, 0, 0, 0]
    assert days[-1].at == NOW
    assert len(list_days(own, NOW, days=3)) == 3
    midnight = NOW.replace(hour=0, minute=0, second=0)
    assert len(list_days([entry(1, 1, days=(NOW - midnight) / DAY)], NOW, days=60)) == 1
    book = make_book({("bitcoin", days[0].at)}, lambda *_: None, lambda *_: None)
    first = compute_net_worth(days[0], book)
    assert first.valued_at == midnight - 4 * DAY
    assert (first.net_worth_usd, first.net_invested_usd) == (None, D(100))
    assert first.missing == ["bitcoin: no price", "no rupiah rate"]
