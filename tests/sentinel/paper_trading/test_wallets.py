"""Paper-trading wallets on a real PostgreSQL: their ledgers stay consistent whatever happens."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

import database
from sentinel.backtesting import engine, portfolio, price_loader, strategies
from sentinel.backtesting.backtest_report import BacktestReport
from sentinel.backtesting.order_rules import OrderRules
from sentinel.backtesting.portfolio import Costs, InvalidTrades, Trade
from sentinel.backtesting.strategies import Strategy
from sentinel.errors import ConfigurationError
from sentinel.models import CoinLabel, MarketRow, Source
from sentinel.paper_trading import ledger, stepping, wallet_reports, wallets
from sentinel.paper_trading.ledger import LedgerEvent
from sentinel.paper_trading.strategy_process import StrategyProcess
from sentinel.paper_trading.wallets import Wallet
from sentinel.storage import partitions, schema
from sentinel.storage.connection import Connection, Session
from tests.conftest import NOW, FreshDatabase
from tests.support.commands import Script
from tests.support.monitor import load

QUARTER = timedelta(minutes=15)
COSTS = Costs(Decimal(10), Decimal(5))
START = NOW - timedelta(days=1)
WAVES = [100 * math.exp(0.1 * math.sin(n / 5)) for n in range(60)]
OWN = """
def decide(history, portfolio, *, low=0.99):
    mean = history.prices[-8:].mean()
    if history.prices[-1] < low * mean:
        return 0.5
    if history.prices[-1] > mean:
        return -0.7
"""
# Wants to buy except at a low.
EAGER = """
def decide(history, portfolio):
    return 0 if history.prices[-1] < 93 else 1
"""
FAILING = "def decide(history, portfolio):\n    raise RuntimeError('out of ideas')\n"
OTHER_CONNECTIONS = """
SELECT state FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IS NOT NULL
"""
COUNT = (
    "SELECT (SELECT count(*) FROM sentinel.wallets), (SELECT count(*) FROM sentinel.wallet_events)"
)


STATE = Path()  # the state directory; each test has its own
# One for all tests: a step that starts its own takes a third of a second.
PROCESS = StrategyProcess(step_seconds=3600)


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys.modules[__name__], "STATE", tmp_path)
    return tmp_path


@pytest.fixture(autouse=True, scope="module")
def process() -> Iterator[None]:
    with PROCESS:
        yield


@pytest.fixture
def connection(fresh: FreshDatabase) -> Iterator[Connection]:
    with Session(fresh.address()) as session:
        session.use(schema.migrate_if_needed)
    with psycopg.connect(fresh.url, autocommit=True) as opened:
        yield opened


def observe(
    connection: Connection,
    at: datetime,
    prices: Mapping[str, float],
    source: Source = "observed",
) -> None:
    """Store one price of each coin as a run does."""
    rows = [MarketRow(coin_id, at, price, None, None, source) for coin_id, price in prices.items()]
    with partitions.writer_transaction(connection) as days:
        label = CoinLabel("c", "Coin", 1)
        database.load_batch(connection, rows, lambda _coin_id: label, days)


def open_one(
    connection: Connection,
    strategy: Strategy,
    *,
    name: str = "mine",
    coins: Sequence[str] = ("a",),
    now: datetime = START,
    initial_usd: str = "10000",
) -> Wallet:
    opening = wallets.compose_opening(connection, coins, Decimal(initial_usd), now)
    wallets.open_wallet(connection, name, strategy, COSTS, opening, now, STATE)
    [wallet] = wallets.load_wallets(connection, name)
    return wallet


def report_wallet(connection: Connection, wallet: Wallet, now: datetime) -> BacktestReport:
    accounts = ledger.load_accounts(connection, wallet.wallet_id)
    return wallet_reports.report_wallet(connection, None, wallet, accounts, now)


def live(
    connection: Connection,
    strategy: Strategy,
    values: Sequence[float],
    backfilled: Sequence[int] = (),
    late: Sequence[int] = (),
    *,
    start: datetime = START,
    pause: timedelta = QUARTER,
) -> tuple[Wallet, datetime]:
    """Open a wallet of one coin at the first price and step it at each; returns it with the end."""
    at, wallet = start, None
    for n, price in enumerate(values):
        at += 5 * pause if n in late else pause
        observe(connection, at, {"a": price}, "backfilled" if n in backfilled else "observed")
        if wallet is None:
            wallet = open_one(connection, strategy, now=at)
        stepping.step_wallet(connection, None, wallet, at, STATE, PROCESS)
    assert wallet is not None
    return wallet, at


def kinds(connection: Connection, wallet: Wallet) -> list[str]:
    return [event.kind for event in ledger.load_events(connection, wallet.wallet_id)]


def _strategy(name: str, folder: Path) -> Strategy:
    if name.endswith(" with rules"):
        rules = OrderRules(stop_loss=0.04, take_profit=0.08, trailing_stop=0.03, order_usd=4_000)
        if name.startswith("own"):
            path = folder / "eager.py"
            path.write_text(EAGER)
            return strategies.with_rules(strategies.load(str(path)), rules)
        return strategies.with_rules(_strategy(name.removesuffix(" with rules"), folder), rules)
    if name == "own":
        path = folder / "mine.py"
        path.write_text(OWN)
        return strategies.load(str(path))
    parameters = {"dca": {"hours": 1, "parts": 6}, "sma-cross": {"fast": 2, "slow": 5}}
    return strategies.load(name, parameters.get(name, {}))


# --- opening ---------------------------------------------------------------------------------


@pytest.mark.parametrize("initial_usd", ["10000", "0.07", "1000000000000000", "33.333333333333"])
def test_a_wallet_splits_its_cash_into_equal_parts_that_add_up_exactly(
    connection: Connection, initial_usd: str
) -> None:
    coins = ["a", "b", "c", "d", "e", "f", "g"]
    wallet = open_one(connection, strategies.load("hold"), coins=coins, initial_usd=initial_usd)
    parts = [
        event.cash_usd
        for event in ledger.load_events(connection, wallet.wallet_id)
        if event.cash_usd
    ]
    assert len(parts) == 7
    assert sum(parts, Decimal(0)) == Decimal(initial_usd)
    assert max(parts) - min(parts) <= Decimal("0.0000001")
    assert {
        c: a.portfolio.cash for c, a in ledger.load_accounts(connection, wallet.wallet_id).items()
    } == dict(zip(coins, parts, strict=True))


def test_a_wallet_keeps_the_rules_and_its_ledger_the_reasons(
    connection: Connection, tmp_path: Path
) -> None:
    wallet, _ = live(connection, _strategy("own with rules", tmp_path), WAVES[:36])
    assert wallet.describe_strategy().startswith("eager.py, stop-loss 4%, take-profit 8%")
    events = ledger.load_events(connection, wallet.wallet_id)
    exits = [e for e in events if e.kind == "filled" and (e.quantity or 0) < 0]
    assert exits
    assert all(ledger.to_exit_reason(event.reason) for event in exits)
    assert "unblocked" in {event.kind for event in events}


def test_a_loaded_wallet_has_the_settings_it_was_opened_with(connection: Connection) -> None:
    strategy = strategies.load("sma-cross", {"slow": 96})
    wallet = open_one(connection, strategy)
    assert (wallet.name, wallet.opened_at, wallet.strategy) == ("mine", START, "sma-cross")
    assert wallet.parameters == {"fast": 12, "slow": 96}
    assert wallet.costs == COSTS


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "a\nb", "a\x00b"])
def test_an_invalid_name_opens_no_wallet(connection: Connection, name: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a wallet name"):
        open_one(connection, strategies.load("hold"), name=name)
    assert wallets.load_wallets(connection) == []


def test_a_taken_name_opens_no_wallet(connection: Connection, fresh: FreshDatabase) -> None:
    open_one(connection, strategies.load("hold"))
    with pytest.raises(ConfigurationError, match="There is a wallet 'mine' already"):
        open_one(connection, strategies.load("dca"))
    assert fresh.query(COUNT) == [(1, 1)]


# --- stepping --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backfilled", "late"),
    [((), ()), ((1, 2, 17, 18, 25), (10, 22, 23, 30))],
    ids=["complete", "with gaps"],
)
@pytest.mark.parametrize(
    "name", ["hold", "dca", "sma-cross", "own", "sma-cross with rules", "own with rules"]
)
def test_stepping_at_every_price_makes_the_trades_of_the_backtest(
    connection: Connection,
    tmp_path: Path,
    name: str,
    backfilled: tuple[int, ...],
    late: tuple[int, ...],
) -> None:
    strategy = _strategy(name, tmp_path)
    wallet, now = live(connection, strategy, WAVES[:36], backfilled, late)
    [account] = ledger.load_accounts(connection, wallet.wallet_id).values()
    found = price_loader.read_series(connection, None, ["a"], START, now + QUARTER)["a"]
    assert len(found) == 36
    tested = engine.run_backtest(found, strategy.build_signals(found), COSTS, Decimal(10_000))
    assert list(account.trades) == [trade for trade in tested.trades if trade.side != "close"]
    assert len(account.trades) >= (1 if name == "hold" else 3)
    assert account.rejected_fills == tested.rejected_fills
    shown = report_wallet(connection, wallet, now).strategy
    assert shown.final_usd == tested.final_usd
    # The sale at the last price is no filled order.
    assert (shown.fees_usd, shown.trades) == (tested.fees_usd, len(account.trades))


@pytest.mark.slow
def test_the_balances_are_the_sums_of_the_events(connection: Connection, tmp_path: Path) -> None:
    wallet, _ = live(connection, _strategy("own", tmp_path), WAVES[:36])
    events = ledger.load_events(connection, wallet.wallet_id)
    [account] = ledger.replay_events(events).values()
    fills = [event for event in events if event.kind == "filled"]
    assert len(fills) > 10
    cash = sum((event.cash_usd or Decimal(0) for event in events), Decimal(0))
    coins = sum((event.quantity or Decimal(0) for event in events), Decimal(0))
    holding = portfolio.build_portfolio(account.initial_usd, account.trades)
    assert float(holding.cash) == pytest.approx(float(cash), rel=1e-20)
    assert float(holding.quantity) == pytest.approx(float(coins), rel=1e-20)
    for event in fills:
        assert event.quantity is not None
        assert event.price_usd is not None
        assert event.fee_usd is not None
        value = float(event.quantity * event.price_usd + event.fee_usd)
        assert float(event.cash_usd or 0) == pytest.approx(-value)
        assert float(event.fee_usd) == pytest.approx(
            (-value if event.quantity < 0 else value) / 1000, rel=0.002
        )


def test_a_second_step_on_the_same_prices_adds_no_event(
    connection: Connection, tmp_path: Path
) -> None:
    wallet, now = live(connection, _strategy("own", tmp_path), WAVES[:30])
    before = ledger.load_events(connection, wallet.wallet_id)
    for minutes in (0, 1, 14):
        assert (
            stepping.step_wallet(
                connection, None, wallet, now + timedelta(minutes=minutes), STATE, PROCESS
            )
            == []
        )
    assert ledger.load_events(connection, wallet.wallet_id) == before


def test_an_order_waits_for_the_next_price_and_is_filled_there(
    connection: Connection,
) -> None:
    observe(connection, START, {"a": 50.0})
    wallet = open_one(connection, strategies.load("hold"))
    [order] = stepping.step_wallet(connection, None, wallet, START, STATE, PROCESS)
    assert (order.kind, order.observed_at, order.share) == ("ordered", START, 1)
    for minutes in (1, 5, 10):
        assert (
            stepping.step_wallet(
                connection, None, wallet, START + timedelta(minutes=minutes), STATE, PROCESS
            )
            == []
        )
    observe(connection, START + QUARTER, {"a": 80.0})
    [fill] = stepping.step_wallet(connection, None, wallet, START + QUARTER, STATE, PROCESS)
    assert (fill.kind, fill.observed_at, fill.price_usd) == (
        "filled",
        START + QUARTER,
        Decimal("80.04"),
    )
    assert fill.fee_usd == 10


@pytest.mark.parametrize(("minutes", "is_fresh"), [(30, True), (31, False)])
def test_a_stale_newest_price_places_no_order(
    connection: Connection, minutes: int, is_fresh: bool
) -> None:
    observe(connection, START, {"a": 50.0})
    wallet = open_one(connection, strategies.load("hold"))
    added = stepping.step_wallet(
        connection, None, wallet, START + timedelta(minutes=minutes), STATE, PROCESS
    )
    assert [event.kind for event in added] == (["ordered"] if is_fresh else [])


def test_a_backfilled_newest_price_places_no_order(connection: Connection) -> None:
    observe(connection, START, {"a": 50.0}, "backfilled")
    wallet = open_one(connection, strategies.load("hold"))
    assert stepping.step_wallet(connection, None, wallet, START, STATE, PROCESS) == []


@pytest.mark.parametrize(
    ("pause", "source", "reason"),
    [(QUARTER, "backfilled", "backfilled"), (4 * QUARTER, "observed", "late")],
)
def test_an_order_is_rejected_if_the_next_price_is_late_or_backfilled(
    connection: Connection, pause: timedelta, source: Source, reason: str
) -> None:
    for n in range(4):
        observe(connection, START + n * QUARTER, {"a": 50.0})
    decided = START + 3 * QUARTER
    wallet = open_one(connection, strategies.load("hold"), now=decided)
    stepping.step_wallet(connection, None, wallet, decided, STATE, PROCESS)
    at = decided + pause
    observe(connection, at, {"a": 60.0}, source)
    rejected, *again = stepping.step_wallet(connection, None, wallet, at, STATE, PROCESS)
    assert (rejected.kind, rejected.observed_at, rejected.reason) == ("rejected", at, reason)
    # The strategy orders again at a price that was observed.
    assert [event.kind for event in again] == (["ordered"] if source == "observed" else [])
    observe(connection, at + QUARTER, {"a": 70.0})
    kinds_then = [
        event.kind
        for event in stepping.step_wallet(connection, None, wallet, at + QUARTER, STATE, PROCESS)
    ]
    assert kinds_then == (["filled"] if again else ["ordered"])
    [account] = ledger.load_accounts(connection, wallet.wallet_id).values()
    assert account.rejected_fills == 1


def test_a_wallet_continues_after_two_months_without_a_step(
    connection: Connection,
) -> None:
    wallet, at = live(connection, strategies.load("hold"), [100.0])
    assert kinds(connection, wallet) == ["opened", "ordered"]
    for day in (31, 32, 60):
        later = at + timedelta(days=day)
        for n in range(3):
            observe(connection, later + n * QUARTER, {"a": 90.0 + n})
            stepping.step_wallet(connection, None, wallet, later + n * QUARTER, STATE, PROCESS)
    assert "rejected" in kinds(connection, wallet)
    assert "filled" in kinds(connection, wallet)


@pytest.mark.slow
def test_dca_spends_all_its_parts_even_if_that_takes_longer_than_a_month(
    connection: Connection,
) -> None:
    """Twenty parts, one every two days, take 40 days; a step sees 30 days before the opening."""
    strategy = strategies.load("dca", {"hours": 48, "parts": 20})
    day = timedelta(days=1)
    wallet, _ = live(connection, strategy, [100.0] * 50, start=NOW - 50 * day, pause=day)
    [account] = ledger.load_accounts(connection, wallet.wallet_id).values()
    assert len(account.trades) == 20
    assert account.portfolio.cash == 0


@pytest.mark.slow
def test_a_trailing_stop_stays_out_until_a_reversal_however_long_that_takes(
    connection: Connection,
) -> None:
    strategy = strategies.load("trailing-stop", {"min_threshold": 0.05, "max_threshold": 0.05})
    prices = [100.0] * 8 + [50.0] * 72  # a fall, then a constant price
    start, pause = NOW - timedelta(days=45), timedelta(hours=12)
    wallet, _ = live(connection, strategy, prices, start=start, pause=pause)
    found = price_loader.read_series(connection, None, ["a"], NOW - timedelta(days=50), NOW)["a"]
    tested = engine.run_backtest(found, strategy.build_signals(found), COSTS, Decimal(10_000))
    assert [trade.side for trade in tested.trades] == ["buy", "sell"]
    [account] = ledger.load_accounts(connection, wallet.wallet_id).values()
    assert list(account.trades) == list(tested.trades)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sma-cross", "own"])
def test_two_processes_whose_clocks_differ_by_more_than_a_price_make_the_trades_of_the_backtest(
    connection: Connection, tmp_path: Path, name: str
) -> None:
    strategy = _strategy(name, tmp_path)
    prices = WAVES[:36]
    at, wallet = START, None
    for price in prices:
        at += QUARTER
        observe(connection, at, {"a": price})
        if wallet is None:
            wallet = open_one(connection, strategy, now=at)
        for clock in (at, at - 2 * QUARTER, at - QUARTER):
            stepping.step_wallet(connection, None, wallet, clock, STATE, PROCESS)
    assert wallet is not None
    [account] = ledger.load_accounts(connection, wallet.wallet_id).values()
    found = price_loader.read_series(connection, None, ["a"], START, at + QUARTER)["a"]
    tested = engine.run_backtest(found, strategy.build_signals(found), COSTS, Decimal(10_000))
    assert list(account.trades) == [trade for trade in tested.trades if trade.side != "close"]
    assert len(account.trades) > 2
    assert account.rejected_fills == tested.rejected_fills


@pytest.mark.parametrize("change", ["step", "close"])
def test_a_step_adds_nothing_if_its_wallet_is_stepped_or_closed_while_the_strategy_decides(
    connection: Connection, fresh: FreshDatabase, tmp_path: Path, change: str
) -> None:
    """Nor is any connection in a transaction meanwhile: the strategy waits at a FIFO."""
    fifo, file = tmp_path / "fifo", tmp_path / "waiting.py"
    os.mkfifo(fifo)
    file.write_text(
        f"def decide(history, portfolio):\n    open({str(fifo)!r}).read()\n    return 1\n"
    )
    observe(connection, START, {"a": 50.0})
    wallet = open_one(connection, strategies.load(str(file)))
    states = []

    def interfere() -> None:
        with fifo.open("w"), psycopg.connect(fresh.url, autocommit=True) as other:
            states.extend(other.execute(OTHER_CONNECTIONS).fetchall())
            if change == "close":
                wallets.close_wallet(other, wallet, START)
            else:
                order = LedgerEvent("ordered", "a", START, START, 0.5)
                ledger.add_events(other, wallet.wallet_id, [order])

    thread = threading.Thread(target=interfere)
    thread.start()
    assert stepping.step_wallet(connection, None, wallet, START, STATE, PROCESS) == []
    thread.join()
    assert ("idle",) in states
    assert not [state for (state,) in states if "transaction" in state]
    assert kinds(connection, wallet) == ["opened", "ordered"][: 1 if change == "close" else 2]


def test_a_failing_wallet_does_not_stop_the_others(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    observe(connection, START, {"a": 50.0, "b": 70.0})
    failing = strategies.load(str(tmp_path / "failing.py"))
    open_one(connection, strategies.load("hold"), name="one", coins=["a", "b"])
    open_one(connection, failing, name="two")
    open_one(connection, strategies.load("dca"), name="three", coins=["b"])
    chosen = wallets.load_wallets(connection)
    assert [wallet.name for wallet in chosen] == ["one", "two", "three"]
    added, [error] = stepping.step_wallets(connection, None, chosen, START, STATE, PROCESS)
    assert {name: [(e.kind, e.coin_id) for e in events] for name, events in added.items()} == {
        "one": [("ordered", "a"), ("ordered", "b")],
        "three": [("ordered", "b")],
    }
    assert str(error).startswith("wallet 'two': ")
    assert "RuntimeError: out of ideas, line 2" in str(error)
    assert kinds(connection, chosen[1]) == ["opened"]


def test_a_failure_on_one_coin_adds_no_event_of_another(
    connection: Connection, tmp_path: Path
) -> None:
    (tmp_path / "picky.py").write_text(
        "def decide(history, portfolio):\n    return 1 / (history.prices[-1] != 7)\n"
    )
    observe(connection, START, {"a": 50.0, "b": 7.0})
    strategy = strategies.load(str(tmp_path / "picky.py"))
    wallet = open_one(connection, strategy, coins=["a", "b"])
    with pytest.raises(ConfigurationError):
        stepping.step_wallet(connection, None, wallet, START, STATE, PROCESS)
    assert kinds(connection, wallet) == ["opened", "opened"]


@pytest.mark.soak
@pytest.mark.slow
def test_concurrent_steps_add_no_event_twice(
    connection: Connection, fresh: FreshDatabase, tmp_path: Path
) -> None:
    strategy = _strategy("own", tmp_path)
    at = START
    observe(connection, at, {"a": WAVES[8]})
    wallet = open_one(connection, strategy)
    counts: list[int] = []
    errors: list[Exception] = []

    def step(moment: datetime, barrier: threading.Barrier, process: StrategyProcess) -> None:
        try:
            with psycopg.connect(fresh.url, autocommit=True) as own:
                barrier.wait()
                counts.append(len(stepping.step_wallet(own, None, wallet, moment, STATE, process)))
        except Exception as error:  # noqa: BLE001 - for the test's own thread
            errors.append(error)

    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(StrategyProcess(step_seconds=3600)) for _ in range(3)]
        for price in WAVES[9:30]:
            at += QUARTER
            observe(connection, at, {"a": price})
            barrier = threading.Barrier(3)
            threads = [threading.Thread(target=step, args=(at, barrier, own)) for own in processes]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert errors == []
    events = ledger.load_events(connection, wallet.wallet_id)
    assert sum(counts) == len(events) - 1
    keys = [(event.kind, event.observed_at) for event in events]
    assert len(keys) == len(set(keys)) > 8
    ledger.replay_events(events)


def test_buy_and_hold_starts_with_the_wallet_whatever_prices_arrive_later(
    connection: Connection,
) -> None:
    """A price that was observed before the opening may be stored after it."""
    observe(connection, START, {"a": 50.0})
    wallet = open_one(connection, strategies.load("hold"), now=START + timedelta(minutes=2))
    stepping.step_wallet(connection, None, wallet, START + timedelta(minutes=2), STATE, PROCESS)
    observe(connection, START + timedelta(minutes=1), {"a": 60.0})
    observe(connection, START + timedelta(minutes=6), {"a": 90.0})
    now = START + timedelta(minutes=6)
    stepping.step_wallet(connection, None, wallet, now, STATE, PROCESS)
    found = report_wallet(connection, wallet, now)
    assert found.strategy.total_return == found.buy_and_hold.total_return > 0.4


def test_buy_and_hold_in_a_report_has_the_same_rejected_fills_as_the_wallet(
    connection: Connection,
) -> None:
    for n in range(4):
        observe(connection, START - n * QUARTER, {"a": 50.0})
    wallet = open_one(connection, strategies.load("hold"))
    now = START
    stepping.step_wallet(connection, None, wallet, now, STATE, PROCESS)
    for price in (60.0, 90.0, 95.0):
        now += 4 * QUARTER if price == 60 else QUARTER
        observe(connection, now, {"a": price})
        stepping.step_wallet(connection, None, wallet, now, STATE, PROCESS)
    found = report_wallet(connection, wallet, now)
    assert found.strategy.rejected_fills == found.buy_and_hold.rejected_fills == 1
    assert found.strategy.total_return == found.buy_and_hold.total_return


# --- a damaged ledger ---------------------------------------------------------------------------


DAMAGES = [
    "UPDATE sentinel.wallet_events SET cash_usd = -20000 WHERE quantity > 0",
    "UPDATE sentinel.wallet_events SET quantity = quantity * 1000 WHERE quantity < 0",
    "UPDATE sentinel.wallet_events SET cash_usd = 1 WHERE kind = 'opened'",
    "DELETE FROM sentinel.wallet_events WHERE quantity > 0",
    "DELETE FROM sentinel.wallet_events WHERE kind = 'opened'",
    "UPDATE sentinel.wallet_events SET price_usd = NULL WHERE kind = 'filled'",
    "UPDATE sentinel.wallet_events SET cash_usd = cash_usd / 2 WHERE quantity > 0",
    "UPDATE sentinel.wallet_events SET cash_usd = cash_usd * 2 WHERE quantity < 0",
]


@pytest.mark.slow
def test_a_damaged_ledger_raises_an_error_and_is_neither_reported_nor_stepped(
    connection: Connection, tmp_path: Path
) -> None:
    wallet, now = live(connection, _strategy("own", tmp_path), WAVES[:30])
    for statement in DAMAGES:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
            before = ledger.load_events(connection, wallet.wallet_id)
            with pytest.raises(InvalidTrades):
                report_wallet(connection, wallet, now)
            added, errors = stepping.step_wallets(
                connection, None, [wallet], now + QUARTER, STATE, PROCESS
            )
            assert (added, [type(error) for error in errors]) == ({}, [InvalidTrades]), statement
            assert ledger.load_events(connection, wallet.wallet_id) == before


# --- the command line ------------------------------------------------------------------------


@pytest.fixture
def market(fresh: FreshDatabase) -> datetime:
    """A day of two coins a quarter of an hour apart, the newest a minute old."""
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    points = [
        (now - n * QUARTER, coin_id, price)
        for n, price in enumerate(WAVES)
        for coin_id in ("bitcoin", "ethereum")
    ]
    load(fresh.address(), points, now)
    return now


def _tick(fresh: FreshDatabase, at: datetime, price: float) -> None:
    load(fresh.address(), [(at, coin, price) for coin in ("bitcoin", "ethereum")], at)


def _refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    [line] = [line for line in done.stderr.splitlines() if not line.startswith(("usage:", "  "))]
    assert "error: " in line
    for word in words:
        assert word in line


def _step(script: Script, *arguments: str) -> subprocess.CompletedProcess[str]:
    return script("sandbox.py", "step", *arguments)


@pytest.mark.slow
def test_the_commands_open_step_and_report_a_wallet(
    live_script: Script, fresh: FreshDatabase, market: datetime, tmp_path: Path
) -> None:
    from PIL import Image

    opening = ("--wallet", "slow", "--strategy", "hold", "--coins", "BITC,ethereum", "--json")
    done = _step(live_script, *opening)
    assert (done.returncode, done.stderr) == (0, "")
    ordered = json.loads(done.stdout)["slow"]
    assert [(e["kind"], e["coin_id"]) for e in ordered] == [
        ("ordered", "bitcoin"),
        ("ordered", "ethereum"),
    ]
    assert json.loads(_step(live_script, *opening).stdout) == {"slow": []}  # the same again
    assert "slow: nothing to do" in _step(live_script).stdout
    _tick(fresh, market + timedelta(minutes=5), 50.0)
    said = _step(live_script).stdout
    assert "slow: " in said
    assert "filled: buy 99.85007" in said  # 4,995 / 50.025
    shown = live_script("sandbox.py", "report", "--wallet", "slow", "--json")
    [figures] = json.loads(shown.stdout)
    assert figures["final_usd"] == pytest.approx(10_000 * 0.999**2 * 0.9995 / 1.0005)
    assert figures["return"] == figures["buy_and_hold_return"]
    assert figures["net_profit_usd"] == pytest.approx(figures["final_usd"] - 10_000)
    pages = live_script(
        *("sandbox.py", "report", "--wallet", "slow", "--html", "w.html", "--png", "w.png")
    )
    assert (pages.returncode, pages.stderr) == (0, "")
    assert f"{figures['final_usd']:,.2f}" in pages.stdout
    assert f"{figures['final_usd']:,.2f}" in (tmp_path / "w.html").read_text()
    with Image.open(tmp_path / "w.png") as picture:
        assert picture.format == "PNG"
    all_of_them = live_script("sandbox.py", "report").stdout
    assert "slow" in all_of_them
    assert f"{figures['final_usd']:,.2f}" in all_of_them


@pytest.mark.slow
@pytest.mark.usefixtures("market")
def test_invalid_input_does_not_change_the_ledger(
    live_script: Script, fresh: FreshDatabase, tmp_path: Path
) -> None:
    assert _step(live_script, "--wallet", "old", "--strategy", "hold").returncode == 0
    (tmp_path / "wrong.py").write_text("def decide(history, portfolio)\n")
    (tmp_path / "failing.py").write_text(FAILING)
    before = fresh.query(COUNT)
    new = ("--wallet", "new", "--strategy")
    for arguments, words in (
        (("--wallet", "old", "--strategy", "dca"), "already. It trades hold"),
        (("--wallet", "old", "--strategy", "hold", "--stop-loss", "5%"), "It trades hold on"),
        ((*new, "hold", "--stop-loss", "5"), "must be a percentage such as 5%"),
        (("--wallet", "missing"), "There is no wallet 'missing'"),
        (("--strategy", "hold"), "give it a name"),
        ((*new, "moon"), "no strategy 'moon'"),
        ((*new, "wrong.py"), "SyntaxError"),
        ((*new, "nowhere.py"), "no such file"),
        ((*new, "hold", "--coins", "nocoin"), "no price of nocoin"),
        ((*new, "hold", "--coins", ","), "holds no name"),
        ((*new, "hold", "--initial-usd", "-1"), "--initial-usd"),
        ((*new, "hold", "--initial-usd", "nan"), "--initial-usd"),
        ((*new, "hold", "--fee-bps", "-1"), "--fee-bps"),
        ((*new, "hold", "--param", "fast=3"), "no parameter"),
        ((*new, "dca", "--param", "parts"), "--param"),
        (("--wallet", "", "--strategy", "hold"), "name"),
        (("--wallet", "x" * 61, "--strategy", "hold"), "is not a wallet name"),
    ):
        done = _step(live_script, *arguments)
        assert fresh.query(COUNT) == before, arguments
        _refused(done, 2, words)


@pytest.mark.slow
@pytest.mark.usefixtures("market")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--coins", "nocoin"],
        ["--initial-usd", "-1"],
        ["--stop-loss", "5%"],
        ["--strategy", "hold", "--coins", "nocoin"],
    ],
    ids=str,
)
def test_options_for_opening_a_wallet_are_rejected_without_a_strategy(
    live_script: Script, arguments: list[str]
) -> None:
    assert _step(live_script, "--wallet", "old", "--strategy", "hold").returncode == 0
    _refused(_step(live_script, "--wallet", "old", *arguments), 2)


@pytest.mark.slow
@pytest.mark.usefixtures("market")
def test_the_step_command_names_a_failing_wallet_and_steps_the_others(
    live_script: Script, fresh: FreshDatabase, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    assert _step(live_script, "--wallet", "bad", "--strategy", "own.py").returncode == 0
    fresh.query("UPDATE sentinel.wallets SET source_sha256 = 'lost'")
    assert _step(live_script, "--wallet", "good", "--strategy", "hold").returncode == 0
    done = _step(live_script, "--json")
    _refused(done, 2, "wallet 'bad'")
    assert json.loads(done.stdout) == {"good": []}


@pytest.mark.slow
@pytest.mark.usefixtures("market")
def test_a_wallet_keeps_the_strategy_that_it_was_opened_with(
    live_script: Script, fresh: FreshDatabase, tmp_path: Path
) -> None:
    opening = ("--wallet", "mine", "--strategy", "own.py")
    (tmp_path / "own.py").write_text(OWN)
    assert _step(live_script, *opening).returncode == 0
    (tmp_path / "own.py").write_text(f"{OWN}    raise ValueError\n")
    for done in (_step(live_script), live_script("sandbox.py", "report")):
        assert done.returncode == 0  # the changed file is not run …
        assert done.stderr.count("opened with: own.py has changed since") == 1
    _refused(_step(live_script, *opening), 2, "has changed since the wallet was opened")
    fresh.query("UPDATE sentinel.wallets SET source_sha256 = NULL")
    _refused(_step(live_script), 2, "no text of its strategy", "is kept")
    (tmp_path / "own.py").write_text(OWN)
    assert _step(live_script, *opening).returncode == 0  # … until its owner names it
    assert _step(live_script).returncode == 0


def test_a_row_of_the_database_cannot_make_a_wallet_run_another_file(
    connection: Connection, tmp_path: Path
) -> None:
    planted, marker = tmp_path / "planted.py", tmp_path / "ran"
    planted.write_text(f"open({str(marker)!r}, 'w')\n{OWN}")
    observe(connection, START, {"a": 50.0})
    open_one(connection, _strategy("own", tmp_path))
    sha256 = hashlib.sha256(planted.read_bytes()).hexdigest()
    for source in (None, sha256, "../planted", wallets.load_wallets(connection)[0].source_sha256):
        connection.execute(
            "UPDATE sentinel.wallets SET strategy = %s, source_sha256 = %s", [str(planted), source]
        )
        stepping.step_wallets(
            connection, None, wallets.load_wallets(connection), START, STATE, PROCESS
        )
    assert not marker.exists()


def test_a_kept_strategy_that_was_changed_is_not_run(
    connection: Connection, tmp_path: Path
) -> None:
    observe(connection, START, {"a": 50.0})
    wallet = open_one(connection, _strategy("own", tmp_path))
    [kept] = (STATE / "strategies").iterdir()
    assert kept.name == f"{wallet.source_sha256}.py"
    kept.write_text(FAILING)
    with pytest.raises(ConfigurationError, match="not the strategy that opened the wallet"):
        stepping.step_wallet(connection, None, wallet, START, STATE, PROCESS)
    kept.unlink()
    with pytest.raises(ConfigurationError, match="copy it from the machine"):
        stepping.step_wallet(connection, None, wallet, START, STATE, PROCESS)


def test_a_wallet_keeps_the_modules_of_its_strategy_and_names_a_changed_one(
    connection: Connection, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(
        "import rule\n"
        "def decide(history, portfolio, *, mode='half'):\n"
        "    return rule.SHARES[mode]\n"
    )
    (tmp_path / "rule.py").write_text("SHARES = {'half': 0.5, 'all': 1}\n")
    strategy = strategies.load(str(tmp_path / "own.py"), {"mode": "all"})
    observe(connection, START, {"a": 50.0})
    wallet = open_one(connection, strategy)
    (tmp_path / "rule.py").write_text("SHARES = {'all': -1}\n")
    [ordered] = stepping.step_wallet(connection, None, wallet, START, STATE, PROCESS)
    assert ordered.share == 1
    changed = strategies.load(str(tmp_path / "own.py"), {"mode": "all"})
    with pytest.raises(
        ConfigurationError, match=r"^rule\.py of the wallet 'mine' has changed since"
    ):
        wallets.adopt_source(connection, wallet, changed, STATE)


@pytest.mark.slow
@pytest.mark.usefixtures("market")
def test_a_failing_strategy_opens_no_wallet(
    live_script: Script, fresh: FreshDatabase, tmp_path: Path
) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    done = _step(live_script, "--wallet", "bad", "--strategy", "failing.py")
    _refused(done, 2, "out of ideas")
    assert fresh.query(COUNT) == [(0, 0)]


@pytest.mark.slow
@pytest.mark.usefixtures("market")
def test_a_closed_wallet_is_not_stepped_but_can_be_reported(
    live_script: Script, fresh: FreshDatabase
) -> None:
    assert _step(live_script, "--wallet", "w", "--strategy", "hold").returncode == 0
    before = fresh.query(COUNT)
    done = live_script("sandbox.py", "close", "--wallet", "w")
    assert (done.returncode, done.stderr) == (0, "")
    assert _step(live_script, "--json").stdout == "{}\n"
    assert fresh.query(COUNT) == before
    assert live_script("sandbox.py", "report", "--wallet", "w").returncode == 0
    _refused(live_script("sandbox.py", "close", "--wallet", "missing"), 2, "no wallet 'missing'")
    for arguments in (["--wallet", "w"], ["--wallet", "w", "--strategy", "hold"]):
        _refused(_step(live_script, *arguments), 2, "'w' was closed on", "take another name")
    again = live_script("sandbox.py", "close", "--wallet", "w").stdout
    assert again.startswith(f"w: closed on {datetime.now(UTC):%Y}")
    assert "w (closed)" in live_script("sandbox.py", "report").stdout
    [figures] = json.loads(live_script("sandbox.py", "report", "--json").stdout)
    assert figures["closed_at"] is not None


@pytest.mark.slow
def test_a_wallet_opened_at_a_stale_price_can_be_reported(
    live_script: Script, fresh: FreshDatabase, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    load(fresh.address(), [(now - timedelta(hours=5), "bitcoin", 7.0)], now)
    assert _step(live_script, "--wallet", "w", "--strategy", "hold").stdout == "w: nothing to do\n"
    done = live_script(
        *("sandbox.py", "report", "--wallet", "w", "--json", "--html", "w.html", "--png", "w.png")
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)[0]["final_usd"] == 10_000
    assert "10,000.00" in (tmp_path / "w.html").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("market")
def test_the_error_of_a_damaged_ledger_is_one_line_with_the_wallets_name(
    live_script: Script, fresh: FreshDatabase
) -> None:
    for name in ("good", "bad"):
        assert _step(live_script, "--wallet", name, "--strategy", "hold").returncode == 0
    fresh.query(
        "INSERT INTO sentinel.wallet_events (recorded_at, observed_at, wallet_id, kind, "
        "coin_id, price_usd, "
        "quantity, cash_usd, fee_usd) SELECT now(), now(), wallet_id, 'filled', 'bitcoin', 1, 1, "
        "-100000, 0 FROM sentinel.wallets WHERE name = 'bad'"
    )
    _refused(
        live_script("sandbox.py", "report", "--wallet", "bad"), 1, "'bad'", "which does not match"
    )
    _refused(_step(live_script), 1, "'bad'", "which does not match")
    rest = live_script("sandbox.py", "report")
    _refused(rest, 1, "'bad'")
    assert "good" in rest.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("market")
def test_pages_need_one_named_wallet(live_script: Script) -> None:
    assert _step(live_script, "--wallet", "one", "--strategy", "hold").returncode == 0
    _refused(live_script("sandbox.py", "report", "--html", "all.html"), 2, "--wallet")
    _refused(live_script("sandbox.py", "report", "--wallet", "two"), 2, "no wallet 'two'")


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_step_killed_at_any_moment_leaves_a_consistent_ledger(
    live_script: Script,
    fresh: FreshDatabase,
    market: datetime,
    tmp_path: Path,
    dice: random.Random,
) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    done = _step(live_script, "--wallet", "w", "--strategy", "mine.py", "--param", "low=2")
    assert done.returncode == 0, done.stderr
    begun = time.monotonic()
    assert _step(live_script).returncode == 0
    usual = time.monotonic() - begun
    killed = 0
    for n in range(20):
        _tick(fresh, market + timedelta(seconds=2 * n + 2), WAVES[n])
        process = live_script.start("sandbox.py", "step")
        try:
            is_spared = n % 5 == 4  # or nothing would ever be ordered and filled
            process.communicate(timeout=None if is_spared else usual * dice.uniform(0.3, 1.1))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            killed += 1
        with psycopg.connect(fresh.url, autocommit=True) as connection:
            [wallet] = wallets.load_wallets(connection)
            events = ledger.load_events(connection, wallet.wallet_id)
        accounts = ledger.replay_events(events)
        assert set(accounts) == {"bitcoin", "ethereum"}
        for coin_id in accounts:
            own = [event for event in events if event.coin_id == coin_id]
            _assert_alternating(own)
    assert killed > 5
    assert any(event.kind == "filled" for event in events)
    assert _step(live_script).returncode == 0


def _assert_alternating(events: Sequence[LedgerEvent]) -> None:
    """Assert that each order is settled once, and that every settlement follows an order."""
    assert events[0].kind == "opened"
    for before, after in itertools.pairwise(events[1:]):
        assert (before.kind == "ordered") != (after.kind == "ordered")
    assert len(events) < 2 or events[1].kind == "ordered"


def test_a_fill_has_a_trade_and_other_events_have_none() -> None:
    fill = LedgerEvent(
        "filled", "a", NOW, NOW, 1.0, Decimal(2), Decimal(3), Decimal("-6.01"), Decimal("0.01")
    )
    expected = Trade(
        NOW.timestamp(), "buy", Decimal(2), Decimal(3), Decimal("-6.01"), Decimal("0.01")
    )
    assert fill.trade == expected
    sale = dataclasses.replace(fill, quantity=Decimal(-3), cash_usd=Decimal("5.99"))
    assert sale.trade.side == "sell"
    with pytest.raises(InvalidTrades, match="is incomplete"):
        _ = LedgerEvent("opened", "a", NOW, NOW, cash_usd=Decimal(5)).trade


@pytest.mark.slow
def test_the_report_of_an_old_wallet_starts_at_the_first_price_that_is_left(
    connection: Connection,
) -> None:
    begin = NOW - timedelta(days=30)
    open_one(connection, strategies.load("hold"), now=begin)
    for day in range(31):
        at = begin + timedelta(days=day)
        observe(connection, at, {"a": 100.0 + day})
        [wallet] = wallets.load_wallets(connection)
        stepping.step_wallet(connection, None, wallet, at, STATE, PROCESS)
    whole = report_wallet(connection, wallet, NOW)
    assert not whole.remarks
    for day in range(10):
        gone = (begin + timedelta(days=day)).date()
        connection.execute(f"DROP TABLE sentinel.observations_{gone:%Y%m%d}".encode())
    rest = report_wallet(connection, wallet, NOW)
    assert rest.strategy.final_usd == whole.strategy.final_usd
    assert float(rest.strategy.initial_usd) == pytest.approx(float(whole.curve.equity[10]))
    # Buy-and-hold starts again a day later, and pays a fee.
    assert rest.buy_and_hold.total_return == pytest.approx(rest.strategy.total_return, abs=0.02)
    assert "the report starts there" in rest.remarks[0]
