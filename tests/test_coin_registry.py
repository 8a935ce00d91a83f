"""The health of coins, the sync with CoinGecko, the file, and merging two runs."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coin_registry import Coin, CoinRegistry, find_matches
from pipeline.targets import move_damaged_file
from sentinel.errors import ConfigurationError
from tests.conftest import NOW
from tests.support.coins import BITCOIN, COINS, make_listing, make_registry


@pytest.fixture
def registry() -> CoinRegistry:
    return CoinRegistry(COINS, NOW)


# --- strikes and probes ----------------------------------------------------------------------


def test_the_third_failure_in_a_row_deactivates_with_a_reason(registry: CoinRegistry) -> None:
    for number in (1, 2):
        changes = registry.record_results([], {"bitcoin": "null_price"}, ["bitcoin"], NOW)
        assert (changes.struck, changes.deactivated) == (("bitcoin",), ())
        assert registry.coins["bitcoin"].strikes == number
    changes = registry.record_results([], {"bitcoin": "missing"}, ["bitcoin"], NOW)
    assert changes.deactivated == ("bitcoin",)
    coin = registry.coins["bitcoin"]
    assert (coin.status, coin.reason, coin.since) == ("inactive", "missing", "2026-11-20T12:00:30Z")


def test_a_valid_price_clears_the_strikes(registry: CoinRegistry) -> None:
    registry.strike("bitcoin", "missing", NOW)
    registry.strike("bitcoin", "missing", NOW)
    assert registry.record_results(["bitcoin"], {}, ["bitcoin"], NOW).healed == ("bitcoin",)
    registry.strike("bitcoin", "missing", NOW)
    assert registry.coins["bitcoin"].status == "active"


def test_probes_are_due_after_1_2_4_8_16_30_30_days(registry: CoinRegistry) -> None:
    for _ in range(2):
        registry.strike("bitcoin", "missing", NOW)
    now, pauses = NOW, []
    for _ in range(7):
        registry.strike("bitcoin", "missing", now)
        assert registry.due_for_probe(now) == []
        days = 0
        while not registry.due_for_probe(now):
            now += timedelta(days=1)
            days += 1
        pauses.append(days)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert registry.coins["bitcoin"].since == "2026-11-20T12:00:30Z"


def test_one_valid_price_in_a_probe_restores_the_coin(registry: CoinRegistry) -> None:
    for _ in range(5):
        registry.strike("bitcoin", "missing", NOW)
    assert registry.clear_strikes("bitcoin")
    assert registry.coins["bitcoin"] == BITCOIN


def test_a_degraded_response_gives_no_strikes_but_still_clears_some(registry: CoinRegistry) -> None:
    registry = make_registry(50)
    registry.strike("c00049", "missing", NOW)
    bad = {f"c{n:05}": "missing" for n in range(11)}
    changes = registry.record_results(["c00049"], bad, list(registry.coins), NOW)
    assert changes.is_degraded
    assert (changes.struck, changes.healed) == ((), ("c00049",))
    assert not any(coin.strikes for coin in registry.coins.values())


@pytest.mark.parametrize(("requested", "failed"), [(50, 10), (55, 11), (10, 10), (500, 100)])
def test_failures_of_up_to_ten_coins_or_a_fifth_give_strikes(requested: int, failed: int) -> None:
    registry = make_registry(requested)
    bad = {f"c{n:05}": "missing" for n in range(failed)}
    changes = registry.record_results([], bad, list(registry.coins), NOW)
    assert not changes.is_degraded
    assert len(changes.struck) == failed


def test_failed_probes_do_not_make_a_response_degraded() -> None:
    registry = make_registry(60)
    bad = {f"c{n:05}": "missing" for n in range(15)}
    targets = [f"c{n:05}" for n in range(15, 60)]
    assert not registry.record_results([], bad, targets, NOW).is_degraded


# --- the sync with CoinGecko -----------------------------------------------------------------


def test_a_coin_missing_from_the_list_is_delisted_and_can_return(
    registry: CoinRegistry,
) -> None:
    listing = make_listing(registry)
    without = [entry for entry in listing if entry["id"] != "tether"]
    registry.sync(without, [], NOW)
    assert registry.coins["tether"].status == "delisted"
    assert "tether" not in registry.top_ids(99)
    assert registry.due_for_probe(NOW + timedelta(days=99)) == []
    registry.sync(listing, [], NOW + timedelta(days=1))
    assert "tether" in registry.top_ids(99)


def test_a_delisted_coin_is_removed_when_its_data_expires(registry: CoinRegistry) -> None:
    without = [entry for entry in make_listing(registry) if entry["id"] != "tether"]
    registry.sync(without, [], NOW)
    registry.sync(without, [], NOW + timedelta(days=59))
    assert registry.coins["tether"].since == "2026-11-20T12:00:30Z"
    registry.sync(without, [], NOW + timedelta(days=61))
    assert "tether" not in registry.coins


def test_a_truncated_list_delists_no_coin() -> None:
    registry = make_registry(100)
    with pytest.raises(ValueError, match="lists 79 coins, but 100 were known"):
        registry.sync(make_listing(registry)[:79], [], NOW)
    with pytest.raises(ValueError, match="lists 0 coins"):
        CoinRegistry().sync([], [], NOW)
    assert all(coin.status == "active" for coin in registry.coins.values())


def _sync(registry: CoinRegistry, count: int, now: datetime) -> CoinRegistry:
    """Sync with the first coins of a list; return what the next run reads from the file."""
    with contextlib.suppress(ValueError):
        registry.sync(make_listing(make_registry(100))[:count], [], now)
    return CoinRegistry.from_text(registry.to_text())


def _count_active(registry: CoinRegistry) -> int:
    return sum(coin.status == "active" for coin in registry.coins.values())


def test_a_list_that_stays_short_for_three_days_is_believed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = make_registry(100)
    for hours, count in ((0, 70), (6, 71), (66, 68)):
        registry = _sync(registry, count, NOW + timedelta(hours=hours))
        assert _count_active(registry) == 100
    registry = _sync(registry, 70, NOW + timedelta(hours=72))
    assert (_count_active(registry), registry.short_list) == (70, None)
    assert "70 coins instead of 100 since 2026-11-20T12:00:30Z: the list is believed" in caplog.text


@pytest.mark.parametrize("between", [100, 60, 0])
def test_a_list_of_another_length_in_between_begins_the_three_days_again(between: int) -> None:
    registry = _sync(make_registry(100), 70, NOW)
    registry = _sync(registry, between, NOW + timedelta(days=1))
    registry = _sync(registry, 70, NOW + timedelta(days=3))
    assert _count_active(registry) == 100


def test_an_empty_list_is_never_believed() -> None:
    registry = _sync(_sync(make_registry(100), 0, NOW), 0, NOW + timedelta(days=9))
    assert _count_active(registry) == 100


def test_after_a_short_list_the_next_try_waits_six_hours() -> None:
    registry = _sync(make_registry(100), 70, NOW + timedelta(days=2))
    assert not registry.needs_sync(NOW + timedelta(days=2, hours=5))
    assert registry.needs_sync(NOW + timedelta(days=2, hours=6))
    assert registry.needs_sync(NOW + timedelta(days=1))  # the clock was set back


def test_the_short_list_is_an_optional_key_of_the_file() -> None:
    registry = _sync(make_registry(5), 2, NOW)
    at = "2026-11-20T12:00:30Z"
    content = json.loads(registry.to_text())
    assert content["short_list"] == {"coins": 2, "first_seen": at, "last_seen": at}
    assert "short_list" not in json.loads(make_registry(5).to_text())


def test_a_merge_keeps_the_short_list_that_one_of_the_runs_saw() -> None:
    base, seen = make_registry(100), _sync(make_registry(100), 70, NOW)
    for ours, theirs in ((make_registry(100), seen), (seen, make_registry(100))):
        ours.merge(base, theirs)
        assert ours.short_list is not None


def test_a_symbolic_link_to_the_registry_is_kept(registry: CoinRegistry, tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "coin_registry.json"
    link.symlink_to(target)
    registry.save(link)
    assert link.is_symlink()
    assert len(CoinRegistry.load(target)) == len(registry)


def test_a_byte_order_mark_is_ignored(registry: CoinRegistry, tmp_path: Path) -> None:
    path = tmp_path / "coin_registry.json"
    path.write_text("\ufeff" + registry.to_text(), encoding="utf-8")
    assert CoinRegistry.load(path).coins == registry.coins


def test_a_sync_keeps_strikes_and_takes_new_names(registry: CoinRegistry) -> None:
    registry.strike("bitcoin", "missing", NOW)
    listing = make_listing(registry)
    listing[0] |= {"symbol": "xbt", "name": "Bitcoin Core"}
    registry.sync(listing, [], NOW)
    coin = registry.coins["bitcoin"]
    assert (coin.symbol, coin.name, coin.strikes, coin.rank) == ("xbt", "Bitcoin Core", 1, 1)


@pytest.mark.parametrize(
    "entry",
    [None, [], "x", {}, {"id": "x"}, {"id": 5, "symbol": "s", "name": "n"}]
    + [
        {"id": f"x{odd}", "symbol": "s", "name": "n"}
        for odd in ("\x00", "\ud800", "\n", " fixes #1", " @octocat", "y" * 100)
    ],
)
def test_an_entry_that_cannot_be_stored_is_skipped(entry: object) -> None:
    registry = CoinRegistry()
    registry.sync([entry, {"id": "good", "symbol": "g", "name": "Good"}], [entry], NOW)
    assert list(registry.coins) == ["good"]


def test_a_coin_is_found_by_the_symbol_as_coingecko_writes_it() -> None:
    registry = CoinRegistry()
    registry.sync([{"id": "doge-at", "symbol": "@DOGE", "name": "\u200b"}], [], NOW)
    assert registry.coins["doge-at"][1:3] == ("'@DOGE", "doge-at")
    for symbol in ("@doge", "'@DOGE"):
        assert registry.resolve([symbol]) == ["doge-at"]
        assert [coin.id for coin in find_matches(registry, symbol)] == ["doge-at"]


@pytest.mark.parametrize(
    ("hours", "due"), [(0, False), (23.9, False), (24, True), (-1, True), (9_999, True)]
)
def test_a_sync_is_due_a_day_after_the_time_in_the_file(hours: float, due: bool) -> None:
    assert CoinRegistry((), NOW).needs_sync(NOW + timedelta(hours=hours)) is due
    assert CoinRegistry().needs_sync(NOW)


# --- the file --------------------------------------------------------------------------------


def test_an_unchanged_registry_has_identical_bytes_and_is_not_written(
    registry: CoinRegistry, tmp_path: Path
) -> None:
    path = tmp_path / "coin_registry.json"
    assert registry.save(path)
    before = path.stat().st_mtime_ns, path.read_bytes()
    again = CoinRegistry.load(path)
    assert not again.save(path)
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before
    assert again.coins == registry.coins


def test_a_strike_is_a_one_line_diff(registry: CoinRegistry) -> None:
    before = registry.to_text().splitlines()
    registry.strike("ethereum", "missing", NOW)
    after = registry.to_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    [(_, line)] = changed
    assert json.loads(line.rstrip(",")) == {
        "id": "ethereum", "symbol": "eth", "name": "Ethereum", "rank": 2,
        "strikes": 1, "reason": "missing",
    }  # fmt: skip


def test_the_file_matches_the_contract(registry: CoinRegistry) -> None:
    content = json.loads(registry.to_text())
    assert content["synced_at"] == "2026-11-20T12:00:30Z"
    assert [coin["id"] for coin in content["coins"]] == sorted(coin.id for coin in COINS)
    assert CoinRegistry().to_text() == '{"synced_at": null, "coins": [\n]}\n'


_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)


@given(
    st.lists(
        st.tuples(_TEXTS, _TEXTS, _TEXTS, st.none() | st.integers(1, 1000), st.integers(0, 9)),
        unique_by=lambda coin: coin[0],
        max_size=20,
    )
)
def test_a_written_registry_is_read_again_unchanged(
    entries: list[tuple[str, str, str, int | None, int]],
) -> None:
    registry = CoinRegistry((Coin(i, s, n, rank) for i, s, n, rank, _ in entries), NOW)
    for coin_id, *_, strikes in entries:
        for _ in range(strikes):
            registry.strike(coin_id, "missing", NOW)
    again = CoinRegistry.from_text(registry.to_text())
    assert (again.coins, again.synced_at) == (registry.coins, NOW.replace(microsecond=0))
    assert again.to_text() == registry.to_text()


def test_the_old_format_is_read(tmp_path: Path) -> None:
    path = tmp_path / "coin_registry.json"
    path.write_text(
        json.dumps(
            [
                {"id": "a", "symbol": "a", "name": "A", "status": "active", "failure_count": 2},
                {"id": "b", "symbol": "b", "name": "B", "status": "inactive", "failure_count": 3},
            ]
        )
    )
    registry = CoinRegistry.load(path)
    assert registry.coins["a"] == Coin("a", "a", "A", strikes=2)
    assert registry.coins["b"].status == "inactive"
    assert registry.due_for_probe(NOW) == ["b"]
    assert registry.needs_sync(NOW)


@pytest.mark.parametrize("text", ["", " \n", '{"synced_at": null, "coins": []}', "[]"])
def test_an_empty_registry_is_empty_and_not_damaged(tmp_path: Path, text: str) -> None:
    path = tmp_path / "coin_registry.json"
    path.write_text(text)
    assert len(CoinRegistry.load(path)) == 0
    assert len(CoinRegistry.load(tmp_path / "nowhere.json")) == 0


@pytest.mark.parametrize(
    "text",
    [
        '{"synced_at": null, "coins": [\n{"id": "a", "symb',
        "{}",
        "5",
        '{"coins": [5]}',
        '{"coins": [{"id": 5, "symbol": "a", "name": "a"}]}',
        '{"coins": [{"id": "a"}]}',
        '{"coins": [{"id": "a", "symbol": "a", "name": "a", "strikes": "many"}]}',
        '{"coins": [{"id": "a", "symbol": "a", "name": "a", "surprise": 1}]}',
        '{"synced_at": 5, "coins": []}',
        '{"coins": [{"id": "", "symbol": "a", "name": "a"}]}',
        '{"coins": [{"id": "a", "symbol": "a", "name": "a", "rank": 1000000000000}]}',
        '{"coins": [{"id": "a", "symbol": "a", "name": "a", "status": "weird"}]}',
        '{"coins": [{"id": "a", "symbol": "a", "name": "a", "strikes": -5}]}',
        '{"coins": [{"id": "a", "symbol": "a", "name": "a", "next_probe": "soon"}]}',
        "[" * 100_000,
        '{"synced_at": "noon", "coins": []}',
        "[5]",
        "\x00\x01",
    ],
)
def test_a_damaged_file_is_detected_and_renamed(tmp_path: Path, text: str) -> None:
    path = tmp_path / "coin_registry.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r".+"):
        CoinRegistry.load(path)
    aside = move_damaged_file(path, NOW)
    assert aside is not None
    assert (path.exists(), aside.read_text()) == (False, text)
    assert move_damaged_file(path, NOW) is None  # another run was faster


def test_a_file_that_is_no_json_is_described() -> None:
    with pytest.raises(ValueError, match=r"^Invalid JSON: EOF while parsing"):
        CoinRegistry.from_text("{")


def test_a_failed_save_leaves_the_old_file_unchanged(
    registry: CoinRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "coin_registry.json"
    registry.save(path)
    before = path.read_bytes()
    registry.strike("bitcoin", "missing", NOW)

    def no_room(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_room)
    with pytest.raises(ConfigurationError, match="No space left"):
        registry.save(path)
    assert path.read_bytes() == before
    assert {entry.suffix for entry in tmp_path.iterdir()} == {".json", ".lock"}


# --- two runs at once ------------------------------------------------------------------------


def _merged(registry: CoinRegistry, ours: str, theirs: str) -> Coin:
    """Bitcoin after two runs at once with these results ('s' strike, 'g' valid price)."""
    base = CoinRegistry.from_text(registry.to_text())
    other = CoinRegistry.from_text(registry.to_text())
    for side, deeds in ((registry, ours), (other, theirs)):
        for deed in deeds:
            side.record_results(
                *(([], {"bitcoin": "missing"}) if deed == "s" else (["bitcoin"], {})), [], NOW
            )
    registry.merge(base, other)
    return registry.coins["bitcoin"]


@pytest.mark.parametrize(
    ("before", "ours", "theirs", "strikes", "status"),
    [
        (0, "s", "", 1, "active"),
        (0, "", "s", 1, "active"),
        (0, "s", "s", 2, "active"),
        (1, "s", "s", 3, "inactive"),
        (2, "s", "g", 0, "active"),
        (2, "g", "s", 0, "active"),
        (3, "g", "", 0, "active"),
        (2, "s", "s", 4, "inactive"),
    ],
)
def test_health_changes_of_both_runs_survive_a_merge(
    registry: CoinRegistry, before: int, ours: str, theirs: str, strikes: int, status: str
) -> None:
    for _ in range(before):
        registry.strike("bitcoin", "missing", NOW)
    coin = _merged(registry, ours, theirs)
    assert (coin.strikes, coin.status) == (strikes, status)


def test_a_save_merges_changes_that_another_run_wrote(
    registry: CoinRegistry, tmp_path: Path
) -> None:
    path = tmp_path / "coin_registry.json"
    registry.save(path)
    first, second = CoinRegistry.load(path), CoinRegistry.load(path)
    first.strike("bitcoin", "missing", NOW)
    second.strike("ethereum", "missing", NOW)
    first.save(path)
    second.save(path)
    struck = {coin.id for coin in CoinRegistry.load(path).coins.values() if coin.strikes}
    assert struck == {"bitcoin", "ethereum"}


def test_two_runs_that_end_at_once_keep_both_health_changes(tmp_path: Path) -> None:
    path = tmp_path / "coin_registry.json"
    make_registry(3_000).save(path)
    runs = [CoinRegistry.load(path) for _ in range(3)]
    for run, coin_id in zip(runs, ("c00001", "c00002", "c00001"), strict=True):
        run.strike(coin_id, "missing", NOW)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda run: run.save(path), runs))
    saved = CoinRegistry.load(path).coins
    assert (saved["c00001"].strikes, saved["c00002"].strikes) == (2, 1)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0, 0.1])
def test_two_processes_that_end_within_half_a_second_keep_both_strikes(
    tmp_path: Path, delay: float
) -> None:
    path = tmp_path / "coin_registry.json"
    make_registry(19_000).save(path)
    processes = multiprocessing.get_context("spawn")
    barrier = processes.Barrier(2)
    runs = [
        processes.Process(target=_strike_and_save, args=(path, barrier, seconds))
        for seconds in (0, delay)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0]
    assert CoinRegistry.load(path).coins["c00001"].strikes == 2


def _strike_and_save(path: Path, barrier: Barrier, delay: float) -> None:
    registry = CoinRegistry.load(path)
    registry.strike("c00001", "missing", NOW)
    barrier.wait()
    time.sleep(delay)
    registry.save(path)


def test_two_first_runs_that_found_no_file_keep_both_health_changes(tmp_path: Path) -> None:
    path = tmp_path / "coin_registry.json"
    runs = [CoinRegistry.load(path) for _ in range(2)]
    for run, coin_id in zip(runs, ("bitcoin", "ethereum"), strict=True):
        run.sync(make_listing(CoinRegistry(COINS)), [], NOW)
        run.strike(coin_id, "missing", NOW)
        run.save(path)
    struck = {coin.id for coin in CoinRegistry.load(path).coins.values() if coin.strikes}
    assert struck == {"bitcoin", "ethereum"}


def test_a_merge_takes_the_names_and_coins_of_the_newer_sync(registry: CoinRegistry) -> None:
    base = CoinRegistry.from_text(registry.to_text())
    theirs = CoinRegistry.from_text(registry.to_text())
    later: datetime = NOW + timedelta(hours=1)
    listing = [*make_listing(registry), {"id": "new", "symbol": "new", "name": "New"}]
    theirs.sync([entry for entry in listing if entry["id"] != "tether"], [], later)
    registry.strike("bitcoin", "missing", NOW)
    registry.strike("tether", "missing", NOW)
    registry.merge(base, theirs)
    assert registry.synced_at == later.replace(microsecond=0)
    assert registry.coins["new"].status == "active"
    assert registry.coins["tether"].status == "delisted"
    assert registry.coins["bitcoin"].strikes == 1
