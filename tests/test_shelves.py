"""The order of the rooms: an import points to a lower shelf."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from safe_zone import ROOT

SHELVES = (
    {"errors", "files", "records", "series", "wishes"},
    {"paper", "safe_zone", "typed"},
    {
        "alerts",
        "api_library",
        "archive_files",
        "parquet_days",
        "backtest",
        "coins",
        "console",
        "delivery",
        "embedded_postgres",
        "forecast",
        "neon_api",
        "price_file",
        "storage_faults",
        "usage_log",
    },
    {"meters", "own_strategy", "performance", "postgres", "run_report", "signals"},
    {"budget_monitor", "reports", "strategies", "tables"},
    {"archiving", "coin_registry", "coingecko", "database", "spool", "sweep", "transform"},
    {"history", "workers"},
    {"backfill", "price_source", "run_state"},
    {"registry_changes", "registry_clone", "repair", "wallets"},
    {
        "archive",
        "commit_registry",
        "find_all_matches",
        "ingest",
        "job_summary",
        "reset_db",
        "sandbox_output",
        "verify_db",
    },
    {"sandbox"},
)
SHELF_OF = {room: number for number, rooms in enumerate(SHELVES) for room in rooms}


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


def test_every_module_at_the_root_has_a_shelf() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == set(SHELF_OF)


@pytest.mark.parametrize("room", sorted(SHELF_OF))
def test_imports_point_to_a_lower_shelf(room: str) -> None:
    upward = {
        name
        for name in _imports(ROOT / f"{room}.py") & SHELF_OF.keys()
        if SHELF_OF[name] >= SHELF_OF[room]
    }
    assert not upward


def _rooms_imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("process", ["ingestion", "api", "dashboard"])
def test_a_process_of_the_monitor_needs_no_other(process: str) -> None:
    others = {"ingestion", "api", "dashboard", "db", "stack", "backup"} - {process}
    for path in (ROOT / "services" / process).rglob("*.py"):
        for name in _rooms_imported(path):
            assert name.partition(".")[0] not in ("demo", "tests", "benchmarks"), path
            assert not any(name.startswith(f"services.{other}") for other in others), path


@pytest.mark.parametrize("room", ["calibration", "pace", "messages"])
def test_what_is_pure_neither_reads_a_clock_nor_the_database(room: str) -> None:
    source = (ROOT / "services" / "ingestion" / f"{room}.py").read_text()
    assert not re.search(r"\.now\(|time\.time|sleep\(|psycopg|postgres", source)
    portfolio = (ROOT / "services" / "api" / "portfolio.py").read_text()
    assert not re.search(r"\.now\(|psycopg|postgres|float", portfolio)


@pytest.mark.parametrize(
    "room",
    ["alerts", "backtest", "forecast", "paper", "performance", "signals", "strategies", "sweep"],
)
def test_what_is_pure_at_the_root_neither_reads_a_clock_nor_the_database(room: str) -> None:
    source = (ROOT / f"{room}.py").read_text()
    assert not re.search(r"\.now\(|time\.time|sleep\(|psycopg|postgres", source)


@pytest.mark.parametrize("room", sorted(SHELF_OF))
def test_the_product_never_needs_the_stand_in(room: str) -> None:
    assert not _imports(ROOT / f"{room}.py") & {"demo", "tests", "benchmarks", "services"}
