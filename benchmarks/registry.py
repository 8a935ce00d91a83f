"""Load and save a registry with as many coins as CoinGecko lists."""

from __future__ import annotations

import json
from collections.abc import Iterator

from benchmarks.results import Result
from benchmarks.scale import NOW, measure_median_seconds, scratch_folder
from coin_registry import Coin, CoinRegistry

COINS, SMOKE_COINS = 19_000, 100


def measure(is_smoke: bool) -> Iterator[Result]:
    count = SMOKE_COINS if is_smoke else COINS
    coins = [
        Coin(f"a-coin-called-{n}", f"c{n % 7_000}", f"A Coin {n}", n + 1 if n < 1_000 else None)
        for n in range(count)
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
    yield Result(f"load {count:,} coins", loaded, "s", at_most=0.2, floor=floor, note="json.loads")
    yield Result(f"save {count:,} coins", saved, "s", at_most=0.2)
