"""Paper-trading wallets: results, positions, equity curves, trades."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, HTTPException, Path

from sentinel.archive.store import Archive, open_configured_archive
from sentinel.backtesting import backtest_report, strategies
from sentinel.backtesting.backtest_report import BacktestReport
from sentinel.paper_trading import ledger, wallet_reports, wallets
from sentinel.paper_trading.ledger import CoinAccount
from sentinel.storage.connection import Connection
from services.api.dependencies import RequestContext
from services.api.problems import problem_responses
from services.api.schemas.fields import NO_NUL
from services.api.schemas.wallets import WalletDetailResponse, WalletResponse, WalletsResponse

router = APIRouter(tags=["wallets"])

# A chart has few more pixels.
MAX_CURVE_POINTS = 400
MAX_TRADES = 200
WalletName = Annotated[str, Path(min_length=1, max_length=wallets.MAX_NAME_LENGTH, pattern=NO_NUL)]


class _Evaluation(NamedTuple):
    """A wallet's results; without accounts and report if its ledger or prices cannot be used."""

    wallet: WalletResponse
    accounts: Mapping[str, CoinAccount]
    report: BacktestReport | None


@router.get("/wallets", responses=problem_responses(503))
def get_wallets(context: RequestContext) -> WalletsResponse:
    """Every wallet with its results."""
    now, archive = context.now(), open_configured_archive(context.monitor.settings)

    def read(connection: Connection) -> list[WalletResponse]:
        return [
            _evaluate(connection, archive, wallet, now).wallet
            for wallet in wallets.load_wallets(connection)
        ]

    # Reading the wallets' prices uses COPY.
    return WalletsResponse(items=context.pool.read(read, uses_copy=True))


@router.get("/wallets/{name}", responses=problem_responses(404, 422, 503))
def get_wallet(context: RequestContext, name: WalletName) -> WalletDetailResponse:
    """One wallet with its positions, equity curve and trades."""
    now, archive = context.now(), open_configured_archive(context.monitor.settings)

    def read(connection: Connection) -> WalletDetailResponse:
        found = wallets.load_wallets(connection, name)
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
        "strategy": strategies.describe(wallet.strategy, wallet.parameters),
        "opened_at": wallet.opened_at,
        "closed_at": wallet.closed_at,
    }
    try:
        accounts = ledger.load_accounts(connection, wallet.wallet_id)
        report = wallet_reports.report_accounts(connection, archive, wallet, accounts, now)
    except wallets.WALLET_ERRORS as error:
        response = WalletResponse.model_validate(fields | {"problem": str(error)})
        return _Evaluation(response, {}, None)
    figures = backtest_report.collect_figures(report)
    fields |= figures | {"total_return": figures["return"]}
    fields |= {"remarks": list(report.remarks), "problem": None}
    return _Evaluation(WalletResponse.model_validate(fields), accounts, report)


def _build_detail(evaluation: _Evaluation) -> WalletDetailResponse:
    report = evaluation.report
    return WalletDetailResponse.model_validate(
        {
            "wallet": evaluation.wallet,
            "positions": [
                _build_position(coin_id, account)
                for coin_id, account in evaluation.accounts.items()
            ],
            "curve": _build_curve(report) if report else [],
            "trades": _build_trades(report) if report else [],
        }
    )


def _build_position(coin_id: str, account: CoinAccount) -> dict[str, Any]:
    portfolio = account.portfolio
    return {
        "coin_id": coin_id,
        "quantity": portfolio.quantity,
        "cash_usd": portfolio.cash,
        "has_order": account.pending_order is not None,
    }


def _build_curve(report: BacktestReport) -> list[dict[str, float]]:
    """Return the equity curve with at most MAX_CURVE_POINTS points, the last one among them."""
    curve = report.curve
    return [
        {
            "valued_at": float(curve.times[index]),
            "value_usd": float(curve.equity[index]),
            "buy_and_hold_usd": float(report.buy_and_hold_curve.equity[index]),
        }
        for index in backtest_report.thin_indices(len(curve.times), MAX_CURVE_POINTS)
    ]


def _build_trades(report: BacktestReport) -> list[dict[str, Any]]:
    return [
        trade._asdict() | {"coin_id": coin_id, "traded_at": trade.filled_at}
        for coin_id, trade in reversed(report.trades[-MAX_TRADES:])
    ]
