"""The package rules: who may import whom.

- `sentinel` imports no stage and no process; of the root it uses the constants of `safe_zone` and
  `api_library`.
- `pipeline` imports no process of `services`.
- A process of `services` imports no other process.
- Only tests and benchmarks import `demo`; the product imports neither of them.
- No module imports itself through others.
- Pure modules read no clock and no database.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from safe_zone import ROOT

PACKAGES = ("sentinel", "pipeline", "services", "demo")
STAGES = {path.stem for path in ROOT.glob("*.py")}
CONSTANTS = {"safe_zone", "api_library"}
PROCESSES = {"api", "backup", "dashboard", "db", "ingestion", "stack"}
PURE = (
    *("analytics/alerts", "analytics/forecast", "backtesting/builtin_strategies"),
    *("backtesting/engine", "backtesting/metrics", "backtesting/portfolio"),
    *("backtesting/strategies", "backtesting/walk_forward", "notifications/messages"),
)


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    _name(path): path
    for path in (*ROOT.glob("*.py"), *(p for name in PACKAGES for p in (ROOT / name).rglob("*.py")))
}


def _imports(path: Path) -> Iterator[str]:
    """The project's modules that a file names in its imports, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else str(node.module) for name in names)


IMPORTS = {name: {i for i in _imports(path) if i in MODULES} for name, path in MODULES.items()}


def _within(package: str) -> list[str]:
    return [name for name in MODULES if name.partition(".")[0] == package]


@pytest.mark.parametrize("module", _within("sentinel"))
def test_the_library_imports_no_stage_and_no_process(module: str) -> None:
    roots = {name.partition(".")[0] for name in IMPORTS[module]}
    assert roots <= {"sentinel", *CONSTANTS}


@pytest.mark.parametrize("module", _within("pipeline"))
def test_the_batch_imports_no_process(module: str) -> None:
    assert not [name for name in IMPORTS[module] if name.startswith("services")]


@pytest.mark.parametrize("process", sorted(PROCESSES - {"stack"}))
def test_a_process_imports_no_other_process(process: str) -> None:
    others = tuple(f"services.{other}" for other in PROCESSES - {process})
    for module in MODULES:
        if module.startswith(f"services.{process}"):
            assert not [name for name in IMPORTS[module] if name.startswith(others)], module


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("demo")])
def test_the_product_imports_neither_the_demo_nor_tests(module: str) -> None:
    names = {name.partition(".")[0] for name in _imports(MODULES[module])}
    assert not names & {"demo", "tests", "benchmarks"}


def test_there_is_no_import_cycle() -> None:
    left = {name: set(imported) - {name} for name, imported in IMPORTS.items()}
    while free := [name for name, imported in left.items() if not imported & left.keys()]:
        for name in free:
            del left[name]
    assert not left


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_read_no_clock_and_no_database(module: str) -> None:
    source = (ROOT / "sentinel" / f"{module}.py").read_text()
    assert not re.search(r"\.now\(|time\.time|sleep\(|psycopg|sentinel\.storage", source)


@pytest.mark.parametrize("module", ["ingestion/calibration", "ingestion/polling_interval"])
def test_the_loops_arithmetic_reads_no_clock_and_no_database(module: str) -> None:
    source = (ROOT / "services" / f"{module}.py").read_text()
    assert not re.search(r"\.now\(|time\.time|sleep\(|psycopg|sentinel\.storage", source)


def test_the_portfolios_valuation_uses_no_floats_clock_or_database() -> None:
    source = (ROOT / "services" / "api" / "valuation.py").read_text()
    assert not re.search(r"\.now\(|psycopg|float", source)
