"""The benchmark of alerts reads price files, and splits each in two halves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import alerts

HEADER = "timestamp,coin_id,price\n"


def test_alerts_csv_names_files_and_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "recorded"
    folder.mkdir()
    for name in ("b.csv", "a.csv", "notes.txt"):
        (folder / name).write_text(f"{HEADER}2026-11-20,bitcoin,1\n")
    (tmp_path / "own.csv").write_text(f"{HEADER}2026-11-20,tether,1\n")
    monkeypatch.setenv("ALERTS_CSV", os.pathsep.join([str(tmp_path / "own.csv"), str(folder)]))
    found = [(name, list(prices)) for name, prices in alerts._read_series(alerts.SMOKE)]
    assert found == [("own", ["tether"]), ("a", ["bitcoin"]), ("b", ["bitcoin"])]


def test_coins_without_prices_in_both_halves_are_left_out() -> None:
    hours = [(float(n), 1.0) for n in range(6)]
    early, later = alerts._split({"both": hours, "old": hours[:3]})
    assert (list(early), list(later)) == (["both"], ["both"])
    assert [*early["both"], *later["both"]] == hours
