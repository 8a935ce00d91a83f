"""Ranking of coins, and resolution of ids, symbols and names."""

from __future__ import annotations

import pytest

from coin_registry import CoinRegistry, find_matches
from sentinel.errors import ConfigurationError
from tests.conftest import NOW
from tests.support.coins import COINS, make_listing, make_registry


@pytest.fixture
def registry() -> CoinRegistry:
    return CoinRegistry(COINS, NOW)


def test_the_top_coins_are_ordered_by_rank_and_then_by_id(registry: CoinRegistry) -> None:
    assert registry.top_ids(3) == ["bitcoin", "ethereum", "tether"]
    assert registry.top_ids(99)[-2:] == ["neo-token", "red-green"]


def test_an_inactive_coin_is_not_among_the_top_coins(registry: CoinRegistry) -> None:
    for _ in range(3):
        registry.strike("bitcoin", "missing", NOW)
    assert registry.top_ids(1) == ["ethereum"]


@pytest.mark.parametrize(
    ("term", "coin_id"),
    [
        ("btc", "bitcoin"),
        ("BTC", "bitcoin"),
        ("usdt", "tether"),
        ("eth", "eth"),
        ("ETH", "ethereum"),
        ("Ethereum", "ethereum"),
        ("bitcoin cash", "bitcoin-cash"),
        ("_", "_"),
        ("-11", "-11"),
        ("neo", "neo-token"),
        ("neo\u00a0", "neo-token"),
        ("🟥🟩", "red-green"),
        ("Tether", "tether"),
    ],
)
def test_a_term_is_an_id_first_then_a_symbol_then_a_name(
    registry: CoinRegistry, term: str, coin_id: str
) -> None:
    assert registry.resolve([term]) == [coin_id]


def test_a_shared_symbol_means_the_best_ranked_active_coin(registry: CoinRegistry) -> None:
    for _ in range(3):
        registry.strike("bitcoin", "missing", NOW)
    assert registry.resolve(["btc"]) == ["batcat"]


def test_terms_keep_their_order_and_each_coin_is_returned_once(registry: CoinRegistry) -> None:
    assert registry.resolve(["eth", "BTC", "bitcoin"]) == ["eth", "bitcoin"]
    assert registry.resolve(["BITCOIN-CASH"]) == ["bitcoin-cash"]


def test_all_unknown_terms_are_named_in_one_error_with_near_matches(registry: CoinRegistry) -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry.resolve(["etherium", "btc", "zork"])
    assert "'etherium' (near: ethereum" in str(caught.value)
    assert "'zork'" in str(caught.value)
    assert "'btc'" not in str(caught.value)


def test_all_coins_with_a_symbol_are_found_the_best_ranked_first(registry: CoinRegistry) -> None:
    assert [coin.id for coin in find_matches(registry, "USDT")] == ["tether", "bridged-tether"]
    assert find_matches(registry, "zork") == []


def test_a_sync_fills_an_empty_registry_with_the_ranking() -> None:
    registry = CoinRegistry()
    listed = [{"id": i, "symbol": i, "name": i} for i in ("aaa", "bitcoin", "ethereum", "zzz")]
    ranked = [
        {"id": "zzz", "market_cap_rank": 3, "market_cap": 5},
        {"id": "bitcoin", "market_cap_rank": 1, "market_cap": 9},
        {"id": "ethereum", "market_cap_rank": 2, "market_cap": 8},
        {"id": "bitcoin", "market_cap_rank": 2, "market_cap": 8},  # seen again on the next page
    ]
    registry.sync(listed, ranked, NOW)
    assert registry.top_ids(4) == ["bitcoin", "ethereum", "zzz", "aaa"]
    assert registry.synced_at == NOW


def test_repeated_and_missing_ranks_are_ordered_by_market_cap() -> None:
    registry = CoinRegistry()
    listed = [{"id": i, "symbol": i, "name": i} for i in "abcd"]
    ranked = [
        {"id": "a", "market_cap_rank": 2, "market_cap": 5},
        {"id": "b", "market_cap_rank": 2, "market_cap": 6},
        {"id": "c", "market_cap_rank": None, "market_cap": 99},
        {"id": "d", "market_cap_rank": 1, "market_cap": None},
    ]
    registry.sync(listed, ranked, NOW)
    assert registry.top_ids(4) == ["d", "b", "a", "c"]


def test_a_truncated_ranking_keeps_the_old_ranks(caplog: pytest.LogCaptureFixture) -> None:
    registry = make_registry(2_000)
    ranked = [{"id": f"c{n:05}", "market_cap_rank": n + 1, "market_cap": 9} for n in range(1_000)]
    registry.sync(make_listing(registry), ranked, NOW)
    registry.sync(make_listing(registry), ranked[::-1][:3], NOW)
    assert "ends after 3 coins" in caplog.text
    assert registry.top_ids(3) == ["c00000", "c00001", "c00002"]


def test_a_truncated_first_ranking_is_rejected() -> None:
    listed = [{"id": f"c{n}", "symbol": "s", "name": "n"} for n in range(19_000)]
    with pytest.raises(ValueError, match="ranks only 3 of 19000"):
        CoinRegistry().sync(listed, [{"id": f"c{n}", "market_cap_rank": n} for n in range(3)], NOW)


def test_numbers_too_long_for_a_float_are_ignored() -> None:
    registry = CoinRegistry()
    listed = [{"id": i, "symbol": i, "name": i} for i in "ab"]
    ranked = [
        {"id": "a", "market_cap_rank": 10**400, "market_cap": 10**400},
        {"id": "b", "market_cap_rank": 1, "market_cap": 5},
    ]
    registry.sync(listed, ranked, NOW)
    assert registry.top_ids(2) == ["b", "a"]
