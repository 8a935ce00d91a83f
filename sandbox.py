"""Backtest trading strategies on stored prices, trade them with paper wallets, sweep parameters.

No real money is traded. An order is filled at the next observation, with a fee and slippage on both
sides. It is rejected if that price was backfilled or came too late; every result shows how many
fills were rejected.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import argparse
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sentinel import console
from sentinel.backtesting import (
    backtest_report,
    builtin_strategies,
    checked_run,
    csv_loader,
    strategies,
    time_span,
    user_strategy,
    walk_forward,
)
from sentinel.backtesting.price_series import LoadedPrices
from sentinel.errors import EXIT_OK, EXIT_UNHEALTHY
from sentinel.paper_trading import output
from sentinel.paper_trading.options import (
    check_files,
    load_strategy,
    read_money,
    to_dict,
    write_files,
    write_sweep_files,
)
from sentinel.paper_trading.parser import build_parser, read_rules
from sentinel.process import run_as_script

if TYPE_CHECKING:
    from sentinel.backtesting.archived_prices import ArchivedDays


def main() -> int:
    """Run the command that the user typed; returns 0, or the exit code of a wallet's error."""
    options = build_parser(__doc__).parse_args()
    check_files(options)
    actions = {
        "strategies": _list_strategies,
        "backtest": _run_backtest,
        "sweep": _sweep,
        "check": _check,
    }
    if action := actions.get(options.action):
        return action(options)
    # The database's driver takes longer to load than a backtest takes.
    from sentinel.paper_trading import commands

    return commands.run(options)


# --- strategies, backtest --------------------------------------------------------------------


def _list_strategies(_options: argparse.Namespace) -> int:
    rows = [
        (name, " ".join(f"{k}={v:g}" for k, v in found.parameters.items()), found.description)
        for name, found in builtin_strategies.BUILT_IN.items()
    ]
    console.show_table("strategies", ("name", "parameters", "what it does"), rows)
    print(
        f"Your own: a file with a function {' or '.join(user_strategy.FUNCTIONS.values())}, given "
        "as --strategy my_idea.py"
    )
    return EXIT_OK


def _run_backtest(options: argparse.Namespace) -> int:
    strategy = load_strategy(options.strategy, options)
    initial_usd, costs = read_money(options)
    prices = _load_prices(options)
    results, check = checked_run.trade_and_check(prices, strategy, costs, initial_usd)
    holding = checked_run.trade_all(prices, strategies.load("hold"), costs, initial_usd)
    coins = [
        backtest_report.report_coin(coin_id, prices.series[coin_id], own, held)
        for coin_id, own, held in zip(prices.series, results, holding, strict=True)
    ]
    report = backtest_report.build_report(
        strategy.describe(), coins, costs, output.causality_remarks(check)
    )
    if options.json:
        rows = output.rows_json(report, options.trades, options.curve)
        own = {"causality": check.to_json()}
        print(json.dumps(output.backtest_json(strategy, report) | own | rows))
    else:
        output.print_report(report)
    write_files(options, report)  # last: a full disk must not hide the result
    return EXIT_UNHEALTHY if check.outcome == "look-ahead" else EXIT_OK


def _check(options: argparse.Namespace) -> int:
    strategy = load_strategy(options.strategy, options)
    initial_usd, costs = read_money(options)
    prices = _load_prices(options)
    _, check = checked_run.trade_and_check(prices, strategy, costs, initial_usd)
    if options.json:
        print(json.dumps(output.check_json(strategy, check)))
    else:
        output.print_check(strategy, prices, check)
    return EXIT_OK if check.is_causal else EXIT_UNHEALTHY


# --- sweep -----------------------------------------------------------------------------------


def _sweep(options: argparse.Namespace) -> int:
    from sentinel.backtesting import cluster, cluster_connection, local_pool

    found = walk_forward.build_candidates(options.strategy, to_dict(options.param))
    candidates = [strategies.with_rules(one, read_rules(options)) for one in found]
    initial_usd, costs = read_money(options)
    if options.scheduler is not None:  # before prices are read
        cluster_connection.require_scheduler(options.scheduler)
    prices = _load_prices(options)
    firsts = walk_forward.list_firsts(candidates)
    checks = checked_run.check_each(prices, firsts, costs, initial_usd)
    sweep = walk_forward.plan_sweep(prices, candidates, options.folds, costs, initial_usd)
    with console.show_progress() as progress:

        def on_progress(done: int) -> None:
            progress("backtests", done, sweep.backtests)

        if options.scheduler is not None:
            days = _find_archived_days(options, prices)
            scored = cluster.run_on_cluster(
                sweep, options.scheduler, on_progress, console.print_notice, days
            )
        else:
            jobs = options.jobs or os.cpu_count() or 1
            scored = local_pool.run_locally(sweep, jobs, on_progress)
    result = walk_forward.select_winners(sweep, scored)
    winners = [one for one in walk_forward.list_winners(result) if one not in firsts]
    checks += checked_run.check_each(prices, winners, costs, initial_usd)
    if options.json:
        own = {"causality": [output.check_json(*entry) for entry in checks]}
        print(json.dumps(output.sweep_json(result) | own))
    else:
        output.print_sweep(result)
        output.print_checks(checks)
    write_sweep_files(options, result)
    return EXIT_OK


# --- options ---------------------------------------------------------------------------------


def _load_prices(options: argparse.Namespace) -> LoadedPrices:
    if options.csv:
        return csv_loader.load_from_csv(options.csv, options.coins, options.start, options.stop)
    from safe_zone import load_settings
    from sentinel.backtesting import price_loader

    now = datetime.now(UTC)
    days = options.days and float(options.days)
    span = time_span.choose_span(days, options.start, options.stop, now)
    return price_loader.load_from_database(
        load_settings(), options.coins, span, now, ignore_budget=options.ignore_budget
    )


def _find_archived_days(options: argparse.Namespace, prices: LoadedPrices) -> ArchivedDays | None:
    """Return the archived days that workers of a cluster read themselves."""
    if options.csv:
        return None
    from safe_zone import load_settings
    from sentinel.backtesting import price_loader

    return price_loader.find_archived_days(load_settings(), prices, datetime.now(UTC))


if __name__ == "__main__":
    run_as_script(main)
