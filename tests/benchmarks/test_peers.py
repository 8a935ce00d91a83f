"""The comparison with other backtesters: its own side still runs, and its tables are right."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.peers import tables
from safe_zone import ROOT


def test_fills_differ_in_time_side_or_price_and_in_number() -> None:
    fills = [[1.0, "buy", 100.0], [2.0, "sell", 90.0], [3.0, "buy", 95.0]]
    assert tables.count_differences(fills, [[1.0, "buy", 100.0 + 1e-13], *fills[1:]]) == 0
    assert tables.count_differences(fills, fills[:2]) == 1
    for other in ([4.0, "buy", 100.0], [1.0, "sell", 100.0], [1.0, "buy", 100.1]):
        assert tables.count_differences(fills, [other, *fills[1:]]) == 1


def test_a_ratio_is_to_the_best_peer_and_below_one_where_this_project_is_faster() -> None:
    figures = {
        "sentinel": {"one-coin": {"in_process": 0.005}, "own": {"rule": 20_000.0, "nothing": 1.0}},
        "vectorbt": {"one-coin": {"in_process": 0.02}},
        "backtesting": {"one-coin": {"in_process": 0.1}, "own": {"rule": 5e3, "nothing": 2.0}},
    }
    _, _, one_coin, rule, nothing = tables.build_speed(figures)
    assert "| 5.0 ms | vectorbt 20.0 ms, backtesting.py 100.0 ms | **0.25** |" in one_coin
    assert rule.endswith("**0.25** |")
    assert nothing.endswith("**2** |")


@pytest.mark.slow
def test_the_comparison_runs_without_peers() -> None:
    command = (sys.executable, "-m", "benchmarks.peers", "--peers", "--rounds", "1")
    done = subprocess.run(
        [*command, "--rows", "20000"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("| here |") == 4
    assert "CSV of 10 M rows, hold, whole command: memory" in done.stdout
