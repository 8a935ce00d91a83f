"""The command line of sandbox.py: results, pages, and clear errors for invalid input."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from safe_zone import ROOT
from sentinel import arguments
from sentinel.backtesting import builtin_strategies, csv_loader
from sentinel.errors import ConfigurationError
from sentinel.paper_trading import output
from tests.conftest import FreshDatabase
from tests.support.commands import Script
from tests.support.monitor import load
from tests.support.sweeps import PEEK_THROUGH_FRAMES

START = datetime(2026, 11, 1, tzinfo=UTC)
# Scripts rely on these keys of `backtest --json`; others may join them.
CONTRACT = {
    *("strategy", "initial_usd", "final_usd", "return", "buy_and_hold_return", "fees_usd"),
    *("trades", "refused_fills", "max_drawdown", "sharpe", "causality"),
}
LONG = [100 * math.exp(0.05 * math.sin(n / 7) + 0.0005 * n) for n in range(300)]


def write_csv(
    path: Path, prices: Mapping[str, Sequence[float]], every: timedelta = timedelta(minutes=15)
) -> str:
    lines = [
        f"{(START + n * every).isoformat()},{coin_id},{price!r}"
        for coin_id, own in prices.items()
        for n, price in enumerate(own)
    ]
    path.write_text("\n".join(["timestamp,coin_id,price", *lines, ""]))
    return path.name


@pytest.fixture
def csv(tmp_path: Path) -> str:
    """Return a price file of two coins; one price is the inverse of the other."""
    return write_csv(
        tmp_path / "prices.csv", {"bitcoin": LONG, "ether": [10_000 / price for price in LONG]}
    )


@pytest.fixture
def daily_csv(tmp_path: Path) -> str:
    """Return a price file of 300 days."""
    waves = [100 * math.exp(0.05 * math.sin(n / 3) + 0.0005 * n) for n in range(300)]
    return write_csv(tmp_path / "daily.csv", {"bitcoin": waves}, timedelta(days=1))


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Assert exit code 2, no stdout, and one error line on stderr with these words."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    [line] = [line for line in done.stderr.splitlines() if not line.startswith(("usage:", "  "))]
    assert "error: " in line
    for word in words:
        assert word in line


def parse_json(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the JSON object of stdout; assert that stderr is empty."""
    assert (done.returncode, done.stderr) == (0, "")
    parsed = json.loads(done.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert isinstance(parsed, dict)
    return parsed


# --- results ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_json_has_the_keys_of_the_contract_and_known_figures(
    script: Script, tmp_path: Path
) -> None:
    name = write_csv(tmp_path / "two.csv", {"a": [1, 1, 2], "b": [5, 5, 5]})
    done = parse_json(
        script("sandbox.py", "backtest", "--strategy", "hold", "--csv", name, "--json")
    )
    assert set(done) >= CONTRACT
    each = 5_000 * 0.999**2 * (1 - 0.0005) / (1 + 0.0005)  # two fees, slippage twice
    assert done["strategy"] == "hold"
    assert done["initial_usd"] == 10_000
    assert done["final_usd"] == pytest.approx(each * 2 + each)
    assert done["return"] == done["buy_and_hold_return"] == pytest.approx(each * 3 / 10_000 - 1)
    got = 5_000 * 0.999 * (1 - 0.0005) / (1 + 0.0005)
    assert done["fees_usd"] == pytest.approx(2 * 5 + got * 3 / 1000)
    # The sales at the end are no trades, and two purchases no evidence.
    assert (done["trades"], done["round_trips"], done["refused_fills"]) == (2, 0, 0)
    assert (done["sharpe"], done["better_than_random"]) == (None, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", builtin_strategies.BUILT_IN)
def test_every_built_in_strategy_runs(script: Script, csv: str, name: str) -> None:
    done = parse_json(script("sandbox.py", "backtest", "--strategy", name, "--csv", csv, "--json"))
    assert done["strategy"] == name
    assert done["final_usd"] > 0


@pytest.mark.slow
def test_the_strategies_command_lists_parameters(script: Script) -> None:
    done = script("sandbox.py", "strategies")
    assert (done.returncode, done.stderr) == (0, "")
    for name in builtin_strategies.BUILT_IN:
        assert name in done.stdout
    assert "fast=12 slow=48" in done.stdout


@pytest.mark.slow
def test_the_table_shows_the_figures_of_the_json(script: Script, daily_csv: str) -> None:
    arguments = ["backtest", "--strategy", "sma-cross", "--csv", daily_csv]
    arguments += ["--param", "fast=2", "--param", "slow=5"]
    shown = script("sandbox.py", *arguments)
    figures = parse_json(script("sandbox.py", *arguments, "--json"))
    assert shown.stderr == ""
    assert "sma-cross (fast=2, slow=5) on bitcoin, 2026-11-01 to 2027-08-27" in shown.stdout
    for words in (
        f"{figures['final_usd']:,.2f}",
        f"{figures['return']:+.2%}",
        f"{figures['buy_and_hold_return']:+.2%}",
        f"{figures['fees_usd']:,.2f}",
        f"{figures['max_drawdown']:.2%}",
        f"{figures['sharpe']:.2f}",
        f"{figures['buy_and_hold_sharpe']:.2f}",
        f"{figures['profit_factor']:,.2f}",
        f"Better than {figures['better_than_random']:.0%} of 1,000 random entries",
    ):
        assert words in shown.stdout


@pytest.mark.parametrize("command", ["strategies", "backtest --strategy hold --csv {csv}"])
def test_a_command_without_a_database_or_a_page_loads_neither_driver_nor_settings_nor_pages(
    tmp_path: Path, csv: str, command: str
) -> None:
    sandbox = [sys.executable, "-X", "importtime", str(ROOT / "sandbox.py")]
    arguments = [*sandbox, *command.format(csv=csv).split()]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "sentinel.backtesting.strategies" in loaded
    assert not {"psycopg", "sentinel.storage", "requests", "tenacity", "pydantic"} & loaded
    assert not {"sentinel.backtesting.html_page", "sentinel.backtesting.sweep_pages"} & loaded


@pytest.mark.slow
def test_rows_join_the_json_only_if_the_user_asks(script: Script, daily_csv: str) -> None:
    arguments = ["backtest", "--strategy", "hold", "--csv", daily_csv, "--json"]
    usual = parse_json(script("sandbox.py", *arguments))
    full = parse_json(script("sandbox.py", *arguments, "--trades", "-", "--curve", "-"))
    assert {"round_trip_list", "curve"}.isdisjoint(usual)
    [trip] = full.pop("round_trip_list")
    assert (trip["coin_id"], trip["exit_reason"]) == ("bitcoin", "open")
    assert full.pop("curve")[-1]["value_usd"] == pytest.approx(full["final_usd"])
    assert full == usual


@pytest.mark.slow
def test_cash_costs_coins_and_a_user_strategy_are_used_as_typed(
    script: Script, tmp_path: Path, csv: str
) -> None:
    (tmp_path / "mine.py").write_text(
        "def decide(history, portfolio, *, share=0.5):\n"
        "    return share if portfolio.quantity == 0 else 0\n"
    )
    done = parse_json(
        script(
            *("sandbox.py", "backtest", "--strategy", "mine.py", "--param", "share=0.25"),
            *("--csv", csv, "--coins", "ETHER", "--initial-usd", "1000", "--json"),
            *("--fee-bps", "0", "--slippage-bps", "0"),
        )
    )
    assert done["strategy"] == "mine.py"
    assert done["fees_usd"] == 0
    ratio = LONG[1] / LONG[-1]
    assert done["final_usd"] == pytest.approx(750 + 250 * ratio)
    assert done["buy_and_hold_return"] == pytest.approx(ratio - 1)


# --- the check for look-ahead ----------------------------------------------------------------


@pytest.mark.slow
def test_a_backtest_prints_the_result_of_its_check(script: Script, csv: str) -> None:
    arguments = ("--strategy", "sma-cross", "--csv", csv)
    shown = script("sandbox.py", "backtest", *arguments)
    assert (
        "20 cuts: no look-ahead; needs 48 prices of warm-up, had 1 at its start: its decisions at "
        "the first 47 prices are not comparable.\nWith all orders one price later, the return is "
    ) in shown.stdout
    check = parse_json(script("sandbox.py", "backtest", *arguments, "--json"))["causality"]
    assert (check["outcome"], check["cuts"], check["warm_up_needed"]) == ("causal", 20, 48)


@pytest.mark.slow
def test_a_strategy_that_looks_ahead_is_said_everywhere(
    script: Script, tmp_path: Path, csv: str
) -> None:
    (tmp_path / "peek.py").write_text(PEEK_THROUGH_FRAMES)
    found = "LOOK-AHEAD: on bitcoin at 2026-11-0"
    done = script("sandbox.py", "backtest", "--strategy", "peek.py", "--csv", csv)
    assert (done.returncode, done.stderr) == (6, "")
    assert found in done.stdout
    assert "buy and hold" in done.stdout
    done = script("sandbox.py", "check", "peek.py", "--csv", csv)
    assert (done.returncode, done.stderr) == (6, "")
    assert found in done.stdout
    assert_refused(script("sandbox.py", "sweep", "--strategy", "peek.py", "--csv", csv), found)


@pytest.mark.slow
def test_a_check_of_an_honest_strategy_ends_in_0(script: Script, csv: str) -> None:
    done = script("sandbox.py", "check", "sma-cross", "--param", "slow=24", "--csv", csv)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "sma-cross (fast=12, slow=24) on bitcoin, ether, 2026-11-01 to 2026-11-04, 600 prices\n"
        "  20 cuts: no look-ahead; needs 24 prices of warm-up"
    )


@pytest.mark.slow
def test_a_sweep_checks_the_first_candidate_and_the_winners(script: Script, csv: str) -> None:
    arguments = ("--strategy", "sma-cross,hold", "--param", "slow=24,48", "--csv", csv)
    done = parse_json(script("sandbox.py", "sweep", *arguments, "--json"))
    checked = [(one["strategy"], one["parameters"]) for one in done["causality"]]
    assert checked[:2] == [("sma-cross", {"fast": 12, "slow": 24}), ("hold", {})]
    winners = [(fold["strategy"], fold["parameters"]) for fold in done["folds"]]
    assert all(winner in checked for winner in winners)
    assert all(one["outcome"] == "causal" for one in done["causality"])


# --- pages -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_has_the_figures_and_loads_nothing_from_the_network(
    script: Script, tmp_path: Path, daily_csv: str
) -> None:
    arguments = ["backtest", "--strategy", "sma-cross", "--csv", daily_csv, "--html", "page.html"]
    arguments += ["--param", "fast=2", "--param", "slow=5"]
    figures = parse_json(script("sandbox.py", *arguments, "--json"))
    page = (tmp_path / "page.html").read_text()
    table = page.partition("<script")[0]
    for words in (
        f"{figures['final_usd']:,.2f}",
        f"{figures['return']:+.2%}",
        f"{figures['buy_and_hold_return']:+.2%}",
        f"{figures['fees_usd']:,.2f}",
        f"{figures['sharpe']:.2f}",
        "drawdown",
    ):
        assert words in table
    assert re.findall(r"<(?:script|img|iframe|link|source)\b[^>]*\b(?:src|href)\s*=", page) == []
    assert "@import" not in table
    assert '<meta name="viewport"' in page
    assert len(page) < 300_000


@pytest.mark.slow
def test_markup_in_a_coin_id_stays_text_on_the_page(script: Script, tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    name = write_csv(tmp_path / "evil.csv", {evil: LONG[:50]})
    done = script(
        "sandbox.py", "backtest", "--strategy", "hold", "--csv", name, "--html", "page.html"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert evil not in (tmp_path / "page.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("coin_id", ["bitcoin", "$a_b$ and \\$c", "柴犬"])
def test_the_image_is_a_png_with_curves(script: Script, tmp_path: Path, coin_id: str) -> None:
    from PIL import Image

    name = write_csv(tmp_path / "one.csv", {coin_id: LONG[:100]})
    done = script(
        *("sandbox.py", "backtest", "--strategy", "sma-cross", "--csv", name),
        *("--param", "fast=2", "--param", "slow=5", "--png", "page.png"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "page.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with Image.open(tmp_path / "page.png") as picture:
        colours = picture.convert("RGB").getcolors(1 << 20)
    assert colours is not None
    counts = {colour: count for count, colour in colours}
    assert counts[0x1F, 0x6F, 0xC4] > 100  # the strategy's curve
    assert counts[0x4D, 0x5A, 0x68] > 100  # holding's
    assert counts[0xFF, 0xFF, 0xFF] > 10_000


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--strategy", "moon"], "There is no strategy 'moon'"),
        (["--strategy", "nowhere.py"], "nowhere.py: no such file"),
        (["--coins", "doge"], "holds no prices of doge"),
        (["--coins", ","], "--coins: ',' holds no name"),
        (["--csv", "nowhere.csv"], "nowhere.csv: no such file"),
        (["--csv", "."], "cannot be read"),
        *((["--initial-usd", n], "--initial-usd") for n in ("-5", "0", "nan", "1e16", "inf", "x")),
        (["--initial-usd=sNaN"], "--initial-usd"),
        (["--initial-usd="], "--initial-usd"),
        *((["--fee-bps", n], "--fee-bps") for n in ("-1", "5001", "NaN", "1%")),
        (["--slippage-bps", "-0.1"], "--slippage-bps"),
        *(
            (["--param", n], "--param")
            for n in ("nonsense", "fast=", "fast=x", "fast=nan", "fast=inf", "fast=1,2", "=")
        ),
        (["--param", "fast=6", "--param", "fast=7"], "given twice"),
        (["--param", "colour=3"], "no parameter 'colour'"),
        (["--param", "fast=2.5"], "must be a whole number"),
        (["--param", "fast=-1"], "above 0"),
        (["--param", "fast=48"], "fast 48 must be smaller than slow 48"),
        (["--param", "fast=5", "--param", "slow=4"], "must be smaller"),
        (["--days", "3"], "not allowed with"),
        (["--html", "no/such/folder/page.html"], "--html"),
        (["--html", "."], "--html"),
        (["--png", "no/such/folder/page.png"], "--png"),
        (["--trades", "trades.xlsx"], "does not end in .csv or .parquet"),
        (["--curve", "no/such/folder/curve.csv"], "--curve"),
        (["--curve", "-"], "add --json"),
        (["--surprise"], "unrecognized arguments"),
    ],
    ids=str,
)
def test_an_error_names_the_invalid_option(
    script: Script, csv: str, arguments: list[str], words: str
) -> None:
    usual = ["--strategy", "sma-cross"] if "--strategy" not in arguments else []
    usual += ["--csv", csv] if "--csv" not in arguments else []
    if "--days" in arguments:
        usual = ["--strategy", "sma-cross", "--csv", csv]
    assert_refused(script("sandbox.py", "backtest", *usual, *arguments), words)


@pytest.mark.parametrize(
    ("command", "option", "package"),
    [
        ("backtest", ("--json", "--png", "page.png"), "matplotlib"),
        ("sweep", ("--scheduler", "tcp://127.0.0.1:9"), "distributed"),
    ],
)
def test_an_option_names_the_package_that_the_image_of_the_containers_lacks(
    script: Script, csv: str, command: str, option: tuple[str, str], package: str
) -> None:
    lacking = dict.fromkeys((package, f"{package}.figure", f"{package}.scheduler"))
    with mock.patch.dict(sys.modules, lacking):
        done = script("sandbox.py", command, "--strategy", "sma-cross", "--csv", csv, *option)
    assert done.returncode == 2
    assert f"{option[-2]} needs {package}" in done.stderr


@pytest.mark.parametrize(
    ("files", "other"),
    [
        (("--trades", "prices.csv"), "--csv"),
        (("--html", "./own.py"), "--strategy"),
        (("--trades", "rows.csv", "--curve", "./rows.csv"), "--trades"),
    ],
)
def test_an_output_never_overwrites_an_input_or_another_output(
    script: Script, csv: str, files: tuple[str, ...], other: str
) -> None:
    (script.folder / "own.py").write_text("def decide(history, portfolio): return 1\n")
    done = script("sandbox.py", "backtest", "--strategy", "own.py", "--csv", csv, *files)
    assert_refused(done, f"would overwrite {other}")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is full")
def test_a_full_disk_does_not_hide_the_result(script: Script, csv: str) -> None:
    run = ("sandbox.py", "backtest", "--strategy", "hold", "--csv", csv, "--json")
    done = script(*run, "--html", "/dev/full")
    assert done.returncode == 2
    assert "--html /dev/full cannot be written (No space left on device)" in done.stderr
    assert json.loads(done.stdout)["strategy"] == "hold"


def test_a_file_stays_as_it_was_if_its_successor_cannot_be_written(tmp_path: Path) -> None:
    def write_half(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    page = tmp_path / "page.html"
    page.write_text("an earlier result")
    with pytest.raises(ConfigurationError, match="No space left"):
        output.write_file("--html", page, write_half)
    assert page.read_text() == "an earlier result"
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize("second", ["", "2026-11-01,a,2\n"], ids=["one line", "one time"])
def test_a_single_price_is_too_few(tmp_path: Path, second: str) -> None:
    path = tmp_path / "one.csv"
    path.write_text(f"timestamp,coin_id,price\n2026-11-01,a,1\n{second}")
    with pytest.raises(ConfigurationError, match="holds too few prices of a: "):
        csv_loader.load_from_csv(path, [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "def decide(history, portfolio):\n    return 1 / 0\n",
            "ZeroDivisionError: division by zero, line 2",
        ),
        ("def decide(history, portfolio)\n", "SyntaxError"),
        ("def decide(history, portfolio):\n    return 'buy'\n", "returned 'buy'"),
        ("def decide(history, portfolio):\n    return float('nan')\n", "returned nan"),
        ("def decide(history, portfolio):\n    return 2\n", "returned 2"),
        ("def decide(history, portfolio):\n    return True\n", "returned True"),
        (
            "def decide(history, portfolio):\n    return Two()\n"
            "class Two:\n    def __repr__(self): return 'a\\nb'\n",
            "returned",
        ),
        (
            "import numpy\ndef decide(history, portfolio):\n    return numpy.complex128(0.5)\n",
            "returned",
        ),
        ("decide = 5\n", "no function decide"),
        ("decide = max\n", "mine.py"),
        ("def other(): pass\n", "no function decide"),
        ("import nowhere_at_all\n", "ModuleNotFoundError"),
        ("import sys\nsys.exit(0)\n", "mine.py"),
        ("import sys\ndef decide(history, portfolio): sys.exit('no')\n", "mine.py"),
        ("def decide(history): return 1\n", "TypeError"),
        ("def decide(history, portfolio, *, low): return 1\n", "TypeError"),
        ("\0", "mine.py"),
    ],
    ids=str,
)
def test_an_error_names_the_problem_of_a_user_strategy(
    script: Script, tmp_path: Path, csv: str, source: str, words: str
) -> None:
    (tmp_path / "mine.py").write_text(source)
    done = script("sandbox.py", "backtest", "--strategy", "mine.py", "--csv", csv, "--json")
    assert_refused(done, "mine.py", words)


@pytest.mark.slow
def test_output_of_a_strategy_does_not_mix_with_the_json(
    script: Script, tmp_path: Path, csv: str
) -> None:
    (tmp_path / "mine.py").write_text("def decide(history, portfolio):\n    print('hello')\n")
    done = script("sandbox.py", "backtest", "--strategy", "mine.py", "--csv", csv, "--json")
    assert json.loads(done.stdout)["final_usd"] == 10_000


@pytest.mark.slow
@pytest.mark.parametrize("prices", [[1e-30, 1e-30, 1e300], [1e300, 1e300, 1e-30], [1e-30] * 3])
def test_extreme_prices_give_figures_or_a_clear_error(
    script: Script, tmp_path: Path, prices: list[float]
) -> None:
    name = write_csv(tmp_path / "wild.csv", {"a": prices})
    done = script(
        *("sandbox.py", "backtest", "--strategy", "hold", "--csv", name, "--json"),
        *("--initial-usd", "1e15"),
    )
    if done.returncode == 0:
        parse_json(done)
    else:
        assert_refused(done)


@pytest.mark.parametrize("typed", ["5", "0.05", "", "%", "0%", "-5%", "100%", "nan%", "5 %%"])
def test_a_percentage_is_written_with_its_sign(typed: str) -> None:
    assert arguments.percentage(99)("2.5%") == 0.025
    with pytest.raises(ArgumentTypeError, match="must be a percentage such as 5%"):
        arguments.percentage(99)(typed)


def test_a_whole_number_with_leading_zeros_is_limited_too() -> None:
    parse = arguments.whole_number(20)
    with pytest.raises(ArgumentTypeError, match="1 to 20"):
        parse("0000000012345")
    assert parse("20") == 20
    for word in ("0", "21", "-1", "1.5", "", "²", "1e3"):
        with pytest.raises(ArgumentTypeError):
            parse(word)


# --- out of the database ---------------------------------------------------------------------


@pytest.fixture
def stored(fresh: FreshDatabase) -> datetime:
    """Store three days of two coins, 15 minutes apart, until now."""
    now = datetime.now(UTC).replace(microsecond=0)
    points = [
        (now - timedelta(minutes=15 * n), coin_id, price)
        for n, price in enumerate(LONG[:288])
        for coin_id in ("bitcoin", "ethereum")
    ]
    load(fresh.address(), points, now)
    return now


def _backtest(script: Script, *arguments: str) -> subprocess.CompletedProcess[str]:
    return script("sandbox.py", "backtest", "--strategy", "hold", *arguments)


@pytest.mark.slow
def test_coins_of_the_database_are_found_by_id_symbol_or_name(
    live_script: Script,
    stored: datetime,  # noqa: ARG001
) -> None:
    by_id, by_symbol, by_name, both = (
        parse_json(_backtest(live_script, "--json", *terms))["final_usd"]
        for terms in (("--coins", "bitcoin"), ("--coins", "BITC"), ("--coins", "Bitcoin"), ())
    )
    assert by_id == by_symbol == by_name == pytest.approx(both)
    ratio = LONG[0] / LONG[286] * 0.999**2 * 0.9995 / 1.0005
    assert by_id == pytest.approx(10_000 * ratio)


@pytest.mark.slow
def test_days_limit_the_prices(live_script: Script, stored: datetime) -> None:
    shown = _backtest(live_script, "--coins", "bitcoin,ethereum", "--days", "1").stdout
    # The points of less than a day ago begin with the 95th before the newest.
    first = stored - 95 * timedelta(minutes=15)
    assert f"on bitcoin, ethereum, {first:%Y-%m-%d}" in shown
    ratio = LONG[0] / LONG[94] * 0.999**2 * 0.9995 / 1.0005
    assert f"{10_000 * ratio:,.2f}" in shown


@pytest.mark.slow
def test_from_and_to_limit_the_prices(live_script: Script, stored: datetime) -> None:
    start, stop = stored - timedelta(hours=30), stored - timedelta(hours=6)
    named = _backtest(live_script, "--json", "--from", start.isoformat(), "--to", stop.isoformat())
    days = _backtest(live_script, "--json", "--days", "1", "--to", stop.isoformat())
    # The newest point before `stop` is the 25th before the newest of all.
    ratio = LONG[25] / LONG[119] * 0.999**2 * 0.9995 / 1.0005
    assert parse_json(named)["final_usd"] == pytest.approx(10_000 * ratio)
    assert parse_json(named) == parse_json(days)


def test_a_backtest_trades_the_span_of_a_file_and_sees_the_prices_before_it(tmp_path: Path) -> None:
    times = [START + timedelta(hours=n) for n in range(96)]
    lines = [f"{at.isoformat()},a,{n + 1}" for n, at in enumerate(times)]
    path = tmp_path / "prices.csv"
    path.write_text("\n".join(["timestamp,coin_id,price", *lines]))
    found = csv_loader.load_from_csv(
        path, [], arguments.moment("2026-11-02"), arguments.end_moment("2026-11-03")
    )
    assert found.start == times[24].timestamp()
    assert found.series["a"].prices.tolist() == list(range(1, 73))


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (["--from", "2026-11-02", "--to", "2026-11-01"], "--from 2026-11-02 00:00 must be before"),
        (["--from", "2027-01-01"], "too few prices of bitcoin, ether from 2027-01-01"),
        (["--to", "2026-10-30"], "too few prices of bitcoin, ether until 2026-10-31"),
        (["--from", "soon"], "--from: 'soon' is not a time"),
        (["--from", "2026-11-01", "--days", "3"], "not allowed with"),
    ],
    ids=str,
)
def test_an_impossible_span_of_a_file_is_an_error(
    script: Script, csv: str, span: list[str], words: str
) -> None:
    assert_refused(
        script("sandbox.py", "backtest", "--strategy", "hold", "--csv", csv, *span), words
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "2026-11-01", "--days", "3"], "--days is not allowed with --from"),
        (["--from", "2015-01-01"], "--from 2015-01-01 is too early"),
        (["--from", "2030-01-01"], "--from 2030-01-01 00:00 must be before"),
        (["--coins", "nocoin"], "no prices of nocoin in the last 30 days"),
        (["--coins", "bitcoin,nocoin,bitc"], "no prices of nocoin"),
        (["--days", "1e-9"], "no prices of bitcoin, ethereum in the last 1e-09 days"),
        (["--days", "0.01"], "too few prices of bitcoin, ethereum in the last 0.01 days"),
        (["--days", "0"], "--days"),
        (["--days", "-1"], "--days"),
        (["--days", "3651"], "--days"),
        (["--days", "nan"], "--days"),
    ],
    ids=str,
)
def test_an_error_names_missing_prices(
    live_script: Script,
    stored: datetime,  # noqa: ARG001
    arguments: list[str],
    words: str,
) -> None:
    assert_refused(_backtest(live_script, *arguments), words)


@pytest.mark.slow
def test_an_empty_database_is_an_error_that_names_ingest(live_script: Script) -> None:
    assert_refused(_backtest(live_script), "holds no prices in the last 30 days", "ingest.py")


@pytest.mark.slow
def test_a_short_backtest_trades_like_the_last_days_of_a_long_series(
    live_script: Script, fresh: FreshDatabase, tmp_path: Path
) -> None:
    """Its averages need more prices than its three days have: they come from the days before."""
    now = datetime.now(UTC).replace(microsecond=0)
    prices = [100 * math.exp(0.1 * math.sin(n / 40)) for n in range(58 * 24)]
    points = [(now - timedelta(hours=n), "bitcoin", price) for n, price in enumerate(prices)]
    load(fresh.address(), points, now)
    lines = [f"{at.isoformat()},bitcoin,{price!r}" for at, _, price in points]
    (tmp_path / "prices.csv").write_text("\n".join(["timestamp,coin_id,price", *lines]))
    strategy = ("backtest", "--strategy", "sma-cross", "--param", "fast=40", "--param", "slow=200")
    start = (now - timedelta(days=3) + timedelta(minutes=30)).isoformat()
    stored, whole = (
        parse_json(live_script("sandbox.py", *strategy, "--coins", "bitcoin", "--json", *source))
        for source in (("--days", "3"), ("--csv", "prices.csv", "--from", start))
    )
    assert stored["trades"] > 0
    assert stored["trades"] == whole["trades"]
    assert stored["final_usd"] == pytest.approx(whole["final_usd"], rel=1e-9)
