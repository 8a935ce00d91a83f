"""The replay command: price files, its arguments, its table and its JSON."""

from __future__ import annotations

import csv
import json
import math
import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sentinel.alerting.options import MonitorOptions
from sentinel.alerting.stage import make_rules
from sentinel.backtesting import price_csv
from sentinel.errors import ConfigurationError
from services.ingestion import replay_scores
from services.ingestion.replay import replay
from tests.conftest import FreshDatabase
from tests.support.commands import Module
from tests.support.monitor import load

START = datetime(2026, 9, 1, tzinfo=UTC)


def _write(
    path: Path, *, days: int, begin: datetime = START, seed: int = 1, coins: int = 8
) -> Path:
    dice = random.Random(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", "coin_id", "price"])
        for coin in range(coins):
            price, wild = 10.0 ** (coin - 3), 0.0015 * (coin + 1)
            for n in range(days * 48):
                price *= math.exp(dice.gauss(0, wild))
                at = begin + timedelta(minutes=30 * n)
                writer.writerow([f"{at:%Y-%m-%dT%H:%M:%S}", f"coin-{coin}", repr(price)])
    return path


def test_the_json_has_the_documented_keys(tmp_path: Path, module: Module) -> None:
    path = _write(tmp_path / "prices.csv", days=20, coins=3)
    done = module("services.ingestion.replay", "--csv", str(path), "--k", "1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["k"] == 1.0
    [first, *_] = found["alerts"]
    assert {"coin_id", "kind", "at", "price", "reference", "move", "threshold"} <= set(first)
    assert first["kind"] in ("panic", "reversal")
    assert datetime.fromisoformat(first["at"]).tzinfo is not None
    assert first["move"] == pytest.approx(first["price"] / first["reference"] - 1)
    weeks = 3 * (20 * 48 - 1) / 48 / 7
    assert found["per_coin_week"] == pytest.approx(len(found["alerts"]) / weeks)
    falls, fixed = found["falls"], found["fixed_percentage"]
    for total in (falls, fixed):
        assert total["caught"] + total["missed"] == total["falls"] > 0
        coins = total["by_coin"].values()
        assert len(coins) == 3
        for key in ("falls", "caught", "missed", "stray"):
            assert total[key] == sum(coin[key] for coin in coins)
    assert falls["depth"] == 0.05
    assert falls["falls"] == fixed["falls"]
    assert falls["per_coin_week"] == pytest.approx(found["per_coin_week"])
    assert fixed["per_coin_week"] == pytest.approx(found["per_coin_week"], rel=0.2)
    percentages = [coin["percentage"] for coin in fixed["by_coin"].values()]
    assert percentages == sorted(percentages), "a wilder coin needs a larger percentage"


@pytest.mark.slow
def test_a_budget_is_kept_on_days_after_the_calibration(tmp_path: Path, module: Module) -> None:
    early = _write(tmp_path / "early.csv", days=30, seed=1)
    later = _write(tmp_path / "later.csv", days=30, seed=2, begin=START + timedelta(days=30))
    arguments = ("--csv", str(later), "--fit", str(early), "--budget", "2", "--json")
    found = json.loads(module("services.ingestion.replay", *arguments).stdout)
    assert 1 < found["per_coin_week"] <= 2.5
    assert found["fitted_per_coin_week"] == pytest.approx(2.0, rel=0.25)
    assert found["wished_per_coin_week"] == 2.0


def test_without_json_a_table_and_a_page_are_written(tmp_path: Path, module: Module) -> None:
    path = _write(tmp_path / "prices.csv", days=20, coins=3)
    page = tmp_path / "alerts.html"
    done = module("services.ingestion.replay", "--csv", str(path), "--plot", str(page))
    assert "alerts per coin and week over 3 coins (target 2)" in done.stdout
    assert "panic" in done.stdout
    assert "\nFalls of 5% or more below the maximum of 24 hours" in done.stdout
    assert re.search(r"\n  all +\d+\.\d+ +\d+ +\d+ +\d+ +\d+ +-?[\d.]+ (min|h) ", done.stdout)
    assert re.search(r"\n\d+ of \d+ falls caught, \d+ stray panics; a fixed", done.stdout)
    assert "plotly" in page.read_text()
    assert "falls caught" in page.read_text()
    assert '"yaxis3":{' in page.read_text()  # each coin has a plot


def test_the_fixed_percentage_is_solved_on_the_fit_and_judged_on_the_rest() -> None:
    rules = make_rules(MonitorOptions())

    def waves(depth: float) -> list[tuple[float, float]]:
        return [(n * 3600.0, 100.0 if n % 48 < 24 else 100.0 - depth) for n in range(24 * 20)]

    judged = {"calm": waves(20), "wild": waves(20)}
    own = replay(judged, rules, judged).comparison
    assert own.total.falls == own.total_reference.falls == 20
    assert own.references["calm"] == own.references["wild"]
    other = replay(judged, rules, {"calm": waves(10), "wild": waves(20)}).comparison
    assert other.references["calm"].percentage < 0.6 * other.references["wild"].percentage
    assert replay_scores.list_rows(own)[0][2:4] == ("10", str(own.scores["calm"].caught))
    start = {"coin": waves(20)[:1]}
    no_weeks = replay(start, rules, start).comparison
    assert replay_scores.list_rows(no_weeks)[-1][:4] == ("all", "", "0", "0")


def test_a_replay_continues_from_the_earlier_prices_of_the_fit() -> None:
    rules = make_rules(MonitorOptions(alerts_per_coin_week=None))
    prices = [(n * 3600.0, 100.0) for n in range(24 * 10)] + [(864_000.0, 80.0), (867_600.0, 80.0)]
    fall = {"coin": prices[-2:]}
    assert replay(fall, rules, fall).alerts == {"coin": []}, "no price to fall from"
    [alert] = replay(fall, rules, {"coin": prices[:-2]}).alerts["coin"]
    assert (alert.kind, alert.price_usd, alert.reference_usd) == ("panic", 80.0, 100.0)
    assert replay(fall, rules, {"coin": prices}).alerts["coin"] == [alert]


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (-3600.0, "-60 min"), (0.0, "0 min"), (9000.0, "2.5 h")]
)
def test_a_delay_is_shown_in_minutes_or_hours(seconds: float | None, text: str) -> None:
    assert replay_scores.format_delay(seconds) == text


def test_without_a_file_the_stored_prices_are_replayed(
    live_module: Module, fresh: FreshDatabase
) -> None:
    done = live_module("services.ingestion.replay", "--days", "3")
    assert done.returncode == 2
    assert "holds no prices of watched coins yet" in done.stderr
    now = datetime.now(UTC)
    prices = [100.0] * 10 + [80.0] * 5
    rows = [
        (now - timedelta(minutes=5 * (len(prices) - n)), coin, price if coin == "zeta" else 100.0)
        for n, price in enumerate(prices)
        for coin in ("alpha", "beta", "zeta")
    ]
    load(fresh.address(), rows, now)
    arguments = ("services.ingestion.replay", "--days", "3", "--k", "1", "--json")
    found = json.loads(live_module(*arguments).stdout)
    assert [(alert["coin_id"], alert["kind"]) for alert in found["alerts"]] == [("zeta", "panic")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--csv", "nowhere.csv"], "no such file"),
        (["--k", "0"], "--k: '0' must be a number above 0"),
        (["--k", "nan"], "--k: 'nan' must be a number"),
        (["--budget", "viele"], "--budget: 'viele' must be a number"),
        (["--k", "1", "--budget", "1"], "not allowed with"),
        (["--k", "1", "--fit", "x.csv"], "--fit goes with --budget"),
    ],
)
def test_wrong_usage_is_explained(module: Module, arguments: list[str], message: str) -> None:
    done = module("services.ingestion.replay", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "begins with ''"),
        ("time,coin,usd\n", "the first line must be"),
        ("timestamp,coin_id,price\n", "holds no prices"),
        ("timestamp,coin_id,price\nx,bitcoin,1\n", "line 2: 'x' is not a time"),
        ("timestamp,coin_id,price\n2026-11-20,bitcoin,-1\n", "line 2: '-1' is not a price"),
        ("timestamp,coin_id,price\n2026-11-20,bitcoin,nan\n", "not a price above 0"),
        ("timestamp,coin_id,price\n2026-11-20,bitcoin\n", "line 2: 2 fields instead of 3"),
        ("timestamp,coin_id,price\n2026-11-20,,1\n", "line 2: no coin_id"),
        ("timestamp,coin_id,price\n0001-01-01T00:00:00+14:00,b,1\n", "not a time"),
    ],
)
def test_an_error_in_a_price_file_names_the_line(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        price_csv.read(path)


def test_times_without_a_zone_are_utc_and_the_order_of_lines_does_not_matter(
    tmp_path: Path,
) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(
        "timestamp,coin_id,price\r\n"
        "2026-11-20T13:00:00+01:00,b,3\r\n2026-11-20T11:00:00Z,b,2\r\n2026-11-20 11:00:00,b,2.5\r\n"
    )
    at = datetime(2026, 11, 20, 11, tzinfo=UTC).timestamp()
    assert price_csv.read_points(path) == {"b": [(at, 2.5), (at + 3600, 3.0)]}
