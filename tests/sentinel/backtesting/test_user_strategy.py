from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from sentinel.backtesting import engine, strategies, walk_forward
from sentinel.backtesting.portfolio import Costs, Portfolio
from sentinel.backtesting.price_series import Floats, PriceSeries, from_prices
from sentinel.backtesting.strategy_source import StrategySource
from sentinel.errors import ConfigurationError

DAY = 86_400.0
CASH = Decimal(1000)
FREE = Costs(Decimal(0), Decimal(0))


def load(text: str, **parameters: float | str) -> strategies.Strategy:
    return strategies.load_source(StrategySource("mine.py", text), parameters)


def daily(*values: float) -> PriceSeries:
    return from_prices(np.arange(float(len(values))) * DAY, np.array(values, dtype=np.float64))


def signals(body: str, series: PriceSeries) -> Floats | None:
    return load(f"import numpy as np\ndef signals(history):\n    {body}\n").compute_signal(series)


# --- signals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "returned",
    [
        "np.array([1, np.nan, -1])",
        "[1, float('nan'), -1]",
        "(1, None, -1.0)",
        "np.array([1, 0, -1], dtype='int8')",
    ],
)
def test_signals_returns_one_number_for_each_price_and_nan_is_no_order(returned: str) -> None:
    found = signals(f"return {returned}", daily(1, 2, 3))
    assert found is not None
    assert found.tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("[1, 0]", "shape (2,) for 3 prices"),
        ("history.prices.reshape(3, 1)", "shape (3, 1) for 3 prices"),
        ("None", "returned None for 3 prices"),
        ("1", "returned 1 for 3 prices"),
        ("'buy'", "returned 'buy' for 3 prices"),
        ("['a', 'b', 'c']", "array of <U1"),
        ("history.prices * 1j", "array of complex128"),
        ("[{}, 0, 0]", "array of object"),
        ("history.prices > 1", "use np.where(condition, 1, -1)"),
        ("[0, -1.5, 0]", "returned -1.5 at 1970-01-02 00:00 UTC"),
        ("[0, np.inf, 0]", "returned inf at 1970-01-02"),
        ("1 / 0", "ZeroDivisionError: division by zero, line 3"),
        ("[[1], [1, 2], 3]", "ValueError"),
    ],
)
def test_invalid_signals_are_an_error_of_one_line(returned: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^The strategy mine\.py") as caught:
        signals(f"return {returned}", daily(1, 2, 3))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_signals_trades_as_decide_does_by_the_same_rule() -> None:
    series = daily(*(100 + 10 * np.sin(np.arange(60.0))).tolist())
    vectorised = load(
        "import numpy as np\n"
        "def signals(history, *, share=0.5):\n"
        "    rises = np.diff(history.prices, prepend=history.prices[0]) > 0\n"
        "    return np.where(rises, share, -1)\n"
    )
    stepwise = load(
        "def decide(history, portfolio, *, share=0.5):\n"
        "    prices = history.prices\n"
        "    return share if len(prices) > 1 and prices[-1] > prices[-2] else -1\n"
    )
    found, expected = (
        engine.run_backtest(series, own.build_signals(series, 5 * DAY), FREE, CASH)
        for own in (vectorised, stepwise)
    )
    assert found.trades == expected.trades
    assert len(found.trades) > 20
    assert stepwise.compute_signal(series) is None


def test_signals_are_computed_on_the_series_that_is_given() -> None:
    own = load("def signals(history):\n    return [0] * (len(history.prices) - 1) + [1]\n")
    series = daily(1, 2, 3, 4)
    assert own.build_signals(series.between(0, 2 * DAY)).buys == [1]
    assert own.build_signals(series).buys == [3]
    assert (
        own.build_signals(series.between(0, 2 * DAY), signal=own.compute_signal(series)).buys == []
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n", "has no function decide(history, portfolio) or signals(history)"),
        (
            "def decide(history, portfolio): pass\ndef signals(history): pass\n",
            "has decide and signals: keep one",
        ),
    ],
)
def test_a_file_has_exactly_one_of_the_functions(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    assert words in str(caught.value)


# --- what a strategy sees ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "def decide(history, portfolio):\n    return {check}\n",
        "def signals(history):\n    return [{check}] * 3\n",
    ],
)
def test_the_history_has_volumes_and_market_caps(text: str) -> None:
    series = PriceSeries(
        np.arange(3.0), np.ones(3), np.ones(3, dtype=bool), np.array([7.0, 8, 9]), np.full(3, 5.0)
    )
    check = "float(history.volumes[-1] == 9 and history.market_caps[-1] == 5)"
    own = load(text.format(check=check))
    assert own.build_signals(series).decide(2, Portfolio(CASH)) == 1


@pytest.mark.parametrize("function", ["decide(history, portfolio)", "signals(history)"])
def test_the_arrays_are_read_only(function: str) -> None:
    own = load(f"def {function}:\n    history.prices[0] = 1.0\n")
    with pytest.raises(ConfigurationError, match="read-only"):
        own.build_signals(daily(1, 2)).decide(0, Portfolio(CASH))


def test_a_strategy_cannot_change_the_portfolio_it_is_given() -> None:
    own = load("def decide(history, portfolio):\n    portfolio.cash *= 2\n")
    with pytest.raises(ConfigurationError, match="cannot assign to field 'cash', line 2"):
        own.build_signals(daily(1, 2)).decide(0, Portfolio(CASH))


def test_a_strategy_sees_its_entry_and_its_last_exit() -> None:
    """It buys, sells one day after the fill, and never buys again after an exit."""
    own = load(
        "def decide(history, portfolio):\n"
        "    if portfolio.last_exit:\n"
        "        assert portfolio.last_exit.filled_at == 3 * 86400\n"
        "        return 0\n"
        "    if not portfolio.quantity:\n"
        "        return 0.5\n"
        "    assert portfolio.entry_price == 2.0\n"
        "    return -1 if history.times[-1] - portfolio.entered_at >= 86400 else 0\n"
    )
    series = daily(1, 2, 3, 4, 5, 6)
    found = engine.run_backtest(series, own.build_signals(series), FREE, CASH)
    assert [(trade.side, trade.filled_at) for trade in found.trades] == [
        ("buy", DAY),
        ("sell", 3 * DAY),
    ]


def test_a_history_that_a_strategy_keeps_stays_as_it_was() -> None:
    own = load(
        "kept = []\n"
        "def decide(history, portfolio):\n"
        "    kept.append(history)\n"
        "    assert [len(one.prices) for one in kept] == list(range(1, len(kept) + 1))\n"
        "    return 0\n"
    )
    series = daily(1, 2, 3, 4)
    engine.run_backtest(series, own.build_signals(series), FREE, CASH)


def test_what_a_strategy_prints_does_not_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    series = daily(1, 2, 3)
    for function in ("decide(history, portfolio)", "signals(history)"):
        body = "    print('note')\n    return 0 * history.prices"
        own = load(
            f"print('load')\ndef {function}:\n{body}{'[-1]' if 'decide' in function else ''}"
        )
        engine.run_backtest(series, own.build_signals(series), FREE, CASH)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("note") == 3


# --- parameters --------------------------------------------------------------------------------

TEXT = """
def decide(history, portfolio, *, mode="fast", window=3, share=0.5):
    return share if mode == "007" and isinstance(window, int) else 0
"""


def test_a_parameter_has_the_type_of_its_default() -> None:
    own = load(TEXT, mode="007", window="4", share="0.25")
    assert own.parameters == {"mode": "007", "window": 4, "share": 0.25}
    assert own.describe() == "mine.py (mode=007, window=4, share=0.25)"
    assert own.build_signals(daily(1, 2)).decide(0, Portfolio(CASH)) == 0.25


@pytest.mark.parametrize("value", ["quick", "nan", "inf", "1,2", "\N{ARABIC-INDIC DIGIT THREE}"])
def test_a_text_in_place_of_a_number_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"share={value} must be a number"):
        load(TEXT, share=value)
    with pytest.raises(ConfigurationError, match=f"fast={value} must be a number"):
        strategies.load("sma-cross", {"fast": value})


def test_a_sweep_tries_texts_and_each_number_once(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TEXT)
    grid = {"mode": ["fast", "slow"], "window": ["6", "6.0", "12"]}
    found = walk_forward.build_candidates([str(tmp_path / "mine.py")], grid)
    assert [(one.parameters["mode"], one.parameters["window"]) for one in found] == [
        *(("fast", 6), ("fast", 12)),
        *(("slow", 6), ("slow", 12)),
    ]
    with pytest.raises(ConfigurationError, match="window=quick must be a number"):
        walk_forward.build_candidates([str(tmp_path / "mine.py")], {"window": ["6", "quick"]})
