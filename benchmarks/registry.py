"""Load and save a registry with as many coins as CoinGecko lists."""

from __future__ import annotations

import json

from benchmarks.scale import (
    NOW,
    measure_median_seconds,
    print_heading,
    print_result,
    scratch_folder,
)
from coin_registry import Coin, CoinRegistry

COINS = 19_000


def main() -> None:
    print_heading(f"Registry of {COINS:,} coins")
    coins = [
        Coin(f"a-coin-called-{n}", f"c{n % 7_000}", f"A Coin {n}", n + 1 if n < 1_000 else None)
        for n in range(COINS)
    ]
    registry = CoinRegistry(coins, NOW)
    with scratch_folder() as folder:
        path = folder / "coin_registry.json"

        def save() -> None:
            registry.strike("a-coin-called-5", "missing", NOW)
            assert registry.save(path)

        saved = measure_median_seconds(save, 9)
        text = path.read_text()
        floor = measure_median_seconds(lambda: json.loads(text), 9)
        loaded = measure_median_seconds(lambda: CoinRegistry.load(path), 9)
    bound = f"under 0.20 s; floor {floor:.3f} s (json.loads)"
    print_result("load", f"{loaded:.3f} s", bound, is_reached=loaded < 0.2)
    print_result("save", f"{saved:.3f} s", "under 0.20 s", is_reached=saved < 0.2)
