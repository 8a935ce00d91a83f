"""The stand-in sends the recorded format, and the demo runs without a key or a server."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import pytest
import requests

from coin_registry import CoinRegistry
from demo import fortnight, seed
from demo.market import Market
from demo.server import StandIn
from safe_zone import ROOT, Settings
from sentinel.site.status import Status
from tests.conftest import NOW, FakeTime, FreshDatabase, make_market
from tests.support.browser import PHONE, WIDE, running_browser

# The 26 fields of a recorded /coins/markets row.
MARKET_FIELDS = """
id symbol name image current_price market_cap market_cap_rank fully_diluted_valuation total_volume
high_24h low_24h price_change_24h price_change_percentage_24h market_cap_change_24h
market_cap_change_percentage_24h circulating_supply total_supply max_supply ath
ath_change_percentage ath_date atl atl_change_percentage atl_date roi last_updated
"""
AT = NOW.timestamp()
# The pictures of the documents: name, page, size of the window, and color scheme.
PICTURES: tuple[tuple[str, str, tuple[int, int], Literal["light", "dark"]], ...] = (
    ("status", "index.html", WIDE, "light"),
    ("status", "index.html", PHONE, "light"),
    ("trust", "trust.html", WIDE, "light"),
    ("market", "market.html", WIDE, "light"),
    ("market-dark", "market.html", PHONE, "dark"),
    ("coin", "coins/bitcoin.html", WIDE, "light"),
)


def _get(stand_in: StandIn, path: str) -> requests.Response:
    return requests.get(stand_in.base_url + path, timeout=5)


def test_a_market_is_the_same_for_the_same_seed_and_changes_with_time() -> None:
    first, second = Market(), Market()
    assert first.list_coins() == second.list_coins()
    assert first.make_quote("bitcoin", ["usd"], AT) == second.make_quote("bitcoin", ["usd"], AT)
    assert first.make_quote("bitcoin", ["usd"], AT) != first.make_quote("bitcoin", ["usd"], AT + 60)
    assert Market(seed=8).list_coins() != first.list_coins()


def test_the_response_is_the_same_within_a_minute() -> None:
    market, minute = Market(), AT // 60 * 60
    assert market.make_quote("bitcoin", ["usd"], minute) == market.make_quote(
        "bitcoin", ["usd"], minute + 59
    )


def test_some_coins_share_a_symbol_and_some_are_ghosts() -> None:
    market = Market()
    symbols = [coin.symbol for coin in market.coins]
    assert min(symbols.count(symbol) for symbol in ("btc", "usdt", "usdc", "pepe")) >= 2
    assert market.make_quote("0xlsd", ["usd"], AT) is None
    assert market.make_quote("1000rats", ["usd"], AT) == {}
    assert {"_", "-11", "neo-token"} <= set(market.by_id)


def test_prices_have_the_recorded_format(stand_in: StandIn) -> None:
    path = "/simple/price?ids=bitcoin,unknown,%20ethereum&vs_currencies=usd,idr"
    content = _get(stand_in, path).json()
    assert list(content) == ["bitcoin"]  # unknown ids and ids after a blank are left out
    assert {"usd", "usd_market_cap", "usd_24h_vol", "idr", "last_updated_at"} <= set(
        content["bitcoin"]
    )


def test_a_markets_row_has_the_26_recorded_fields(stand_in: StandIn) -> None:
    rows = _get(stand_in, "/coins/markets?vs_currency=usd&per_page=50&page=2").json()
    assert len(rows) == 50
    assert list(rows[0]) == MARKET_FIELDS.split()
    assert [row["market_cap_rank"] for row in rows] == list(range(51, 101))


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/simple/price?vs_currencies=usd", 422, "Missing parameter ids"),
        ("/simple/price?ids=bitcoin", 422, "Missing parameter vs_currencies"),
        ("/coins/markets", 422, "Missing parameter vs_currency"),
    ],
)
def test_errors_have_the_recorded_text(
    stand_in: StandIn, path: str, status: int, error: str
) -> None:
    response = _get(stand_in, path)
    assert (response.status_code, response.json()) == (status, {"error": error})


def test_a_url_beyond_8_kb_is_a_414(stand_in: StandIn) -> None:
    assert _get(stand_in, "/simple/price?ids=" + "x" * 9_000).status_code == 414


@pytest.mark.slow
def test_the_demo_runs_and_changes_no_tracked_file() -> None:
    def changes() -> str:
        command = ["git", "status", "--porcelain"]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    before = changes()
    # The developer's own settings must not reach the demo.
    environment = os.environ | {
        "DATABASE_URL": "postgresql://user@127.0.0.1:9/x",
        "ALERT_URLS": "json://127.0.0.1:9/x",
    }
    done = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "500 of 500 coins" in done.stdout
    *_, healthy, _, last = done.stdout.splitlines()
    assert healthy == "healthy"
    page = Path(unquote(urlsplit(last.rpartition(" ")[2]).path))
    assert page.name == "index.html"
    status = Status.model_validate_json((page.parent / "status.json").read_bytes())
    # Each part of the pages shows something.
    assert {"waits", "no_prices"} <= {gap.reason for gap in status.gaps or ()}
    registry, trust = status.registry, status.trust
    assert all((status.schedule, registry.inactive_coins, registry.changes, status.rejections))
    assert all((status.incidents, status.alerts, trust.forecasts, trust.alerts, trust.backup))
    assert "26330000" in (page.parent / "trust.html").read_text()
    assert (page.parent / "coins" / "bitcoin.html").exists()
    assert "accepts no messages" not in done.stderr
    if folder := os.environ.get("SENTINEL_SCREENSHOTS"):
        _take_pictures(page.parent, Path(folder))
    else:
        assert changes() == before


def _take_pictures(site: Path, folder: Path) -> None:
    """Take the pictures of the public page for the documents."""
    with running_browser() as browser:
        page = browser.new_page()
        page.clock.set_fixed_time(datetime.now(UTC) + timedelta(minutes=4))  # as a visitor sees it
        for name, path, size, scheme in PICTURES:
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.emulate_media(color_scheme=scheme)
            page.goto((site / path).as_uri())
            page.screenshot(path=folder / f"site-{name}-{size[0]}.png")


def test_a_chart_has_the_recorded_format_with_jitter_and_one_pair_out_of_order(
    stand_in: StandIn,
) -> None:
    chart = _get(stand_in, "/coins/bitcoin/market_chart?vs_currency=usd&days=1").json()
    assert list(chart) == ["prices", "market_caps", "total_volumes"]
    times = [at for at, _ in chart["prices"]]
    assert 286 <= len(times) <= 290
    assert times != sorted(times)
    pauses = [later - earlier for earlier, later in pairwise(sorted(times))]
    assert 2 < min(pauses[:-2]) / 60_000 < 4.9 < max(pauses) / 60_000 < 9
    assert AT * 1000 - max(times) < 120_000


def test_older_charts_are_hourly_and_unknown_coins_are_404(stand_in: StandIn) -> None:
    week = _get(stand_in, "/coins/bitcoin/market_chart?vs_currency=usd&days=7").json()
    assert 165 <= len(week["prices"]) <= 170
    assert _get(stand_in, "/coins/unknown/market_chart?vs_currency=usd&days=1").status_code == 404
    assert _get(stand_in, "/coins/bitcoin/market_chart?days=1").status_code == 422
    ghost = _get(stand_in, "/coins/0xlsd/market_chart?vs_currency=usd&days=1").json()
    assert ghost["prices"] == []


@pytest.mark.slow
def test_an_interrupted_seed_starts_again_and_other_data_is_kept(
    fresh: FreshDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # Alerts and forecasts of all coins and days would take half a minute.
    monkeypatch.setattr(seed, "COINS", 40)
    monkeypatch.setattr(seed, "ALERT_PERIOD", timedelta(hours=12))
    monkeypatch.setattr(seed, "FINE_PERIOD", timedelta(hours=4))
    monkeypatch.setattr(seed, "FORECAST_PERIOD", timedelta(minutes=30))
    with monkeypatch.context() as patch:
        patch.setattr(seed, "_run_tick", interrupt)  # with six of seven days stored
        with pytest.raises(KeyboardInterrupt):
            seed.seed(fresh.address(), NOW, tmp_path)
    assert fresh.query("SELECT count(*) > 0 FROM sentinel.observations") == [(True,)]
    assert seed.seed(fresh.address(), NOW, tmp_path) is True
    assert fresh.query("SELECT count(*) FROM sentinel.transactions") == [(len(seed.PURCHASES),)]
    assert fresh.query("SELECT count(*) FROM sentinel.price_targets") == [
        (len(seed.PRICE_TARGETS),)
    ]
    for table in ("alerts", "forecasts", "wallet_events"):
        assert fresh.query(f"SELECT count(*) > 0 FROM sentinel.{table}") == [(True,)]
    assert seed.seed(fresh.address(), NOW, tmp_path) is False
    fresh.query("DELETE FROM sentinel.service_status")  # as in a database that was not seeded
    assert seed.seed(fresh.address(), NOW, tmp_path) is False


@pytest.mark.slow
def test_the_invented_fortnight_goes_on_where_the_demo_runs_again(
    settings: Settings,
    in_process: Any,
    time_: FakeTime,
    fresh: FreshDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fortnight, "COINS", 2)
    in_process(settings)
    fortnight.fill_past(fresh.address(), settings, NOW)
    before = CoinRegistry.load(settings.registry_path).coins["0xlsd"]
    assert (before.status, before.next_probe) == ("inactive", "2026-11-26T12:00:30Z")
    changes = fresh.query("SELECT unnest(deactivated) FROM sentinel.pipeline_runs ORDER BY 1")
    assert changes == [("0xlsd",), ("1000rats",), ("batcat",)]
    in_process(settings)
    fortnight.fill_past(fresh.address(), settings, NOW)  # too early for another run
    counted = "SELECT count(*) FROM sentinel.pipeline_runs"
    [(runs,)] = fresh.query(counted)
    assert runs > 500
    time_.at += timedelta(hours=2)
    in_process(settings)
    fortnight.fill_past(fresh.address(), settings, time_.at)
    assert runs + 2 <= fresh.query(counted)[0][0] <= runs + 12
    assert CoinRegistry.load(settings.registry_path).coins["0xlsd"] == before
    [(at, price)] = fresh.query(
        "SELECT timestamp, price FROM stored_rows WHERE coin_id = 'bitcoin' ORDER BY 1 LIMIT 1"
    )
    assert price == pytest.approx(make_market(620).by_id["bitcoin"].price_at(at.timestamp()))
