"""Sweeps: the winner is tested on days that no candidate trained on."""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sentinel.backtesting import engine, strategies, walk_forward
from sentinel.backtesting.price_series import from_prices
from sentinel.errors import ConfigurationError
from tests.support.commands import Script
from tests.support.sweeps import (
    CASH,
    COSTS,
    OWN,
    QUARTER,
    START,
    market,
    own_strategy,
    planned,
    refused,
    run_sweep,
    solved,
    write_prices,
)

# --- candidates --------------------------------------------------------------------------------


def test_each_strategy_gets_every_combination_of_its_own_parameters() -> None:
    found = [
        (s.name, dict(s.parameters))
        for s in walk_forward.build_candidates(["sma-cross", "hold"], GRID_2)
    ]
    assert found == [
        ("sma-cross", {"fast": 2, "slow": 4}),
        ("sma-cross", {"fast": 2, "slow": 8}),
        ("sma-cross", {"fast": 6, "slow": 8}),
        ("hold", {}),
    ]  # fast 6 is not below slow 4


GRID_2 = {"fast": [2.0, 6.0], "slow": [4.0, 8.0]}


def test_an_error_says_why_no_combination_is_valid() -> None:
    with pytest.raises(ConfigurationError, match="fast 9 must be smaller than slow 4"):
        walk_forward.build_candidates(["sma-cross"], {"fast": [9.0], "slow": [4.0]})


def test_an_unknown_parameter_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="no such parameter as colour"):
        walk_forward.build_candidates(["sma-cross", "hold"], {"fast": [2.0], "colour": [1.0]})


def test_too_many_combinations_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_forward, "MAX_CANDIDATES", 1_000)
    values = [float(n) for n in range(50, 0, -1)]
    with pytest.raises(ConfigurationError, match="more than 1,000 combinations"):
        walk_forward.build_candidates(
            ["sma-cross"], {"fast": values, "slow": values}
        )  # 1,225 make sense


# --- the walk --------------------------------------------------------------------------------


def test_each_fold_trains_on_all_blocks_before_its_test_block() -> None:
    sweep = planned(market(), folds=3)
    edges = sweep.edges
    assert len(edges) == 5
    assert np.diff(edges) == pytest.approx([float(np.diff(edges)[0])] * 4)
    assert edges[0] == START
    assert edges[-1] > START + 2 + QUARTER * 399
    found = solved(sweep)
    assert [(f.training_starts_at, f.training_ends_at, f.test_ends_at) for f in found.folds] == [
        (edges[0], edges[1], edges[2]),
        (edges[0], edges[2], edges[3]),
        (edges[0], edges[3], edges[4]),
    ]
    for place, fold in enumerate(found.folds):
        assert fold.training_return == max(line.training_returns[place] for line in found.table)
    assert [line.training_returns[-1] for line in found.table] == sorted(
        (line.training_returns[-1] for line in found.table), reverse=True
    )


def test_the_scores_match_backtests_of_the_blocks() -> None:
    prices = market(2)
    sweep = planned(prices)
    found = solved(sweep)
    edges = sweep.edges
    for line in found.table:
        for place in range(2):
            middle, end = edges[place + 1], edges[place + 2]
            trained: list[float] = []
            unseen: list[float] = []
            for own in prices.values():
                training, whole = own.between(edges[0], middle), own.between(edges[0], end)
                for into, series, since in ((trained, training, edges[0]), (unseen, whole, middle)):
                    signals = line.candidate.build_signals(series, since)
                    outcome = engine.run_backtest(series, signals, COSTS, CASH)
                    into.append(float(outcome.final_usd / CASH) - 1)
                    assert all(trade.filled_at >= since for trade in outcome.trades)
            assert line.training_returns[place] == pytest.approx(statistics.fmean(trained))
            assert line.test_returns[place] == pytest.approx(statistics.fmean(unseen))


def test_the_buy_and_hold_return_of_a_fold_matches_its_prices() -> None:
    own = market(1)["coin-0"]
    found = solved(planned({"coin-0": own}, [strategies.load("dca")]))
    for fold in found.folds:
        block = own.between(fold.training_ends_at, fold.test_ends_at)
        block = from_prices(block.times, block.prices, np.ones(len(block), dtype=bool))
        if own.is_observed.all():
            ratio = block.prices[-1] / block.prices[1]
            assert fold.buy_and_hold_return == pytest.approx(0.999**2 * 0.9995 / 1.0005 * ratio - 1)
    assert len(found.folds) == 2


@pytest.mark.parametrize("own", [False, True], ids=["built in", "own"])
def test_prices_of_the_last_block_do_not_change_the_training(own: bool) -> None:
    wanted = [own_strategy(OWN)] if own else None
    prices = market()
    sweep = planned(prices, wanted)
    last = sweep.edges[-2]
    dice = np.random.default_rng(9)
    changed = {
        coin: from_prices(
            series.times,
            np.where(
                series.times >= last,
                series.prices * dice.uniform(0.2, 5, len(series)),
                series.prices,
            ),
            series.is_observed,
        )
        for coin, series in prices.items()
    }
    first, second = solved(sweep), solved(planned(changed, wanted))
    for one, other in zip(first.folds, second.folds, strict=True):
        assert one.winner.candidate == other.winner.candidate
        assert one.training_return == other.training_return
    assert first.folds[0].test_return == second.folds[0].test_return
    assert first.folds[-1].test_return != second.folds[-1].test_return
    for line, beside in zip(first.table, second.table, strict=True):
        assert line.candidate == beside.candidate
        assert line.training_returns == beside.training_returns
        assert line.test_returns[:-1] == beside.test_returns[:-1]


def test_a_strategy_that_keeps_prices_in_a_global_does_not_know_unseen_days() -> None:
    """A module that kept prices in a global would know the future in its second run."""
    source = (
        "seen = {}\n"
        "def decide(history, portfolio):\n"
        "    seen[history.times[-1]] = history.prices[-1]\n"
        "    if history.times[-1] + 900 in seen:\n"
        "        raise RuntimeError('the future is there')\n"
        "    return 0.1\n"
    )
    solved(planned(market(1), [own_strategy(source)]))


def test_too_few_prices_for_the_folds_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="too few for 3 folds"):
        planned(market(2, points=6), folds=3)


def test_a_coin_without_prices_in_a_block_does_not_change_the_mean() -> None:
    prices = market(2)
    half = {"coin-0": prices["coin-0"], "coin-1": prices["coin-1"].between(0, START + 60 * QUARTER)}
    sweep = planned(half, [strategies.load("hold")])
    found = solved(sweep)
    expected = solved(planned({"coin-0": prices["coin-0"]}, [strategies.load("hold")]))
    # A coin without prices in a block has no return there, not a return of 0.
    assert found.folds[-1].test_return == pytest.approx(expected.folds[-1].test_return, abs=1e-3)


# --- the command line ------------------------------------------------------------------------


@pytest.fixture
def csv(tmp_path: Path) -> str:
    return write_prices(tmp_path)


def _parsed(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.slow
def test_a_sweep_shows_the_winner_and_its_return_on_unseen_days(script: Script, csv: str) -> None:
    arguments = (
        *("--strategy", "sma-cross,hold", "--param", "fast=3,6,50", "--param", "slow=12,24"),
        *("--csv", csv, "--folds", "2"),
    )
    one = run_sweep(script, *arguments, "--jobs", "1", "--json")
    found = _parsed(one)
    assert run_sweep(script, *arguments, "--jobs", "2", "--json").stdout == one.stdout
    assert found["coins"] == 2
    assert len(found["table"]) == 5  # four of sma-cross, and holding
    assert found["winner"] == found["table"][0]
    assert [fold["training_ends_at"] for fold in found["folds"][1:]] == [
        fold["test_ends_at"] for fold in found["folds"][:-1]
    ]
    assert found["folds"][-1]["test_return"] == found["winner"]["test_returns"][-1]
    held = next(line for line in found["table"] if line["strategy"] == "hold")
    assert held["test_returns"] == [f["test_buy_and_hold_return"] for f in found["folds"]]
    shown = run_sweep(script, *arguments)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "5 candidates on 2 coins" in shown.stdout
    assert f"{found['folds'][-1]['test_return']:+.2%}" in shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--strategy", "moon"], "There is no strategy 'moon'"),
        (["--strategy", ","], "holds no name"),
        (["--param", "colour=1,2"], "no such parameter as colour"),
        (["--param", "fast=90,95"], "fast 90 must be smaller than slow 48"),
        (["--param", "fast=1,,2"], "--param"),
        (["--folds", "0"], "--folds"),
        (["--folds", "21"], "--folds"),
        (["--jobs", "0"], "--jobs"),
        (["--jobs", "two"], "--jobs"),
        (["--jobs", "2", "--scheduler", "tcp://127.0.0.1:9"], "not allowed with"),
        (["--scheduler", ""], "--scheduler"),
    ],
    ids=str,
)
def test_an_error_names_the_invalid_option(
    script: Script, csv: str, arguments: list[str], words: str
) -> None:
    usual = [] if "--strategy" in arguments else ["--strategy", "sma-cross"]
    refused(run_sweep(script, *usual, "--csv", csv, *arguments), words)


@pytest.mark.slow
def test_the_error_for_too_few_prices_is_one_line(script: Script, tmp_path: Path) -> None:
    lines = ["timestamp,coin_id,price", *(f"2026-11-0{n},a,{n}" for n in range(1, 6)), ""]
    (tmp_path / "few.csv").write_text("\n".join(lines))
    done = run_sweep(script, "--strategy", "hold", "--csv", "few.csv", "--folds", "3")
    refused(done, "too few for 3 folds")
