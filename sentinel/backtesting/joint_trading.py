"""Trade a strategy that decides about all coins together. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from sentinel.backtesting.engine import BacktestResult
from sentinel.backtesting.portfolio import Costs
from sentinel.backtesting.price_series import LoadedPrices
from sentinel.backtesting.rebalancing import Holdings, run_rebalancing
from sentinel.backtesting.strategies import Strategy


def trade_jointly(
    strategy: Strategy, prices: LoadedPrices, costs: Costs, initial_usd: Decimal
) -> list[BacktestResult]:
    """Return the result of a strategy for several coins, on each coin. Raises StrategyFailed."""
    decide = strategy.build_weights(prices.series)
    return run_rebalancing(prices, decide, strategy.rebalance_seconds, costs, initial_usd)


def trade_delayed(
    strategy: Strategy, prices: LoadedPrices, costs: Costs, initial_usd: Decimal
) -> list[BacktestResult]:
    """Return the results if the strategy knew each price one price later."""
    decide = strategy.build_weights(prices.series)

    def decide_late(
        moment: float, known: Mapping[str, int], holdings: Holdings
    ) -> Mapping[str, float] | None:
        earlier = {coin_id: count - 1 for coin_id, count in known.items() if count > 1}
        return decide(moment, earlier, holdings) if earlier else None

    return run_rebalancing(prices, decide_late, strategy.rebalance_seconds, costs, initial_usd)
