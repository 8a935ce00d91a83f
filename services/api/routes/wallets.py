"""Paper-trading wallets: results, positions, equity curves, trades."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

from fastapi import APIRouter, HTTPException, Path

from sentinel.archive import export
from sentinel.archive.store import Archive
from sentinel.backtesting import report as backtest_report
from sentinel.backtesting import strategies
from sentinel.backtesting.report import Report
from sentinel.paper_trading import wallets
from sentinel.paper_trading.wallets import Account
from sentinel.storage.connection import Connection
from services.api.dependencies import RequestContext
from services.api.problems import problem_responses
from services.api.schemas.fields import NO_NUL
from services.api.schemas.wallets import (
    PositionResponse,
    WalletDetailResponse,
    WalletPointResponse,
    WalletResponse,
    WalletsResponse,
    WalletTradeResponse,
)

router = APIRouter(tags=["wallets"])

# A chart has few more pixels.
MAX_CURVE_POINTS = 400
MAX_TRADES = 200
WalletName = Annotated[str, Path(min_length=1, max_length=wallets.LONGEST_NAME, pattern=NO_NUL)]


class _Evaluation(NamedTuple):
    """A wallet's results; without accounts and report if its ledger or prices cannot be used."""

    wallet: WalletResponse
    accounts: Mapping[str, Account]
    report: Report | None


@router.get("/wallets", responses=problem_responses(503))
def get_wallets(context: RequestContext) -> WalletsResponse:
    """Every wallet with its results."""
    now, archive = context.now(), export.archive_of(context.monitor.settings)

    def read(connection: Connection) -> list[WalletResponse]:
        return [
            _evaluate(connection, archive, wallet, now).wallet
            for wallet in wallets.wallets(connection)
        ]

    return WalletsResponse(items=context.pool.read(read, uses_copy=True))


@router.get("/wallets/{name}", responses=problem_responses(404, 422, 503))
def get_wallet(context: RequestContext, name: WalletName) -> WalletDetailResponse:
    """One wallet with its positions, equity curve and trades."""
    now, archive = context.now(), export.archive_of(context.monitor.settings)

    def read(connection: Connection) -> WalletDetailResponse:
        found = wallets.wallets(connection, name)
        if not found:
            raise HTTPException(404, f"There is no wallet '{name}'. GET /wallets lists them.")
        return _build_detail(_evaluate(connection, archive, found[0], now))

    return context.pool.read(read, uses_copy=True)


def _evaluate(
    connection: Connection, archive: Archive | None, wallet: wallets.Wallet, now: datetime
) -> _Evaluation:
    """Return a wallet's results.

    An error of one wallet becomes its `problem`, so that it does not hide the other wallets.
    """
    fields = {
        "name": wallet.name,
        "strategy": strategies.described(wallet.strategy, wallet.parameters),
        "opened_at": wallet.opened_at,
        "closed_at": wallet.closed_at,
    }
    try:
        accounts = wallets.purses(connection, wallet)
        report = wallets.report_on(connection, archive, wallet, accounts, now)
    except wallets.TROUBLES as error:
        response = WalletResponse.model_validate(fields | {"problem": str(error)})
        return _Evaluation(response, {}, None)
    figures = backtest_report.figures(report)
    fields |= figures
    fields |= {
        "total_return": figures["return"],
        "remarks": list(report.remarks),
        "problem": None,
    }
    return _Evaluation(WalletResponse.model_validate(fields), accounts, report)


def _build_detail(evaluation: _Evaluation) -> WalletDetailResponse:
    report = evaluation.report
    return WalletDetailResponse(
        wallet=evaluation.wallet,
        positions=[
            _build_position(coin_id, account) for coin_id, account in evaluation.accounts.items()
        ],
        curve=_build_curve(report) if report else [],
        trades=_build_trades(report) if report else [],
    )


def _build_position(coin_id: str, account: Account) -> PositionResponse:
    portfolio = account.purse
    return PositionResponse(
        coin_id=coin_id,
        quantity=portfolio.quantity,
        cash_usd=portfolio.cash,
        has_order=account.waiting is not None,
    )


def _build_curve(report: Report) -> list[WalletPointResponse]:
    """Return the equity curve with at most MAX_CURVE_POINTS points, the last one among them."""
    curve = report.curve
    return [
        WalletPointResponse(
            valued_at=_to_datetime(float(curve.times[index])),
            value_usd=float(curve.equity[index]),
            buy_and_hold_usd=float(report.hold_curve.equity[index]),
        )
        for index in backtest_report.thinned(len(curve.times), MAX_CURVE_POINTS)
    ]


def _build_trades(report: Report) -> list[WalletTradeResponse]:
    return [
        WalletTradeResponse(
            traded_at=_to_datetime(trade.at),
            coin_id=coin_id,
            side=trade.side,
            price_usd=trade.price,
            quantity=trade.quantity,
            cash_usd=trade.cash,
            fee_usd=trade.fee,
        )
        for coin_id, trade in reversed(report.trades[-MAX_TRADES:])
    ]


def _to_datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
