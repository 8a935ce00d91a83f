"""Wallets of paper money in the database: an event-sourced ledger and the step that adds to it.

What a wallet holds is what its events come to, so a process that is killed between two of them
leaves nothing half done. A step fills what was ordered before, at the next observation, and then
asks the strategy about the newest one. Stepping twice on the same prices changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any, Literal

import numpy as np
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from safe_zone import MAX_CLOCK_SKEW, RETENTION
from sentinel import arguments
from sentinel.archive.store import Archive
from sentinel.backtesting import engine, strategies
from sentinel.backtesting import prices as price_source
from sentinel.backtesting import report as reports
from sentinel.backtesting.engine import ALWAYS_IN_TIME, Outcome
from sentinel.backtesting.portfolio import Costs, InvalidTrades, Portfolio, Trade, replay
from sentinel.backtesting.price_series import Series
from sentinel.backtesting.report import Report
from sentinel.backtesting.strategies import Strategy
from sentinel.errors import (
    ArchiveDamaged,
    ArchiveUnavailable,
    ConfigurationError,
    SentinelError,
)
from sentinel.storage.connection import Connection

Kind = Literal["opened", "ordered", "filled", "refused"]

TROUBLES = (ConfigurationError, InvalidTrades, ArchiveUnavailable, ArchiveDamaged)
LOOK_BACK = timedelta(days=30)  # what a strategy sees of the time before
LONGEST_NAME = 60
CENT_PARTS = Decimal("0.00000001")
ROUNDING = Decimal("1e-18")  # of what a fill moved
FRESH = timedelta(seconds=ALWAYS_IN_TIME)
OLD = timedelta(days=2).total_seconds()  # after the opening; the first price that is left

OPEN = """
INSERT INTO wallets (name, opened_at, fee_bps, slippage_bps, strategy, parameters)
VALUES (%(name)s, %(now)s, %(fee_bps)s, %(slippage_bps)s, %(strategy)s, %(parameters)s)
ON CONFLICT (name) DO NOTHING
RETURNING wallet_id
"""
WALLETS = """
SELECT wallet_id, name, opened_at, closed_at, fee_bps, slippage_bps, strategy, parameters
FROM wallets
WHERE %(name)s::text IS NULL OR name = %(name)s::text
ORDER BY wallet_id
"""
CLOSE = "UPDATE wallets SET closed_at = %(now)s WHERE wallet_id = %(wallet_id)s"
# From which observation on each coin is traded: the newest one, if that is fresh.
NEWEST = """
SELECT coin_id, observed_at FROM coins
WHERE coin_id = ANY (%(coin_ids)s) AND observed_at > %(since)s AND observed_at <= %(now)s
"""
# Whoever steps a wallet has it for himself until the transaction ends.
LOCK = "SELECT 1 FROM wallets WHERE wallet_id = %(wallet_id)s FOR UPDATE"
EVENTS = """
SELECT kind::text, coin_id, observed_at, recorded_at, share, price_usd, quantity, cash_usd, fee_usd,
       reason
FROM wallet_events
WHERE wallet_id = %(wallet_id)s
ORDER BY event_id
"""
ADD = """
INSERT INTO wallet_events (wallet_id, kind, coin_id, observed_at, recorded_at, share, price_usd,
                           quantity, cash_usd, fee_usd, reason)
VALUES (%(wallet_id)s, %(kind)s, %(coin_id)s, %(observed_at)s, %(recorded_at)s, %(share)s,
        %(price_usd)s, %(quantity)s, %(cash_usd)s, %(fee_usd)s, %(reason)s)
"""


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet as it was opened; one that was closed is stepped no more."""

    wallet_id: int
    name: str
    opened_at: datetime
    closed_at: datetime | None
    fee_bps: Decimal
    slippage_bps: Decimal
    strategy: str
    parameters: Mapping[str, float]

    @property
    def costs(self) -> Costs:
        """What its trades cost."""
        return Costs(self.fee_bps, self.slippage_bps)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the ledger; what does not belong to its kind is None."""

    kind: Kind
    coin_id: str
    observed_at: datetime
    recorded_at: datetime
    share: float | None = None
    price_usd: Decimal | None = None
    quantity: Decimal | None = None
    cash_usd: Decimal | None = None
    fee_usd: Decimal | None = None
    reason: str | None = None

    @property
    def trade(self) -> Trade:
        """The trade of a fill. Raises LedgerBroken where its figures do not belong together."""
        price, quantity, cash, fee = self.price_usd, self.quantity, self.cash_usd, self.fee_usd
        if price is None or quantity is None or cash is None or fee is None:
            raise InvalidTrades(f"The fill of {self.coin_id} at {self.observed_at} is not whole.")
        if abs(cash + quantity * price + fee) > ROUNDING * abs(cash):
            raise InvalidTrades(
                f"The fill of {self.coin_id} at {self.observed_at} moved {cash} USD for {quantity} "
                f"coins at {price} and a fee of {fee}, which is not the same."
            )
        side: Literal["buy", "sell"] = "buy" if quantity > 0 else "sell"
        return Trade(self.observed_at.timestamp(), side, price, quantity, cash, fee)


@dataclass(frozen=True, slots=True)
class Account:
    """One coin's purse of a wallet, by its events: the cash it began with, when (UNIX seconds), its
    fills, how many were refused, and the order that waits."""

    initial: Decimal
    begins: float
    trades: Sequence[Trade]
    refused: int
    waiting: Event | None

    @property
    def purse(self) -> Portfolio:
        """What is in it. Raises LedgerBroken."""
        return replay(self.initial, self.trades)


def open_wallet(
    connection: Connection,
    name: str,
    strategy: Strategy,
    coin_ids: Sequence[str],
    initial: Decimal,
    costs: Costs,
    now: datetime,
) -> None:
    """Open a wallet with an equal part of the cash for each coin, in one transaction.

    Raises ConfigurationError where the name is taken or none.
    """
    arguments.name("--wallet", name, LONGEST_NAME)
    part = (initial / len(coin_ids)).quantize(CENT_PARTS, ROUND_DOWN)
    parts = [part] * (len(coin_ids) - 1) + [initial - part * (len(coin_ids) - 1)]
    with connection.transaction():
        found = connection.execute(
            OPEN,
            {
                "name": name,
                "now": now,
                "fee_bps": costs.fee_bps,
                "slippage_bps": costs.slippage_bps,
                "strategy": strategy.name,
                "parameters": Jsonb(dict(strategy.parameters)),
            },
        ).fetchone()
        if not found:
            raise ConfigurationError(f"There is a wallet '{name}' already: take another name")
        asked = {"coin_ids": list(coin_ids), "since": now - FRESH, "now": now}
        newest: dict[str, datetime] = dict(connection.execute(NEWEST, asked).fetchall())
        for coin_id, cash in zip(coin_ids, parts, strict=True):
            begins = newest.get(coin_id, now)
            _add(connection, found[0], Event("opened", coin_id, begins, now, cash_usd=cash))


def wallets(connection: Connection, name: str | None = None) -> list[Wallet]:
    """All wallets, or the one of a name, in the order they were opened."""
    with connection.cursor(row_factory=class_row(Wallet)) as cursor:
        return cursor.execute(WALLETS, {"name": name}).fetchall()


def close(connection: Connection, wallet: Wallet, now: datetime) -> None:
    """Step a wallet no more. Its ledger stays, and it can be reported on."""
    connection.execute(CLOSE, {"wallet_id": wallet.wallet_id, "now": now})


def events(connection: Connection, wallet: Wallet) -> list[Event]:
    """A wallet's ledger, the oldest first."""
    with connection.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(EVENTS, {"wallet_id": wallet.wallet_id}).fetchall()


def accounts(ledger: Sequence[Event]) -> dict[str, Account]:
    """A wallet's purses by coin. Raises LedgerBroken where the events do not add up."""
    found = {}
    for opened in (event for event in ledger if event.kind == "opened"):
        own = [event for event in ledger if event.coin_id == opened.coin_id]
        account = Account(
            opened.cash_usd or Decimal(0),
            opened.observed_at.timestamp(),
            [event.trade for event in own if event.kind == "filled"],
            sum(event.kind == "refused" for event in own),
            own[-1] if own[-1].kind == "ordered" else None,
        )
        account.purse  # noqa: B018 - to find out now whether they add up
        found[opened.coin_id] = account
    strangers = sorted({event.coin_id for event in ledger} - found.keys())
    if strangers or not found:
        raise InvalidTrades(f"The purse of {', '.join(strangers) or 'any coin'} was never opened.")
    return found


def purses(connection: Connection, wallet: Wallet) -> dict[str, Account]:
    """The same of what is stored. Raises LedgerBroken."""
    return accounts(events(connection, wallet))


def step(
    connection: Connection, archive: Archive | None, wallet: Wallet, now: datetime
) -> list[Event]:
    """Fill and order what is due, in one transaction; returns what was added to the ledger.

    Raises ConfigurationError where a person's own strategy fails, LedgerBroken, ArchiveUnavailable,
    ArchiveDamaged.
    """
    strategy = strategies.choose(wallet.strategy, wallet.parameters)
    with connection.transaction():
        connection.execute(LOCK, {"wallet_id": wallet.wallet_id})
        own = purses(connection, wallet)
        prices = _prices(connection, archive, wallet, list(own), now)
        added = [
            event
            for coin_id, account in own.items()
            if coin_id in prices
            for event in _step_coin(wallet, strategy, coin_id, account, prices[coin_id], now)
        ]
        for event in added:
            _add(connection, wallet.wallet_id, event)
    return added


def _prices(
    connection: Connection,
    archive: Archive | None,
    wallet: Wallet,
    coin_ids: Sequence[str],
    now: datetime,
) -> Mapping[str, Series]:
    """What a wallet's strategy sees: all since it was opened, and LOOK_BACK before that."""
    start, stop = wallet.opened_at - LOOK_BACK, now + MAX_CLOCK_SKEW
    is_young = start > now - RETENTION
    return price_source.read(connection, None if is_young else archive, coin_ids, start, stop)


def step_all(
    connection: Connection, archive: Archive | None, chosen: Sequence[Wallet], now: datetime
) -> tuple[dict[str, list[Event]], list[SentinelError]]:
    """Step wallets, one after the other; what one suffers does not cost the others. Returns what
    was added to each ledger, and the troubles."""
    added: dict[str, list[Event]] = {}
    troubles: list[SentinelError] = []
    for wallet in chosen:
        if wallet.closed_at:
            continue
        try:
            added[wallet.name] = step(connection, archive, wallet, now)
        except TROUBLES as trouble:
            troubles.append(_named(wallet, trouble))
    return added, troubles


def _named(wallet: Wallet, trouble: SentinelError) -> SentinelError:
    return type(trouble)(f"wallet '{wallet.name}': {trouble}")


def _step_coin(
    wallet: Wallet,
    strategy: Strategy,
    coin_id: str,
    account: Account,
    series: Series,
    now: datetime,
) -> list[Event]:
    added: list[Event] = []
    purse, waiting = account.purse, account.waiting
    if waiting:
        settled = _settle(wallet, waiting, purse, series, now)
        if settled is None:
            return []
        added.append(settled)
        if settled.kind == "filled":
            purse.apply(settled.trade)
    order = _decide(wallet, strategy, coin_id, account.begins, purse, series, now)
    return [*added, order] if order else added


def _settle(
    wallet: Wallet, waiting: Event, purse: Portfolio, series: Series, now: datetime
) -> Event | None:
    """What became of an order: filled or refused at the next observation; None: there is none."""
    place = int(np.searchsorted(series.times, waiting.observed_at.timestamp(), side="right")) - 1
    if place + 1 >= len(series) or waiting.share is None:
        return None
    at, price = float(series.times[place + 1]), float(series.prices[place + 1])
    moment = datetime.fromtimestamp(at, UTC)
    trade = purse.order(waiting.share, at, price, wallet.costs)
    if trade is None or place < 0 or not engine.is_fillable(series, place):
        reason = "late" if series.observed[place + 1] else "backfilled"
        reason = reason if trade else "too small"
        return Event("refused", waiting.coin_id, moment, now, waiting.share, reason=reason)
    return Event(
        "filled",
        waiting.coin_id,
        moment,
        now,
        waiting.share,
        trade.price,
        trade.quantity,
        trade.cash,
        trade.fee,
    )


def _decide(
    wallet: Wallet,
    strategy: Strategy,
    coin_id: str,
    begins: float,
    purse: Portfolio,
    series: Series,
    now: datetime,
) -> Event | None:
    """What the strategy orders at the newest observation, if that is fresh."""
    place = len(series) - 1
    at = float(series.times[place])
    is_fresh = now.timestamp() - at <= engine.max_fill_delay(series, place, ALWAYS_IN_TIME)
    if not series.observed[place] or not is_fresh or at < begins:
        return None
    share = strategy.signals(series, begins).decide(place, purse)
    if not share or purse.order(share, at, float(series.prices[place]), wallet.costs) is None:
        return None
    return Event("ordered", coin_id, datetime.fromtimestamp(at, UTC), now, share)


def report(
    connection: Connection, archive: Archive | None, wallet: Wallet, now: datetime
) -> Report:
    """What a wallet has come to, as if what is left were sold at the last price, and what holding
    would have.

    Raises LedgerBroken, ConfigurationError where there are no prices, ArchiveUnavailable,
    ArchiveDamaged.
    """
    return report_on(connection, archive, wallet, purses(connection, wallet), now)


def report_all(
    connection: Connection, archive: Archive | None, chosen: Sequence[Wallet], now: datetime
) -> tuple[list[tuple[Wallet, Report]], list[SentinelError]]:
    """Wallets with their reports, and what kept others from one."""
    found: list[tuple[Wallet, Report]] = []
    troubles: list[SentinelError] = []
    for wallet in chosen:
        try:
            found.append((wallet, report(connection, archive, wallet, now)))
        except TROUBLES as trouble:
            troubles.append(_named(wallet, trouble))
    return found, troubles


def report_on(
    connection: Connection,
    archive: Archive | None,
    wallet: Wallet,
    purses: Mapping[str, Account],
    now: datetime,
) -> Report:
    """The report of purses that were read before. Raises what `report` does."""
    prices = _prices(connection, archive, wallet, list(purses), now)
    hold = strategies.choose("hold")
    own, held, remarks = [], [], []
    for coin_id, account in purses.items():
        series = prices.get(coin_id)
        if series is None:
            raise ConfigurationError(f"There is no price of {coin_id} since it was opened")
        begins, traced = _retraced(wallet, account, series)
        holding = engine.run(series, hold.signals(series, begins), wallet.costs, traced.initial)
        own.append(traced)
        held.append(engine.cut(holding, begins))
        if begins - account.begins > OLD:
            day = datetime.fromtimestamp(begins, UTC).date()
            remarks.append(
                f"Prices of {coin_id} before {day} are gone: all of it is since then. Of "
                f"{account.initial:,.2f} USD at the opening {traced.final:,.2f} are left."
            )
    title = f"{wallet.name}: {strategies.described(wallet.strategy, wallet.parameters)}"
    return reports.report(title, list(purses), own, held, remarks)


def _retraced(wallet: Wallet, account: Account, series: Series) -> tuple[float, Outcome]:
    """From when on (UNIX seconds) a purse can be shown, and what it came to since: since it was
    opened, or since the first price that is left."""
    begins = max(account.begins, float(series.times[0]))
    begins = min(begins, float(series.times[-1]))  # where nothing came since
    before = [trade for trade in account.trades if trade.at < begins]
    since = account.trades[len(before) :]
    purse = replay(account.initial, before)
    shown = series.part(begins, np.inf)
    return begins, engine.retrace(shown, since, wallet.costs, purse, account.refused)


def _add(connection: Connection, wallet_id: int, event: Event) -> None:
    names = ("kind", "coin_id", "observed_at", "recorded_at", "share", "price_usd", "quantity")
    values: dict[str, Any] = {
        name: getattr(event, name) for name in (*names, "cash_usd", "fee_usd", "reason")
    }
    connection.execute(ADD, values | {"wallet_id": wallet_id})
