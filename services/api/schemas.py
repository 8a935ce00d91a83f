"""What the API answers: shapes and examples. Prices in USD, shares as fractions, times in UTC."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Context, Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

T = TypeVar("T")
NO_NUL = r"^[^\x00]*$"  # which PostgreSQL's texts cannot hold
Source = Literal["observed", "backfilled"]
Kind = Literal["panic", "reversal"]
Direction = Literal["bullish", "bearish", "neutral"]
PLACES = Decimal("1e-18")  # as fine as any coin is divided
LARGEST = 10**20


def _as_amount(value: Any) -> Any:
    """A JSON number as the decimal it is written as; what is finer than PLACES is rounded."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST:
        return Decimal(repr(value)).quantize(PLACES, context=Context(prec=60))
    if isinstance(value, str) and not re.fullmatch(_AMOUNT, value):
        raise ValueError("must be a decimal number such as 0.25, of 18 places at most")
    return value


_AMOUNT = r"-?[0-9]{1,20}(\.[0-9]{1,18})?"


def _schema(pattern: str, least: int) -> WithJsonSchema:
    number = {"type": "number", "minimum": least, "maximum": LARGEST}
    return WithJsonSchema({"anyOf": [{"type": "string", "pattern": f"^{pattern}$"}, number]})


# Decimals that somebody enters, as text or as a number.
SignedAmount = Annotated[
    Decimal, BeforeValidator(_as_amount), Field(ge=-LARGEST, le=LARGEST), _schema(_AMOUNT, -LARGEST)
]
PlainAmount = Annotated[
    Decimal,
    BeforeValidator(_as_amount),
    Field(ge=0, le=LARGEST),
    _schema(_AMOUNT.removeprefix("-?"), 0),
]
# As text: JSON's numbers are floats to most readers, and these are somebody's money.
Amount = Annotated[Decimal, PlainSerializer(lambda d: f"{d:f}", return_type=str, when_used="json")]


def _as_moment(value: Any) -> Any:
    """A number could be seconds or milliseconds since who knows when: it is no moment."""
    if not isinstance(value, str | datetime) or (
        isinstance(value, str) and not re.match(_DAY, value)
    ):
        raise ValueError("must be a time such as 2026-11-20T09:30:00Z")
    return value


_DAY = r"\d{4,}-\d\d-\d\d"
Moment = Annotated[datetime, BeforeValidator(_as_moment)]


class Answer(BaseModel):
    """The base of all answers."""

    model_config = ConfigDict(frozen=True)


def _example(**fields: Any) -> ConfigDict:
    """An answer as the description shows it."""
    return ConfigDict(frozen=True, json_schema_extra={"examples": [fields]})


class Page(Answer, Generic[T]):
    """A list. `next` is the `before` or `offset` of the following page, None on the last."""

    items: list[T]
    next: str | None = None


class Coin(Answer):
    """A coin with its newest observation."""

    coin_id: Annotated[str, Field(examples=["bitcoin"])]
    symbol: Annotated[str, Field(examples=["btc"])]
    name: Annotated[str, Field(examples=["Bitcoin"])]
    rank: Annotated[int | None, Field(examples=[1])]
    price: Annotated[float, Field(examples=[92140.12])]
    market_cap: float | None
    volume_24h: float | None
    observed_at: datetime
    source: Source


class Watch(Answer):
    """What the alerts watch of a coin: the session's marks, the threshold in force, and the alerts
    a week that its own history came to at this k (`achieved`, beside the `wished`)."""

    high: float | None
    high_at: datetime | None
    low: float | None
    low_at: datetime | None
    threshold: Annotated[float, Field(examples=[0.05])]
    k: float
    wished_per_week: float | None
    achieved_per_week: float | None
    solved_at: datetime | None


class CoinDetail(Coin):
    """A coin, and what the alerts watch of it; `watch` is None where it is not watched."""

    watch: Watch | None


class Point(Answer):
    """A step of a history: the last price in it, the lowest and highest, how many observations, and
    how many of these were backfilled."""

    model_config = _example(
        at="2026-11-20T12:00:00Z",
        price=92140.12,
        low=92010.5,
        high=92380.0,
        volume_24h=6.1e10,
        observations=3,
        backfilled=0,
    )

    at: datetime
    price: float
    low: float
    high: float
    volume_24h: float | None
    observations: int
    backfilled: int


class History(Answer):
    """A coin's history from `start` to before `end`, in steps of `resolution`; `step_seconds` is 0
    where every observation is a point."""

    coin_id: str
    start: datetime
    end: datetime
    resolution: Annotated[str, Field(examples=["1h"])]
    step_seconds: Annotated[float, Field(examples=[3600.0])]
    points: list[Point]


class Sparkline(Answer):
    """A coin's prices at the moments of its list; None where none was observed before one of them,
    within the step."""

    model_config = _example(coin_id="bitcoin", prices=[92140.12, None, 92380.0])

    coin_id: str
    prices: list[float | None]


class Sparklines(Answer):
    """Prices at moments of equal distance, the first `start`, the last `end`."""

    start: datetime
    end: datetime
    items: list[Sparkline]


class Rate(Answer):
    """What one USD costs in rupiah, and since when; None: no rate of the last day is known."""

    model_config = _example(idr_per_usd=16250.0, observed_at="2026-11-20T12:00:12Z")

    idr_per_usd: float | None
    observed_at: datetime | None


class Mover(Answer):
    """How far a coin has moved; `change` is a fraction."""

    model_config = _example(
        coin_id="solana",
        symbol="sol",
        name="Solana",
        rank=6,
        price=141.2,
        price_before=135.5,
        change=0.042,
        observed_at="2026-11-20T12:00:12Z",
        before_at="2026-11-19T11:58:40Z",
    )

    coin_id: str
    symbol: str
    name: str
    rank: int | None
    price: float
    price_before: float
    change: Annotated[float, Field(examples=[0.042])]
    observed_at: datetime
    before_at: datetime


class Movers(Answer):
    """Those that rose most and fell most within `hours`."""

    hours: int
    gainers: list[Mover]
    losers: list[Mover]


class Score(Answer):
    """What forecasts turned out to be worth over a time. MASE below 1 beats "no change"; the
    `verdict` says it in words: most of the time a straight line has no edge."""

    hours: int
    scored: int
    mase: Annotated[float | None, Field(examples=[1.12])]
    hit_rate: Annotated[float | None, Field(examples=[0.51])]
    called: int
    coverage: Annotated[float | None, Field(examples=[0.81])]
    banded: int
    verdict: Literal["edge", "no edge", "too early"]


class Forecast(Answer):
    """What the last hour's straight line says of the next ten minutes, and how such forecasts of
    this coin fared. The band is None while too few errors are known."""

    model_config = _example(
        coin_id="bitcoin",
        made_at="2026-11-20T12:00:00Z",
        due_at="2026-11-20T12:10:00Z",
        price=92140.12,
        slope_per_minute=0.00001,
        predicted=92149.33,
        low=91950.1,
        high=92349.0,
        coverage=0.8,
        direction="neutral",
        scores=[],
    )

    coin_id: str
    made_at: datetime
    due_at: datetime
    price: float
    slope_per_minute: float
    predicted: float
    low: float | None
    high: float | None
    coverage: float
    direction: Direction
    scores: list[Score]


class CoinScore(Answer):
    """A coin's scores."""

    coin_id: str
    scores: list[Score]


class Scoreboard(Answer):
    """All forecasts of the last day and week, and the same by coin, the best ranked first."""

    scores: list[Score]
    coins: list[CoinScore]


class Alert(Answer):
    """An alert and what came of it: `after_1h` and `after_24h` are how far the price went on from
    the alert, as fractions; None while that is not known."""

    model_config = _example(
        alert_id=17,
        coin_id="bitcoin",
        symbol="btc",
        name="Bitcoin",
        kind="panic",
        step=1,
        observed_at="2026-11-20T12:00:12Z",
        price=92140.12,
        reference=97200.0,
        reference_at="2026-11-20T09:00:05Z",
        move=-0.052,
        threshold=0.05,
        after_1h=-0.004,
        after_24h=None,
    )

    alert_id: int
    coin_id: str
    symbol: str
    name: str
    kind: Kind
    step: int
    observed_at: datetime
    price: float
    reference: float
    reference_at: datetime
    move: Annotated[float, Field(examples=[-0.052])]
    threshold: Annotated[float, Field(examples=[0.05])]
    after_1h: float | None
    after_24h: float | None


class NewTransaction(BaseModel):
    """A purchase, or with a quantity below 0 a sale. `price` and `fee` in `currency`; rupiah need a
    rate: `idr_per_usd`, or one that was observed that day."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    coin_id: Annotated[
        str, Field(min_length=1, max_length=100, pattern=NO_NUL, examples=["bitcoin"])
    ]
    quantity: Annotated[SignedAmount, Field(examples=["0.25"])]
    price: Annotated[PlainAmount, Field(examples=["91000"])]
    fee: PlainAmount = Decimal(0)
    currency: Literal["usd", "idr"] = "usd"
    made_at: Annotated[Moment | None, Field(examples=["2026-11-20T09:30:00Z"])] = None
    idr_per_usd: PlainAmount | None = None
    note: Annotated[str, Field(max_length=200, pattern=NO_NUL)] = ""


class Transaction(Answer):
    """A transaction as it is kept: in USD, with the rupiah's rate of its date (None: unknown)."""

    model_config = _example(
        transaction_id=1,
        coin_id="bitcoin",
        quantity="0.25",
        price_usd="91000",
        fee_usd="0",
        idr_per_usd="16250",
        made_at="2026-11-20T09:30:00Z",
        note="",
    )

    transaction_id: int
    coin_id: str
    quantity: Amount
    price_usd: Amount
    fee_usd: Amount
    idr_per_usd: Amount | None
    made_at: datetime
    note: str


class Imported(Answer):
    """What an import came to: lines that were new, and lines that were there already."""

    added: int
    known: int


class Profit(Answer):
    """Profit in USD and in rupiah; the coin's move and the rupiah's move less fees make the latter.
    None where a price or a rate is missing."""

    usd: Amount | None
    idr: Amount | None
    coin_move_idr: Amount | None
    rupiah_move_idr: Amount | None
    fees_usd: Amount
    fees_idr: Amount | None


class CostBasis(Answer):
    """What is still held has cost so much, fees included; sales have realised so much. USD."""

    cost_usd: Amount
    realised_usd: Amount


class Holding(Answer):
    """One coin of the portfolio; `missing` says what could not be known, and `share` is its part of
    the net worth."""

    coin_id: str
    symbol: str
    name: str
    quantity: Amount
    price_usd: Amount | None
    observed_at: datetime | None
    value_usd: Amount | None
    value_idr: Amount | None
    average: CostBasis
    fifo: CostBasis
    total: Profit
    day: Profit
    share: float | None
    missing: list[str]


class Worth(Answer):
    """The net worth at the end of a day (of the newest one: now). None: a price or rate of that day
    is missing."""

    model_config = _example(at="2026-11-20T12:00:00Z", usd="23035.03", idr="374319250", missing=[])

    at: datetime
    usd: Amount | None
    idr: Amount | None
    missing: list[str]


class Portfolio(Answer):
    """Net worth and profit at the newest prices and the rate of the same tick. Sums leave out what
    `missing` names."""

    net_worth_usd: Amount
    net_worth_idr: Amount | None
    idr_per_usd: Amount | None
    rate_observed_at: datetime | None
    total: Profit
    day: Profit
    holdings: list[Holding]
    history: list[Worth]
    missing: list[str]


class Run(Answer):
    """A run of the pipeline, as it recorded itself."""

    model_config = _example(
        run_id="20261120T120030Z-6a00",
        started_at="2026-11-20T12:00:30Z",
        recorded_at="2026-11-20T12:00:31Z",
        mode="ingest",
        status="ok",
        targets=500,
        rows_valid=500,
        rows_inserted=498,
        rows_updated=0,
        rows_unchanged=2,
        rows_backfilled=0,
        rows_drained=0,
        rejected={},
        missing=[],
        api_calls=1,
        api_credits=1,
        db_seconds=0.05,
        purged_rows=0,
    )

    run_id: str
    started_at: datetime
    recorded_at: datetime
    mode: str
    status: Literal["ok", "partial", "failed", "skipped"]
    targets: int
    rows_valid: int
    rows_inserted: int
    rows_updated: int
    rows_unchanged: int
    rows_backfilled: int
    rows_drained: int
    rejected: dict[str, int]
    missing: list[str]
    api_calls: int
    api_credits: int
    db_seconds: float
    purged_rows: int


class Gap(Answer):
    """A pause between two observations in which about `missed` are missing; `reason` says why it
    stays, None where it may still be repaired."""

    model_config = _example(
        coin_id="bitcoin",
        start="2026-11-20T08:00:00Z",
        stop="2026-11-20T10:00:00Z",
        slot_minutes=15.0,
        missed=7,
        reason=None,
    )

    coin_id: str
    start: datetime
    stop: datetime
    slot_minutes: float
    missed: int
    reason: str | None


class Delivery(Answer):
    """How much of its schedule was delivered in the last seven days: slots of `cadence_minutes`
    that were due, and those that saw a run."""

    model_config = _example(
        cadence_minutes=5.0,
        expected=2016,
        delivered=1990,
        share=0.987,
        longest_silence_minutes=42.0,
    )

    cadence_minutes: float
    expected: int
    delivered: int
    share: float | None
    longest_silence_minutes: float


class RegistryCoin(Answer):
    """A coin that gave bad answers: `strikes` in a row. An inactive one is on parole: asked again
    at `next_probe`."""

    model_config = _example(
        id="0xlsd",
        symbol="0xlsd",
        name="0xLSD",
        rank=None,
        status="inactive",
        strikes=3,
        reason="missing",
        since="2026-11-20T12:00:30Z",
        next_probe="2026-11-21T12:00:30Z",
    )

    id: str
    symbol: str
    name: str
    rank: int | None
    status: Literal["active", "inactive", "delisted"]
    strikes: int
    reason: str | None
    since: datetime | None
    next_probe: datetime | None


class Registry(Answer):
    """How many coins are listed and in what health, and those that gave bad answers (delisted ones
    are only counted), who is on parole first."""

    synced_at: datetime | None
    active: int
    inactive: int
    delisted: int
    coins: list[RegistryCoin]


class Rejection(Answer):
    """An answer that was no row: why, in which run, and how it began."""

    model_config = _example(
        rejected_at="2026-11-20T12:00:30Z",
        run_id="20261120T120030Z-6a00",
        coin_id="atlas-2",
        reason="null_price",
        raw='{"usd": null}',
    )

    rejected_at: datetime
    run_id: str
    coin_id: str
    reason: str
    raw: str


class Rejections(Answer):
    """Rejections of the last seven days by reason, and the newest ones."""

    by_reason: dict[str, int]
    items: list[Rejection]


class Backup(Answer):
    """The last try of a backup, and the last backup that was restored and compared (`verified_at`;
    None: none ever was). `problem` is what the last try failed of."""

    model_config = _example(
        tried_at="2026-11-20T03:00:00Z",
        verified_at="2026-11-20T03:00:00Z",
        age_seconds=32400.0,
        file="market-sentinel-20261120T030000Z.dump",
        bytes=48_000_000,
        rows=2_000_000,
        problem=None,
    )

    tried_at: datetime | None
    verified_at: datetime | None
    age_seconds: float | None
    file: str | None
    bytes: int | None
    rows: int | None
    problem: str | None


class Purse(Answer):
    """What a wallet has of one coin, and the cash beside it."""

    coin_id: str
    quantity: Amount
    cash_usd: Amount
    has_order: bool


class Wallet(Answer):
    """A wallet of paper money, as if what is left were sold at the last price. Where its ledger or
    its prices are no good, `problem` says why and the figures are missing. Ratios are null below
    ten trades."""

    model_config = _example(
        name="slow",
        strategy="sma-cross (fast=24, slow=96)",
        opened_at="2026-11-01T12:00:00Z",
        closed_at=None,
        problem=None,
        remarks=[],
        initial_usd=10_000.0,
        final_usd=10_420.5,
        net_profit_usd=420.5,
        total_return=0.04205,
        buy_and_hold_return=0.031,
        fees_usd=41.2,
        trades=14,
        refused_fills=1,
        max_drawdown=0.06,
        exposure=0.54,
        win_rate=0.57,
        cagr=1.1,
        sharpe=1.4,
        sortino=2.0,
    )

    name: str
    strategy: str
    opened_at: datetime
    closed_at: datetime | None
    problem: str | None
    remarks: list[str] = []
    initial_usd: float | None = None
    final_usd: float | None = None
    net_profit_usd: float | None = None
    total_return: float | None = None
    buy_and_hold_return: float | None = None
    fees_usd: float | None = None
    trades: int | None = None
    refused_fills: int | None = None
    max_drawdown: float | None = None
    exposure: float | None = None
    win_rate: float | None = None
    cagr: float | None = None
    sharpe: float | None = None
    sortino: float | None = None


class Wallets(Answer):
    """All wallets, in the order they were opened."""

    items: list[Wallet]


class WalletPoint(Answer):
    """A wallet's worth in USD at a moment, and what holding would have been worth."""

    at: datetime
    usd: float
    hold_usd: float


class WalletTrade(Answer):
    """A fill; a `close` is what selling the rest at the last price would be."""

    at: datetime
    coin_id: str
    side: Literal["buy", "sell", "close"]
    price_usd: Amount
    quantity: Amount
    cash_usd: Amount
    fee_usd: Amount


class WalletReport(Answer):
    """A wallet with its curve and its trades, the newest of these first."""

    wallet: Wallet
    purses: list[Purse]
    curve: list[WalletPoint]
    trades: list[WalletTrade]


class Check(Answer):
    """One thing that was looked at."""

    is_ok: bool
    message: str


class Health(Answer):
    """`ok` where all checks are. `missed_runs` are those that should have come since the newest
    observation."""

    model_config = _example(
        status="ok",
        newest_observation="2026-11-20T12:00:12Z",
        age_seconds=40.0,
        interval_seconds=300.0,
        missed_runs=0,
        checks={"database": {"is_ok": True, "message": "it answers"}},
    )

    status: Literal["ok", "unhealthy"]
    newest_observation: datetime | None
    age_seconds: float | None
    interval_seconds: float | None
    missed_runs: int | None
    checks: dict[str, Check]


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it (application/problem+json)."""

    type: str = "about:blank"
    title: Annotated[str, Field(examples=["Not Found"])]
    status: Annotated[int, Field(examples=[404])]
    detail: Annotated[str, Field(examples=["There is no coin 'bitcoinn'."])]
    errors: list[dict[str, Any]] | None = None
