"""Wallets of paper money: what they came to, their curves and trades."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path

import archiving
import reports
import strategies
import wallets
from archive_files import Archive
from postgres import Connection
from reports import Report
from services.api import models
from services.api.context import Here
from services.api.models import NO_NUL
from services.api.problems import described
from wallets import Account

router = APIRouter(tags=["wallets"])
MOST_POINTS = 400  # of a curve
SHOWN_TRADES = 200
Name = Annotated[str, Path(min_length=1, max_length=wallets.LONGEST_NAME, pattern=NO_NUL)]


@router.get("/wallets", responses=described(503))
def wallets_of_all(here: Here) -> models.Wallets:
    """Every wallet with what it came to."""
    now, archive = here.now(), archiving.archive_of(here.monitor.settings)

    def read(connection: Connection) -> list[models.Wallet]:
        return [
            _judge(connection, archive, wallet, now)[0] for wallet in wallets.wallets(connection)
        ]

    return models.Wallets(items=here.store.read(read, copies=True))


@router.get("/wallets/{name}", responses=described(404, 422, 503))
def wallet_report(here: Here, name: Name) -> models.WalletReport:
    """One wallet in full."""
    now, archive = here.now(), archiving.archive_of(here.monitor.settings)

    def read(connection: Connection) -> models.WalletReport:
        found = wallets.wallets(connection, name)
        if not found:
            raise HTTPException(404, f"There is no wallet '{name}'. GET /wallets lists them.")
        judged, purses, report = _judge(connection, archive, found[0], now)
        if report is None:
            return models.WalletReport(wallet=judged, purses=[], curve=[], trades=[])
        return models.WalletReport(
            wallet=judged,
            purses=[_purse(coin_id, account) for coin_id, account in purses.items()],
            curve=_curve(report),
            trades=_trades(report),
        )

    return here.store.read(read, copies=True)


def _judge(
    connection: Connection, archive: Archive | None, wallet: wallets.Wallet, now: datetime
) -> tuple[models.Wallet, Mapping[str, Account], Report | None]:
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
        return models.Wallet.model_validate(head | {"problem": str(trouble)}), {}, None
    figures = reports.figures(report)
    told = {"total_return": figures["return"], "remarks": list(report.remarks), "problem": None}
    whole = head | figures | told
    return models.Wallet.model_validate(whole), purses, report


def _purse(coin_id: str, account: Account) -> models.Purse:
    purse = account.purse
    return models.Purse(
        coin_id=coin_id,
        quantity=purse.quantity,
        cash_usd=purse.cash,
        has_order=account.waiting is not None,
    )


def _curve(report: Report) -> list[models.WalletPoint]:
    """As many points as a chart has pixels for, the last among them."""
    curve = report.curve
    return [
        models.WalletPoint(
            at=_moment(float(curve.times[place])),
            usd=float(curve.equity[place]),
            hold_usd=float(report.hold_curve.equity[place]),
        )
        for place in reports.thinned(len(curve.times), MOST_POINTS)
    ]


def _trades(report: Report) -> list[models.WalletTrade]:
    return [
        models.WalletTrade(
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
