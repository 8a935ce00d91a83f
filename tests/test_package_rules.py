"""The package rules: which package may import which.

- `sentinel` imports no root file except the constants in `safe_zone` and `api_library`, and neither
  `pipeline` nor `services`.
- A package inside `sentinel` imports only the packages that `SENTINEL_IMPORTS` allows.
- `pipeline` does not import `services`.
- A process of `services` does not import another process; only `stack` starts them all.
- In `services.dashboard`, the packages of a page import neither each other nor `pages`. `elements`
  and `server` import none of them.
- Only tests, benchmarks and simulation import `demo`. The product imports none of the four.
- There is no import cycle.
- Pure modules use neither the clock nor the database.
- The root has at most 40 tracked entries, 13 of them Python files.

`python -m tests.structure` prints the same imports as figures.
"""

from __future__ import annotations

import functools
import re

import pytest

from safe_zone import ROOT
from tests.structure import (
    find_cycles,
    find_imports,
    find_modules,
    root_entries,
    top_level,
)

CONSTANTS = {"safe_zone", "api_library"}
PROCESSES = {"api", "backup", "dashboard", "db", "ingestion", "stack", "telegram"}
SENTINEL_IMPORTS = {
    "alerting": {"analytics", "notifications", "storage"},
    "analytics": set[str](),
    "archive": {"storage"},
    "backtesting": {"analytics", "archive", "storage"},
    "budget": set[str](),
    "data": {"archive", "backtesting"},
    "daily_summary": {"alerting", "budget", "health", "notifications", "storage"},
    "health": {"storage"},
    "notifications": {"analytics", "storage"},
    "paper_trading": {"archive", "backtesting", "storage"},
    "site": {"alerting", "analytics", "budget", "health", "storage"},
    "storage": {"budget"},
}
PURE = (
    *("analytics/alerts", "analytics/calibration", "analytics/crossings"),
    "analytics/forecast",
    *(
        "budget/coingecko_credits",
        "budget/deployment_quotas",
        "budget/quota_usage",
        "budget/quotas",
        "budget/schedule",
    ),
    "backtesting/builtin_strategies",
    *("backtesting/engine", "backtesting/grid", "backtesting/metrics", "backtesting/portfolio"),
    *("daily_summary/composition", "daily_summary/due"),
    *("backtesting/scoring", "backtesting/strategies", "backtesting/sweep_tasks"),
    *("backtesting/walk_forward", "notifications/messages"),
    *("notifications/alert_messages", "notifications/pacing", "notifications/quiet_hours"),
    *("site/formatting", "site/labels", "site/market_pages", "site/market_rows"),
    *("amounts", "times"),
    *("site/page_figures", "site/price_chart", "site/price_line", "site/svg"),
)


MODULES = find_modules(ROOT)


@functools.cache
def _all_imports() -> dict[str, set[str]]:
    """The imports of each module, also of foreign ones. Every worker collects this file."""
    return {name: find_imports(path, MODULES) for name, path in MODULES.items()}


@functools.cache
def _imports() -> dict[str, set[str]]:
    return {name: imported & MODULES.keys() for name, imported in _all_imports().items()}


def _modules_of(package: str) -> list[str]:
    return [name for name in MODULES if top_level(name) == package]


def _subject(module: str) -> str:
    """Return the package inside `sentinel` that a module belongs to, or an empty string."""
    parts = module.split(".")
    is_inside = parts[0] == "sentinel" and parts[1:] and parts[1] in SENTINEL_IMPORTS
    return parts[1] if is_inside else ""


def test_sentinel_imports_no_stage_pipeline_or_service() -> None:
    for module in _modules_of("sentinel"):
        assert {top_level(name) for name in _imports()[module]} <= {"sentinel", *CONSTANTS}, module


def test_packages_inside_sentinel_import_only_what_is_allowed() -> None:
    for module in _modules_of("sentinel"):
        subject = _subject(module)
        imported = {_subject(name) for name in _imports()[module]} - {"", subject}
        assert imported <= SENTINEL_IMPORTS.get(subject, set()), module


def test_every_package_inside_sentinel_has_a_rule() -> None:
    packages = {init.parent.name for init in (ROOT / "sentinel").glob("*/__init__.py")}
    assert packages == SENTINEL_IMPORTS.keys()


def test_pipeline_does_not_import_services() -> None:
    for module in _modules_of("pipeline"):
        assert not [name for name in _imports()[module] if top_level(name) == "services"], module


@pytest.mark.parametrize("process", sorted(PROCESSES - {"stack"}))
def test_a_process_does_not_import_another_process(process: str) -> None:
    others = tuple(f"services.{other}." for other in PROCESSES - {process})
    for module in MODULES:
        if f"{module}.".startswith(f"services.{process}."):
            imported = _imports()[module]
            assert not [name for name in imported if f"{name}.".startswith(others)], module


def test_packages_of_the_dashboard_import_no_page_but_their_own() -> None:
    pages = {"pages", "coin", "portfolio", "pipeline"}
    for module, names in _imports().items():
        match module.split("."):
            case ["services", "dashboard", package, _] if package not in {"app", "pages"}:
                others = tuple(f"services.dashboard.{page}." for page in pages - {package})
                assert not [name for name in names if name.startswith(others)], module


def test_the_product_imports_nothing_that_is_beside_it() -> None:
    for module, names in _all_imports().items():
        imported = {top_level(name) for name in names}
        allowed = {"demo"} if top_level(module) == "demo" else set()
        assert not imported & {"demo", "tests", "benchmarks", "simulation"} - allowed, module


def test_there_is_no_import_cycle() -> None:
    assert find_cycles(_imports()) == set()


def test_the_search_for_cycles_finds_them() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set[str]()}
    assert find_cycles(graph) == {"b", "c"}


def test_the_root_has_few_entries() -> None:
    entries = root_entries(ROOT)
    assert len(entries) <= 40
    assert sum(entry.endswith(".py") for entry in entries) <= 13


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_use_neither_clock_nor_database(module: str) -> None:
    source = (ROOT / "sentinel" / f"{module}.py").read_text()
    assert not re.search(r"\.now\(|time\.time|sleep\(|psycopg|sentinel\.storage", source)


@pytest.mark.parametrize("module", ["ingestion/polling_interval"])
def test_arithmetic_of_the_loop_uses_neither_clock_nor_database(module: str) -> None:
    source = (ROOT / "services" / f"{module}.py").read_text()
    assert not re.search(r"\.now\(|time\.time|sleep\(|psycopg|sentinel\.storage", source)


def test_portfolio_valuation_uses_no_floats_clock_or_database() -> None:
    folder = ROOT / "services" / "api" / "portfolio"
    names = ("arithmetic", "models", "profit", "cost_basis", "valuation", "timeline", "price_book")
    for name in (*names, "net_worth", "period_returns", "growth_line", "valued_flows"):
        source = (folder / f"{name}.py").read_text()
        assert not re.search(r"\.now\(|psycopg|float|sentinel", source), name
