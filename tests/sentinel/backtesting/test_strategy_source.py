from __future__ import annotations

import hashlib
import pickle
from decimal import Decimal
from pathlib import Path

import pytest

from sentinel.backtesting import strategies
from sentinel.backtesting.portfolio import Portfolio
from sentinel.backtesting.price_series import from_points
from sentinel.backtesting.strategy_source import StrategySource, decode_content, read_source
from sentinel.errors import ConfigurationError

DECIDE = "def decide(history, portfolio):\n    return {}\n"


def write(folder: Path, **files: str) -> Path:
    """Write modules into a folder; `__` in a name is a folder. Return the path of `mine`."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "mine.py"


def decide(source: StrategySource) -> float:
    series = from_points([(0.0, 1.0), (900.0, 1.0)])
    signals = strategies.load_source(source).build_signals(series)
    return signals.decide(0, Portfolio(Decimal(1)))


@pytest.mark.parametrize(
    ("imports", "expression"),
    [
        ("import rsi", "rsi.value()"),
        ("from rsi import value as v", "v()"),
        ("from . import rsi", "rsi.value()"),
        ("import lib.deep", "lib.deep.X + lib.deep.sibling.Y"),
        ("from lib import deep", "deep.X + deep.sibling.Y"),
        ("from lib.deep import *", "X + sibling.Y"),
        ("", "__import__('rsi').value()"),
        ("import statistics", "statistics.mean([0.25, 0.25]) + statistics.OWN"),
    ],
)
def test_modules_beside_a_strategy_are_found_whatever_the_import(
    tmp_path: Path, imports: str, expression: str
) -> None:
    main = write(
        tmp_path,
        mine=f"{imports}\n{DECIDE.format(expression)}def late():\n    import rsi\n",
        rsi="from dataclasses import dataclass\n@dataclass\nclass Box:\n    x: float = 0.5\n"
        "def value():\n    return Box().x\n",
        lib__deep="from . import sibling\nfrom ..rsi import value\nX = value() - 0.25\n",
        lib__sibling="Y = 0.25\n",
        statistics="OWN = 0.25\ndef mean(values):\n    return values[0]\n",
    )
    source = read_source(main)
    for path in tmp_path.rglob("*.py"):
        path.unlink()  # workers do not have the files
    assert decide(pickle.loads(pickle.dumps(source))) == 0.5  # noqa: S301


def test_only_imported_modules_of_the_folder_belong_to_a_strategy(tmp_path: Path) -> None:
    main = write(
        tmp_path / "here",
        mine=f"import numpy, sentinel, rsi\nfrom .. import outside\n{DECIDE.format(0)}",
        rsi="import mine\n",
        other="",
        sentinel="",
    )
    write(tmp_path, outside="")
    assert list(read_source(main).modules) == ["rsi.py"]
    (tmp_path / "here/rsi.py").unlink()
    (tmp_path / "here/rsi.py").symlink_to(tmp_path / "outside.py")
    with pytest.raises(ConfigurationError, match="lies outside its folder: copy it there"):
        read_source(main)


def test_the_hash_is_that_of_the_file_alone_or_of_all_texts_and_names() -> None:
    text = DECIDE.format(0)
    alone = StrategySource("mine.py", text)
    assert alone.sha256 == hashlib.sha256(text.encode()).hexdigest()
    modules = {"a.py": "A = 1\n", "b.py": "B = 1\n"}
    hashes = [
        StrategySource("mine.py", text, changed).sha256
        for changed in (
            modules,
            {"a.py": "A = 2\n", "b.py": "B = 1\n"},
            {"c.py": "A = 1\n", "b.py": "B = 1\n"},
        )
    ]
    assert len({alone.sha256, *hashes}) == 4
    assert StrategySource("mine.py", text, dict(reversed(modules.items()))).sha256 == hashes[0]


@pytest.mark.parametrize("modules", [{}, {"rsi.py": "X = 'ä'\n"}])
def test_a_source_is_the_same_after_it_was_kept(modules: dict[str, str]) -> None:
    source = StrategySource("mine.py", DECIDE.format(1), modules)
    kept = decode_content("mine.py", source.content, has_modules=bool(modules))
    assert kept == source


def test_equally_named_modules_of_two_strategies_do_not_meet() -> None:
    one, two = (
        StrategySource("mine.py", f"import rsi\n{DECIDE.format('rsi.X')}", {"rsi.py": f"X = {x}"})
        for x in (0.25, 0.5)
    )
    assert [decide(source) for source in (one, two, one)] == [0.25, 0.5, 0.25]


def test_the_globals_of_a_module_are_new_in_each_run() -> None:
    text = "import rsi\n" + DECIDE.format("len(rsi.seen) / 10").replace(
        "    return", "    rsi.seen.append(1)\n    return"
    )
    source = StrategySource("mine.py", text, {"rsi.py": "seen = []\n"})
    assert [decide(source), decide(source)] == [0.1, 0.1]


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("def value(:\n", "does not load: SyntaxError: invalid syntax, line 1 of rsi.py"),
        ("import nowhere\n", "No module named 'nowhere', line 1 of rsi.py"),
        ("\n\ndef value():\n    1 / 0\n", "division by zero, line 4 of rsi.py"),
        ("", "AttributeError: module 'user_strategy.rsi' has no attribute 'value', line 3"),
    ],
)
def test_an_error_names_the_module_and_its_line(module: str, words: str) -> None:
    text = f"import rsi\n{DECIDE.format('rsi.value()')}"
    with pytest.raises(ConfigurationError) as caught:
        decide(StrategySource("folder/mine.py", text, {"rsi.py": module}))
    assert words in str(caught.value)
