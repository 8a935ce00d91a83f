"""Wallets of paper money: what they came to, their curves and trades."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path

from sentinel.archive import export
from sentinel.archive.store import Archive
from sentinel.backtesting import report as reports
from sentinel.backtesting import strategies
from sentinel.backtesting.report import Report
from sentinel.paper_trading import wallets
from sentinel.paper_trading.wallets import Account
from sentinel.storage.connection import Connection
from services.api import schemas
from services.api.dependencies import Here
from services.api.problems import described
from services.api.schemas import NO_NUL

router = APIRouter(tags=["wallets"])
MOST_POINTS = 400  # of a curve
SHOWN_TRADES = 200
Name = Annotated[str, Path(min_length=1, max_length=wallets.LONGEST_NAME, pattern=NO_NUL)]


@router.get("/wallets", responses=described(503))
def wallets_of_all(here: Here) -> schemas.Wallets:
    """Every wallet with what it came to."""
    now, archive = here.now(), export.archive_of(here.monitor.settings)

    def read(connection: Connection) -> list[schemas.Wallet]:
        return [
            _judge(connection, archive, wallet, now)[0] for wallet in wallets.wallets(connection)
        ]

    return schemas.Wallets(items=here.store.read(read, copies=True))


@router.get("/wallets/{name}", responses=described(404, 422, 503))
def wallet_report(here: Here, name: Name) -> schemas.WalletReport:
    """One wallet in full."""
    now, archive = here.now(), export.archive_of(here.monitor.settings)

    def read(connection: Connection) -> schemas.WalletReport:
        found = wallets.wallets(connection, name)
        if not found:
            raise HTTPException(404, f"There is no wallet '{name}'. GET /wallets lists them.")
        judged, purses, report = _judge(connection, archive, found[0], now)
        if report is None:
            return schemas.WalletReport(wallet=judged, purses=[], curve=[], trades=[])
        return schemas.WalletReport(
            wallet=judged,
            purses=[_purse(coin_id, account) for coin_id, account in purses.items()],
            curve=_curve(report),
            trades=_trades(report),
        )

    return here.store.read(read, copies=True)


def _judge(
    connection: Connection, archive: Archive | None, wallet: wallets.Wallet, now: datetime
) -> tuple[schemas.Wallet, Mapping[str, Account], Report | None]:
    """What a wallet came to, and its purses; one whose ledger is spoiled does not hide the
    others."""
    head = {
        "name": wallet.name,
        "strategy": strategies.described(wallet.strategy, wallet.parameters),
        "opened_at": wallet.opened_at,
        "closed_at": wallet.closed_at,
    }
    try:
        purses = wallets.purses(connection, wallet)
        report = wallets.report_on(connection, archive, wallet, purses, now)
    except wallets.TROUBLES as trouble:
        return schemas.Wallet.model_validate(head | {"problem": str(trouble)}), {}, None
    figures = reports.figures(report)
    told = {"total_return": figures["return"], "remarks": list(report.remarks), "problem": None}
    whole = head | figures | told
    return schemas.Wallet.model_validate(whole), purses, report


def _purse(coin_id: str, account: Account) -> schemas.Purse:
    purse = account.purse
    return schemas.Purse(
        coin_id=coin_id,
        quantity=purse.quantity,
        cash_usd=purse.cash,
        has_order=account.waiting is not None,
    )


def _curve(report: Report) -> list[schemas.WalletPoint]:
    """As many points as a chart has pixels for, the last among them."""
    curve = report.curve
    return [
        schemas.WalletPoint(
            at=_moment(float(curve.times[place])),
            usd=float(curve.equity[place]),
            hold_usd=float(report.hold_curve.equity[place]),
        )
        for place in reports.thinned(len(curve.times), MOST_POINTS)
    ]


def _trades(report: Report) -> list[schemas.WalletTrade]:
    return [
        schemas.WalletTrade(
            at=_moment(trade.at),
            coin_id=coin_id,
            side=trade.side,
            price_usd=trade.price,
            quantity=trade.quantity,
            cash_usd=trade.cash,
            fee_usd=trade.fee,
        )
        for coin_id, trade in reversed(report.trades[-SHOWN_TRADES:])
    ]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
