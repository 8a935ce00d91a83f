"""Sweeps in words and pictures: unseen days, the heat map around the winner, and the pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from sentinel.backtesting import strategies, sweep_pages, sweep_report
from sentinel.backtesting.walk_forward import CandidateResult, SweepFold, SweepResult
from tests.sentinel.backtesting.test_engine import DAY, START


def candidate(training: float, test: float, **parameters: float) -> CandidateResult:
    strategy = strategies.load("sma-cross", parameters)
    return CandidateResult(strategy, [0.0, training], [0.0, test], 4, 0)


TABLE = [
    candidate(0.2, -0.2, fast=2, slow=20),
    candidate(0.1, 0.1, fast=4, slow=20),
    candidate(0.05, 0.3, fast=2, slow=30),
    candidate(-0.1, 0.0, fast=6, slow=30),
]


def sweep_of(*returns: tuple[float, float]) -> SweepResult:
    """Return a sweep whose winner has these (own, holding) returns in the test blocks."""
    folds = [
        SweepFold(START, START + n * DAY, START + (n + 1) * DAY, TABLE[0], 0.2, own, held)
        for n, (own, held) in enumerate(returns, 1)
    ]
    return SweepResult(2, TABLE, folds)


def test_the_sentence_compounds_the_unseen_days_of_all_folds() -> None:
    assert sweep_report.describe_unseen(sweep_of((0.1, 0.1), (-0.2, 0.1))) == (
        "On days not seen before, the winners of 2 folds lost 12.0%; buy and hold gained 21.0%."
    )
    assert sweep_report.describe_unseen(sweep_of((0.5, -0.1))) == (
        "On days not seen before, the winner gained 50.0%; buy and hold lost 10.0%."
    )


def test_the_heat_map_has_the_two_parameters_with_the_most_values() -> None:
    found = sweep_report.build_heat_map(sweep_of((0, 0)))
    assert found is not None
    assert (found.across, found.columns) == ("fast", [2, 4, 6])
    assert (found.down, found.rows) == ("slow", [20, 30])
    assert found.cells[4, 20] is TABLE[1]
    assert (4, 30) not in found.cells


def test_a_single_candidate_has_no_heat_map() -> None:
    assert sweep_report.build_heat_map(SweepResult(1, TABLE[:1], sweep_of((0, 0)).folds)) is None


@pytest.mark.parametrize("table", [TABLE, TABLE[:1]], ids=["grid", "single"])
def test_the_page_of_a_sweep_says_what_the_winner_did_on_unseen_days(
    tmp_path: Path, table: list[CandidateResult]
) -> None:
    result = SweepResult(2, table, sweep_of((0.1, 0.1), (-0.2, 0.1)).folds)
    sweep_pages.write_html(result, tmp_path / "sweep.html")
    page = (tmp_path / "sweep.html").read_text()
    assert f"<h1>{sweep_report.describe_unseen(result)}</h1>" in page
    assert page.count('class="heat"') == (2 if len(table) > 1 else 0)
    assert page.count("<circle") == len(table) + 1  # the winner has one more


@pytest.mark.slow  # Matplotlib
def test_the_image_of_a_sweep_is_a_png(tmp_path: Path) -> None:
    sweep_pages.write_png(sweep_of((0.1, 0.1)), tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
