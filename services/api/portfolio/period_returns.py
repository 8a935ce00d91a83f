"""The returns of a portfolio by period and currency, from its flows and a price book. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from services.api.portfolio.arithmetic import ZERO, exact_arithmetic
from services.api.portfolio.models import Transaction
from services.api.portfolio.price_book import (
    MAX_AGE,
    Currency,
    PriceBook,
    ReturnUnavailable,
    Wanted,
    format_date,
)
from services.api.portfolio.return_models import (
    Alternative,
    Comparison,
    CurrencyReturns,
    Figure,
    PeriodName,
    PeriodReturns,
    PortfolioReturns,
)
from services.api.portfolio.returns import Payment, Point, compute_time_weighted, compute_xirr
from services.api.portfolio.timeline import Flow, Snapshot, list_flows, take_snapshots
from services.api.portfolio.valued_flows import get_payment, value_flow

BITCOIN = "bitcoin"
PERIODS: dict[PeriodName, timedelta | None] = {
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "60d": timedelta(days=60),
    "1y": timedelta(days=365),
    "all": None,
}
# The price of a period's start may be older than the start by this part of the period.
START_TOLERANCE = 12
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Course:
    """What happened to a portfolio until now."""

    begins_at: datetime
    now: datetime
    flows: list[Flow]
    # Of the starts of all periods and of now.
    snapshots: dict[datetime, Snapshot]

    @classmethod
    def follow(cls, transactions: Sequence[Transaction], now: datetime) -> Course | None:
        """Return the course of a portfolio, None without transactions until now."""
        past = [transaction for transaction in transactions if transaction.made_at <= now]
        if not past:
            return None
        begins_at = min(transaction.made_at for transaction in past)
        starts = {_find_start(begins_at, now, length) for length in PERIODS.values()}
        cuts = sorted({*starts, now})
        snapshots = {each.at: each for each in take_snapshots(past, cuts)}
        return cls(begins_at, now, list_flows(past, cuts), snapshots)

    def list_wanted(self) -> set[Wanted]:
        """Return the coins and times of all prices that the returns need."""
        held = {(coin_id, at) for at, each in self.snapshots.items() for coin_id in each.held}
        valued = {(coin_id, flow.at) for flow in self.flows for coin_id in flow.valued}
        times = {self.begins_at, *self.snapshots, *(flow.at for flow in self.flows)}
        return held | valued | {(BITCOIN, at) for at in times}


def _find_start(begins_at: datetime, now: datetime, length: timedelta | None) -> datetime:
    """Return the start of a period: at most a moment before the first transaction."""
    before_first = begins_at - MICROSECOND
    return max(now - length, before_first) if length else before_first


@exact_arithmetic()
def compute_returns(course: Course, book: PriceBook) -> PortfolioReturns:
    """Return the returns of all periods, and the comparisons."""
    book.add_flows(course.flows)
    usd, idr = _CurrencyCourse(course, book, "usd"), _CurrencyCourse(course, book, "idr")
    return PortfolioReturns(
        valued_at=course.now,
        periods=tuple(
            PeriodReturns(
                period=name,
                starts_at=max(_find_start(course.begins_at, course.now, length), course.begins_at),
                usd=usd.compute_period(length),
                idr=idr.compute_period(length),
            )
            for name, length in PERIODS.items()
        ),
        bitcoin=Comparison(usd=usd.compare(BITCOIN), idr=idr.compare(BITCOIN)),
        cash=Comparison(usd=usd.compare(None), idr=idr.compare(None)),
    )


class _CurrencyCourse:
    """The course of a portfolio in one currency."""

    def __init__(self, course: Course, book: PriceBook, currency: Currency) -> None:
        self._course = course
        self._book = book
        self._currency = currency
        # Why a flow cannot be valued, instead of its point.
        self._points = [value_flow(flow, book, currency) for flow in course.flows]

    def compute_period(self, length: timedelta | None) -> CurrencyReturns:
        """Return the returns of a period; None: of the time since the first transaction."""
        start = _find_start(self._course.begins_at, self._course.now, length)
        max_age = min(MAX_AGE, length / START_TOLERANCE) if length else MAX_AGE
        return CurrencyReturns(
            time_weighted=_figure(lambda: self._weigh_by_time(start, max_age)),
            xirr=_figure(lambda: self._compute_xirr(start, max_age)),
            bitcoin=_figure(lambda: self._compute_bitcoin(start, max_age)),
        )

    def compare(self, coin_id: str | None) -> Alternative:
        """Return what the payments would be worth in a coin; None: in US dollars."""
        try:
            payments = [
                Payment(flow.at, get_payment(flow, self._currency)) for flow in self._course.flows
            ]
            value = self._buy_instead(coin_id)
        except ReturnUnavailable as reason:
            return Alternative(xirr=Figure(None, str(reason)), unavailable=str(reason))
        return Alternative(
            value=value,
            profit=value - sum((payment.amount for payment in payments), ZERO),
            xirr=_figure(lambda: compute_xirr(payments, value, self._course.now)),
        )

    def _buy_instead(self, coin_id: str | None) -> Decimal:
        """Return the value now if each payment had bought, or sold, a coin or dollars."""

        def price_usd(at: datetime) -> Decimal:
            return self._book.price(coin_id, at, "usd") if coin_id else Decimal(1)

        held = ZERO
        for flow in self._course.flows:
            held += flow.usd / price_usd(flow.at)
            if held < 0:
                raise ReturnUnavailable(
                    f"more was taken out on {format_date(flow.at)} than there would have been"
                )
        now = self._course.now
        return held * price_usd(now) * self._book.rate(now, self._currency)

    def _value(self, at: datetime, max_age: timedelta = MAX_AGE) -> Decimal:
        return self._book.value(self._course.snapshots[at].held, at, self._currency, max_age)

    def _weigh_by_time(self, start: datetime, max_age: timedelta) -> Decimal:
        first, last = self._value(start, max_age), self._value(self._course.now)
        points = [Point(first, first)]
        for flow, point in zip(self._course.flows, self._points, strict=True):
            if flow.at <= start:
                continue
            if isinstance(point, str):
                raise ReturnUnavailable(point)
            points.append(point)
        return compute_time_weighted([*points, Point(last, last)])

    def _compute_xirr(self, start: datetime, max_age: timedelta) -> Decimal:
        payments = self._list_payments(flow for flow in self._course.flows if flow.at > start)
        payments.append(Payment(start, self._value(start, max_age)))
        return compute_xirr(payments, self._value(self._course.now), self._course.now)

    def _list_payments(self, flows: Iterable[Flow]) -> list[Payment]:
        return [Payment(flow.at, get_payment(flow, self._currency)) for flow in flows]

    def _compute_bitcoin(self, start: datetime, max_age: timedelta) -> Decimal:
        first = max(start, self._course.begins_at)
        before = self._book.price(BITCOIN, first, self._currency, max_age)
        return self._book.price(BITCOIN, self._course.now, self._currency) / before - 1


def _figure(compute: Callable[[], Decimal]) -> Figure:
    try:
        return Figure(compute())
    except ReturnUnavailable as reason:
        return Figure(None, str(reason))
