"""The registry with as many coins as CoinGecko lists."""

from __future__ import annotations

import json

from benchmarks.scale import NOW, heading, median_seconds, say, scratch_folder
from coin_registry import Coin, CoinRegistry

COINS = 19_000


def main() -> None:
    heading(f"Registry of {COINS:,} coins")
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

        saved = median_seconds(save, 9)
        text = path.read_text()
        floor = median_seconds(lambda: json.loads(text), 9)
        loaded = median_seconds(lambda: CoinRegistry.load(path), 9)
    bound = f"under 0.20 s; floor {floor:.3f} s (json.loads)"
    say("load", f"{loaded:.3f} s", bound, reached=loaded < 0.2)
    say("save", f"{saved:.3f} s", "under 0.20 s", reached=saved < 0.2)
