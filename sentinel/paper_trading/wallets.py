"""Wallets: open, list and close them, and read the prices that they trade at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import TypeVar

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from safe_zone import MAX_CLOCK_SKEW, RETENTION
from sentinel.archive.store import Archive
from sentinel.backtesting import price_loader, strategies
from sentinel.backtesting.engine import ACCEPTED_DELAY_SECONDS
from sentinel.backtesting.order_rules import OrderRules
from sentinel.backtesting.portfolio import Costs, InvalidTrades
from sentinel.backtesting.price_series import PriceSeries
from sentinel.backtesting.strategies import Strategy
from sentinel.backtesting.strategy_source import Parameters
from sentinel.errors import (
    ArchiveDamaged,
    ArchiveUnavailable,
    ConfigurationError,
    SentinelError,
)
from sentinel.paper_trading import ledger, strategy_files
from sentinel.paper_trading.ledger import LedgerEvent
from sentinel.paper_trading.wallet_names import check_wallet_name
from sentinel.storage.connection import Connection

T = TypeVar("T")

# Errors of one wallet. They do not keep the other wallets from being stepped or reported.
WALLET_ERRORS = (ConfigurationError, InvalidTrades, ArchiveUnavailable, ArchiveDamaged)
MIN_CASH_STEP = Decimal("0.00000001")  # USD; the cash of a wallet is split in multiples of it
MAX_PRICE_AGE = timedelta(seconds=ACCEPTED_DELAY_SECONDS)

OPEN_WALLET = """
INSERT INTO sentinel.wallets (name, opened_at, fee_bps, slippage_bps, strategy, parameters,
                              source_sha256, rules)
VALUES (%(name)s, %(now)s, %(fee_bps)s, %(slippage_bps)s, %(strategy)s, %(parameters)s,
        %(source_sha256)s, %(rules)s)
ON CONFLICT (name) DO NOTHING
RETURNING wallet_id
"""
WALLETS = """
SELECT wallet_id, name, opened_at, closed_at, fee_bps, slippage_bps, strategy, parameters,
       source_sha256, rules
FROM sentinel.wallets
WHERE %(name)s::text IS NULL OR name = %(name)s::text
ORDER BY wallet_id
"""
SET_SOURCE = """
UPDATE sentinel.wallets SET source_sha256 = %(source_sha256)s WHERE wallet_id = %(wallet_id)s
"""
CLOSE_WALLET = """
UPDATE sentinel.wallets SET closed_at = %(now)s
WHERE wallet_id = %(wallet_id)s AND closed_at IS NULL
"""
# A coin trades from its newest observation on, if that is fresh when the wallet opens.
FRESH_OBSERVATIONS = """
SELECT coin_id, observed_at FROM sentinel.coins
WHERE coin_id = ANY (%(coin_ids)s) AND observed_at > %(since)s AND observed_at <= %(now)s
"""


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet as it was opened."""

    wallet_id: int
    name: str
    opened_at: datetime
    # A closed wallet is not stepped any more.
    closed_at: datetime | None
    fee_bps: Decimal
    slippage_bps: Decimal
    # A built-in strategy, or the path of the file that the wallet was opened with.
    strategy: str
    parameters: Parameters
    # Of that file's text. None: a built-in strategy, or the wallet is older than this field.
    source_sha256: str | None = None
    # The OrderRules around the strategy by name; None: none.
    rules: Mapping[str, float] | None = None

    @property
    def has_own_strategy(self) -> bool:
        """Whether it trades a user's own strategy, from a file."""
        return self.strategy.endswith(".py")

    @property
    def costs(self) -> Costs:
        """The fee and slippage of its trades."""
        return Costs(self.fee_bps, self.slippage_bps)

    @property
    def order_rules(self) -> OrderRules | None:
        """The rules around its strategy."""
        return OrderRules(**self.rules) if self.rules else None

    def describe_strategy(self) -> str:
        """Return its strategy with parameters and rules."""
        return strategies.describe(self.strategy, self.parameters, self.order_rules)


def compose_opening(
    connection: Connection, coin_ids: Sequence[str], initial_usd: Decimal, now: datetime
) -> list[LedgerEvent]:
    """Return the events that open a wallet with an equal part of the cash for each coin."""
    # The last coin gets what rounding leaves, so that the parts add up exactly.
    part = (initial_usd / len(coin_ids)).quantize(MIN_CASH_STEP, ROUND_DOWN)
    parts = [part] * (len(coin_ids) - 1) + [initial_usd - part * (len(coin_ids) - 1)]
    parameters = {"coin_ids": list(coin_ids), "since": now - MAX_PRICE_AGE, "now": now}
    newest: dict[str, datetime] = dict(
        connection.execute(FRESH_OBSERVATIONS, parameters).fetchall()
    )
    return [
        LedgerEvent("opened", coin_id, newest.get(coin_id, now), now, cash_usd=cash)
        for coin_id, cash in zip(coin_ids, parts, strict=True)
    ]


def open_wallet(
    connection: Connection,
    name: str,
    strategy: Strategy,
    costs: Costs,
    events: Sequence[LedgerEvent],
    now: datetime,
    state_dir: Path,
) -> None:
    """Open a wallet with its first events, in one transaction.

    The text of a user's strategy is kept in the state directory. Raises ConfigurationError if the
    name is invalid or taken, or if the text cannot be kept.
    """
    check_wallet_name(name)
    with connection.transaction():
        opened = connection.execute(
            OPEN_WALLET,
            asdict(costs)
            | {
                "name": name,
                "now": now,
                "strategy": strategy.name,
                "parameters": Jsonb(dict(strategy.parameters)),
                "source_sha256": strategy_files.keep_source(state_dir, strategy),
                "rules": Jsonb(strategy.rules.to_json()) if strategy.rules else None,
            },
        ).fetchone()
        if not opened:
            raise ConfigurationError(f"There is a wallet '{name}' already: take another name")
        ledger.add_events(connection, opened[0], events)


def adopt_source(
    connection: Connection, wallet: Wallet, strategy: Strategy, state_dir: Path
) -> None:
    """Keep the text of the strategy of a wallet that is older than kept texts.

    Raises ConfigurationError if the wallet was opened with another text.
    """
    sha256, kept = strategy_files.keep_source(state_dir, strategy), wallet.source_sha256
    if strategy.source and kept not in (None, sha256):
        changed = ", ".join(strategy_files.find_changes(state_dir, strategy.source, kept))
        raise ConfigurationError(
            f"{changed} of the wallet '{wallet.name}' has changed since the wallet was opened: "
            "take another name for the new strategy, or leave --strategy out to go on with the "
            "old one"
        )
    parameters = {"source_sha256": sha256, "wallet_id": wallet.wallet_id}
    connection.execute(SET_SOURCE, parameters)


def load_wallets(connection: Connection, name: str | None = None) -> list[Wallet]:
    """Return all wallets in the order they were opened, or only the one with this name."""
    with connection.cursor(row_factory=class_row(Wallet)) as cursor:
        return cursor.execute(WALLETS, {"name": name}).fetchall()


def load_open_wallets(connection: Connection) -> list[Wallet]:
    """Return the wallets that are not closed, in the order they were opened."""
    return [wallet for wallet in load_wallets(connection) if not wallet.closed_at]


def require_open(wallet: Wallet) -> None:
    """Raise ConfigurationError if a wallet is closed."""
    if wallet.closed_at:
        raise ConfigurationError(
            f"The wallet '{wallet.name}' was closed on {wallet.closed_at:%Y-%m-%d} and is not "
            f"stepped any more. sandbox.py report --wallet {wallet.name} shows its results; take "
            "another name for a new wallet"
        )


def close_wallet(connection: Connection, wallet: Wallet, now: datetime) -> None:
    """Close a wallet: it is not stepped any more. Its ledger stays and can be reported."""
    connection.execute(CLOSE_WALLET, {"wallet_id": wallet.wallet_id, "now": now})


def process_each(
    wallets: Iterable[Wallet], process: Callable[[Wallet], T]
) -> tuple[list[tuple[Wallet, T]], list[SentinelError]]:
    """Return the wallets with their results, and the errors of wallets that have none.

    The message of an error begins with the name of the wallet.
    """
    results: list[tuple[Wallet, T]] = []
    errors: list[SentinelError] = []
    for wallet in wallets:
        try:
            results.append((wallet, process(wallet)))
        except WALLET_ERRORS as error:
            errors.append(type(error)(f"wallet '{wallet.name}': {error}"))
    return results, errors


def read_prices(
    connection: Connection,
    archive: Archive | None,
    opened_at: datetime,
    coin_ids: Sequence[str],
    now: datetime,
) -> Mapping[str, PriceSeries]:
    """Return the prices that a wallet's strategy sees, from WARM_UP before its opening."""
    start, stop = opened_at - price_loader.WARM_UP, now + MAX_CLOCK_SKEW
    if start > now - RETENTION:
        archive = None  # the database holds all of it
    return price_loader.read_series(connection, archive, coin_ids, start, stop)
