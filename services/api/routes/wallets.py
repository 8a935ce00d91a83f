"""Paper-trading wallets: results, positions, equity curves, trades."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path

from sentinel.archive.store import Archive, open_configured_archive
from sentinel.backtesting import backtest_report
from sentinel.backtesting.backtest_report import BacktestReport
from sentinel.paper_trading import ledger, wallet_reports, wallets
from sentinel.paper_trading.ledger import CoinAccount
from sentinel.paper_trading.wallet_names import MAX_NAME_LENGTH
from sentinel.storage.connection import Connection
from services.api.dependencies import RequestContext
from services.api.problems import problem_responses
from services.api.schemas.base import NO_NUL
from services.api.schemas.wallets import WalletDetailResponse, WalletsResponse

router = APIRouter(tags=["wallets"])

# A chart has few more pixels.
MAX_CURVE_POINTS = 400
MAX_TRADES = 200
WalletName = Annotated[str, Path(min_length=1, max_length=MAX_NAME_LENGTH, pattern=NO_NUL)]


@router.get("/wallets", responses=problem_responses(503))
def get_wallets(context: RequestContext) -> WalletsResponse:
    """Every wallet with its results."""
    now, archive = context.now(), open_configured_archive(context.monitor.settings)

    def read(connection: Connection) -> list[dict[str, Any]]:
        found = wallets.load_wallets(connection)
        return [_evaluate(connection, archive, wallet, now)["wallet"] for wallet in found]

    # Reading the wallets' prices uses COPY.
    return WalletsResponse.model_validate({"items": context.pool.read(read, uses_copy=True)})


@router.get("/wallets/{name}", responses=problem_responses(404, 422, 503))
def get_wallet(context: RequestContext, name: WalletName) -> WalletDetailResponse:
    """One wallet with its positions, equity curve and trades."""
    now, archive = context.now(), open_configured_archive(context.monitor.settings)

    def read(connection: Connection) -> dict[str, Any]:
        found = wallets.load_wallets(connection, name)
        if not found:
            raise HTTPException(404, f"There is no wallet '{name}'. GET /wallets lists them.")
        return _evaluate(connection, archive, found[0], now)

    return WalletDetailResponse.model_validate(context.pool.read(read, uses_copy=True))


def _evaluate(
    connection: Connection, archive: Archive | None, wallet: wallets.Wallet, now: datetime
) -> dict[str, Any]:
    """Return the fields of a WalletDetailResponse.

    An error of one wallet becomes its `problem`, so that it does not hide the other wallets.
    """
    fields: dict[str, Any] = {
        "name": wallet.name,
        "strategy": wallet.describe_strategy(),
        "opened_at": wallet.opened_at,
        "closed_at": wallet.closed_at,
        "problem": None,
    }
    try:
        accounts = ledger.load_accounts(connection, wallet.wallet_id)
        report = wallet_reports.report_wallet(connection, archive, wallet, accounts, now)
    except wallets.WALLET_ERRORS as error:
        fields["problem"] = str(error)
        return {"wallet": fields, "positions": [], "curve": [], "trades": []}
    figures = backtest_report.collect_figures(report)
    fields |= figures | {"total_return": figures["return"], "remarks": list(report.remarks)}
    return {
        "wallet": fields,
        "positions": [_build_position(*account) for account in accounts.items()],
        "curve": _build_curve(report),
        "trades": _build_trades(report),
    }


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
