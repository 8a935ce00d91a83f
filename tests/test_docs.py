"""The documents are under test: every flag, variable, command and link is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ingest import parse_arguments
from pipeline import job_summary
from safe_zone import CONFIG_KEYS, QUOTA_NAMES, ROOT, Settings
from sentinel.backtesting import builtin_strategies, engine, strategies
from sentinel.backtesting.portfolio import DEFAULT_USD, Costs
from sentinel.backtesting.price_series import Series
from sentinel.models import GAP_REASONS, GAP_WAITS
from sentinel.storage.connection import Address
from services.api.app import create_app
from services.api.connection_pool import ConnectionPool
from services.settings import MonitorOptions, MonitorSettings

README = (ROOT / "README.md").read_text(encoding="utf-8")
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
SCRIPTS = (
    *("ingest.py", "verify_db.py", "reset_db.py", "find_all_matches.py"),
    "budget_monitor.py",
)
TOOLS_OWN = {".venv", ".pytest_cache"}
DOCUMENTS = [path for path in ROOT.rglob("*.md") if not TOOLS_OWN & set(path.parts)]

MODULES = (
    *("pipeline.commit_registry", "pipeline.job_summary"),
    *("services.ingestion", "services.ingestion.replay", "services.api", "services.dashboard"),
    *("services.db", "services.stack", "services.probe", "services.backup"),
)


def _help(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command, "--help"], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return done.stdout


def _variables(text: str) -> set[str]:
    families = "COINGECKO|SENTINEL|NEON|TELEGRAM"
    return set(
        re.findall(rf"\b(?:DATABASE_URL|ALERT_URLS|ARCHIVE_URL|(?:{families})_[A-Z_]+)\b", text)
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_flag_is_in_the_readme_and_help_ends_with_something_to_paste(script: str) -> None:
    text = _help(str(ROOT / script))
    assert f"`python {script}" in README
    for flag in set(re.findall(r"--[a-z-]+", text)) - {"--help"}:
        assert f"`{flag}" in README, flag
    assert re.search(rf"python {script}", text.partition("options:")[2])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "action"),
    [
        *(("archive.py", action) for action in ("status", "export", "restore", "forget")),
        *(("sandbox.py", action) for action in ("backtest", "trade", "report", "close", "sweep")),
    ],
)
def test_every_flag_of_every_action_is_in_the_readme(script: str, action: str) -> None:
    assert f"`{action}`" in README
    assert f"`python {script}`" in README
    assert re.search(rf"python {script} {action}", _help(str(ROOT / script)))
    for flag in set(re.findall(r"--[a-z-]+", _help(str(ROOT / script), action))) - {"--help"}:
        assert flag in README, flag


def test_every_strategy_is_in_the_readme_with_its_parameters() -> None:
    for name, found in builtin_strategies.BUILT_IN.items():
        words = " ".join(f"{key}={value:g}" for key, value in found.parameters.items())
        [row] = re.findall(rf"^\| `{name}` \|.*$", README, re.MULTILINE)
        assert words in row.replace("`", "")


def test_the_strategy_that_the_readme_shows_runs() -> None:
    [source] = re.findall(r"```python\n(def decide.*?)```", README, re.DOTALL)
    strategy = strategies.own("readme.py", source, {"low": 0.9})
    prices = np.where(np.arange(200) < 150, 100.0, 80.0)
    times = np.arange(200, dtype=np.float64) * 900
    series = Series(times, prices, np.ones(200, dtype=bool))
    outcome = engine.run(series, strategy.signals(series), Costs(), DEFAULT_USD)
    assert outcome.trades[0].side == "buy"


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_every_flag_of_the_monitor_is_in_the_readme(module: str) -> None:
    text = _help("-m", module)
    assert f"`python -m {module}`" in README
    for flag in set(re.findall(r"--[a-z-]+", text)) - {"--help"}:
        assert flag in README, flag
    assert re.search(rf"python -m {module}", text.partition("options:")[2])


def test_every_setting_of_the_monitor_is_in_the_readme_with_its_default() -> None:
    [block] = re.findall(r"```json\n(\{\"monitor\".*?)\n```", README, re.DOTALL)
    assert json.loads(block)["monitor"] == MonitorOptions().model_dump()


def test_every_route_is_in_the_readme() -> None:
    app = create_app(
        MonitorSettings(settings=Settings()), ConnectionPool(Address("host=nowhere", "nowhere"))
    )
    for path in app.openapi()["paths"]:
        assert f"`{path.replace('/{transaction_id}', '')}`" in README, path


def test_every_variable_the_code_reads_is_in_the_readme_and_the_example() -> None:
    rooms = ("safe_zone.py", "demo/__main__.py", "services/settings.py")
    code = "".join((ROOT / name).read_text() for name in rooms)
    example = (ROOT / ".env.example").read_text()
    assert _variables(code) == _variables(README) == _variables(example)


def test_every_make_target_is_in_the_readme() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE):
        assert f"make {target}" in README, target


def test_the_readme_begins_with_the_demo() -> None:
    assert "`make demo`" in README.splitlines()[0]


def test_every_config_key_and_exit_code_is_in_the_readme() -> None:
    for key in CONFIG_KEYS:
        assert f"`{key}`" in README
    for code in (*range(7), "128+n"):
        assert f"\n| {code} |" in README


def test_every_quota_reason_and_warning_is_in_the_runbook() -> None:
    for words in (
        *QUOTA_NAMES,
        GAP_WAITS,
        *GAP_REASONS,
        *GAP_REASONS.values(),
    ):
        assert f"{words}" in RUNBOOK, words
    assert set(job_summary.REMEDIES) == set(QUOTA_NAMES)


def test_everything_the_workflow_takes_is_in_the_runbook() -> None:
    workflow = (ROOT / ".github" / "workflows" / "etl.yml").read_text()
    for name in set(re.findall(r"(?:secrets|vars)\.([A-Z_]+)", workflow)):
        assert f"`{name}`" in RUNBOOK, name


def test_every_reject_reason_is_in_the_readme() -> None:
    source = (ROOT / "transform.py").read_text()
    documented = re.search(r"Reasons of rejection: (.*?)\.\n", source, re.DOTALL)
    assert documented is not None
    for reason in re.split(r",\s+", documented[1]):
        assert f"`{reason}`" in README, reason


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_decisions_explains_every_direct_dependency() -> None:
    decisions = (ROOT / "docs" / "decisions.md").read_text()
    for path in (ROOT / "requirements").glob("*.in"):
        for name in re.findall(r"^([\w-]+)(?:\[.*\])?==", path.read_text(), re.MULTILINE):
            assert name in decisions, name


def test_the_command_line_is_the_contract() -> None:
    parsed = parse_arguments(
        [
            "--mode",
            "dry-run",
            "--limit",
            "5",
            "--targets",
            "BTC,ethereum",
            "--config",
            "x",
            "--json",
        ]
    )
    assert vars(parsed) == {
        "mode": "dry-run",
        "limit": "5",
        "targets": "BTC,ethereum",
        "config": "x",
        "json": True,
        "verbose": False,
    }
