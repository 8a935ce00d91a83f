"""The documents match the product: each command, flag, setting, route, message and link exists."""

from __future__ import annotations

import ast
import dataclasses
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ingest import parse_arguments
from pipeline import job_summary
from safe_zone import CONFIG_KEYS, QUOTA_NAMES, ROOT, Settings
from sentinel.alerting.options import MonitorOptions
from sentinel.backtesting import builtin_strategies, checked_run, strategies
from sentinel.backtesting.portfolio import DEFAULT_INITIAL_USD, Costs
from sentinel.backtesting.price_series import LoadedPrices, from_prices
from sentinel.backtesting.strategy_source import Parameters, StrategySource
from sentinel.backtesting.user_strategy import PortfolioView
from sentinel.models import GAP_REASONS, GAP_WAITS
from sentinel.site.status_schema import format_schema
from sentinel.storage.connection import Address
from services.api.app import create_app
from services.api.connection_pool import ConnectionPool
from services.settings import MonitorSettings
from tests.support.commands import Module, Script

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
ALL = "\n".join([README, *DOCS.values()])
SCRIPTS = (
    *("ingest.py", "verify_db.py", "reset_db.py", "find_all_matches.py"),
    "budget_monitor.py",
)
MODULES = (
    *("pipeline.commit_registry", "pipeline.job_summary", "pipeline.site"),
    *("services.ingestion", "services.ingestion.replay", "services.api", "services.dashboard"),
    *("services.db", "services.stack", "services.probe", "services.backup", "demo"),
    "services.telegram",
)
TOOL_FOLDERS = {".venv", ".pytest_cache"}
MARKDOWN = [path for path in ROOT.rglob("*.md") if not TOOL_FOLDERS & set(path.parts)]
PRODUCT = [
    *sorted(ROOT.glob("*.py")),
    *sorted(
        p for name in ("sentinel", "pipeline", "services") for p in (ROOT / name).rglob("*.py")
    ),
]


def _help(command: str, *arguments: str) -> str:
    """Return the help of a script or module."""
    kind = Script if command.endswith(".py") else Module
    done = kind(ROOT, {})(command, *arguments, "--help")
    assert done.returncode == 0, done.stderr
    return done.stdout


def _variables(text: str) -> set[str]:
    families = "COINGECKO|SENTINEL|NEON|TELEGRAM|HEARTBEAT"
    return set(
        re.findall(rf"\b(?:DATABASE_URL|ALERT_URLS|ARCHIVE_URL|(?:{families})_[A-Z_]+)\b", text)
    )


# --- commands --------------------------------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_flag_of_a_script_is_documented_and_help_ends_with_an_example(script: str) -> None:
    text = _help(script)
    assert f"`python {script}" in ALL
    for flag in set(re.findall(r"--[a-z-]+", text)) - {"--help"}:
        assert f"`{flag}" in ALL, flag
    assert re.search(rf"python {script}", text.partition("options:")[2])


@pytest.mark.parametrize(
    ("script", "action"),
    [
        *(("archive.py", action) for action in ("status", "export", "restore", "forget")),
        *(("sandbox.py", action) for action in ("backtest", "step", "report", "close", "sweep")),
        *(("pipeline.quarantine", action) for action in ("list", "show", "replay", "discard")),
    ],
)
def test_every_flag_of_an_action_is_documented(script: str, action: str) -> None:
    assert f"`{action}`" in ALL
    command = f"python {script}" if script.endswith(".py") else f"python -m {script}"
    assert f"`{command}" in ALL
    assert f"{command} {action}" in _help(script)
    for flag in set(re.findall(r"--[a-z-]+", _help(script, action))) - {"--help"}:
        assert flag in ALL, flag


@pytest.mark.parametrize("module", MODULES)
def test_every_flag_of_a_module_is_documented(module: str) -> None:
    text = _help(module)
    assert f"`python -m {module}" in ALL
    for flag in set(re.findall(r"--[a-z-]+", text)) - {"--help"}:
        assert flag in ALL, flag


def test_every_make_target_is_documented() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE):
        assert f"make {target}" in ALL, target


def test_every_config_key_and_exit_code_is_documented() -> None:
    for key in CONFIG_KEYS:
        assert f"`{key}`" in DOCS["configuration.md"]
    for code in (*range(7), "128+n"):
        assert f"\n| {code} |" in DOCS["commands.md"]


def test_the_command_line_of_ingest_is_the_contract() -> None:
    flags = ["--mode", "dry-run", "--limit", "5", "--targets", "BTC,ethereum", "--config", "x"]
    assert vars(parse_arguments([*flags, "--json"])) == {
        "mode": "dry-run",
        "limit": "5",
        "targets": "BTC,ethereum",
        "config": "x",
        "json": True,
        "verbose": False,
    }


# --- settings, routes, strategies ------------------------------------------------------------


def test_every_setting_of_the_monitor_is_documented_with_its_default() -> None:
    [block] = re.findall(r"```json\n(\{\"monitor\".*?)\n```", ALL, re.DOTALL)
    assert json.loads(block)["monitor"] == MonitorOptions().model_dump()
    for name in MonitorOptions.model_fields:
        assert re.search(rf"^\|.*`{name}`.*\|", DOCS["configuration.md"], re.MULTILINE), name


def test_every_variable_that_the_code_reads_is_documented_and_in_the_example() -> None:
    sources = (
        *("safe_zone.py", "demo/__main__.py", "services/settings.py", "sentinel/config.py"),
        *("sentinel/notifications/addresses.py", "sentinel/alerting/settings.py"),
    )
    code = "".join((ROOT / name).read_text() for name in sources)
    example = (ROOT / ".env.example").read_text()
    assert _variables(code) == _variables(example)
    of_workflow = {"SENTINEL_INCIDENT_ISSUES"}  # only etl.yml reads it
    assert _variables(ALL) == _variables(code) | of_workflow


def test_every_line_of_the_example_is_a_comment_or_an_empty_variable() -> None:
    for line in (ROOT / ".env.example").read_text().splitlines():
        assert re.fullmatch(r"(# .+|[A-Z_]+=)?", line), line


def test_every_route_is_documented() -> None:
    app = create_app(
        MonitorSettings(settings=Settings()), ConnectionPool(Address("host=nowhere", "nowhere"))
    )
    for path in app.openapi()["paths"]:
        assert f"`{path.removesuffix('/{transaction_id}')}`" in DOCS["api.md"], path


def test_the_schema_of_the_status_document_is_that_of_its_model() -> None:
    committed = (ROOT / "docs/status.schema.json").read_text(encoding="utf-8")
    rewrite = "python -m sentinel.site.status_schema > docs/status.schema.json"
    assert committed == format_schema(), f"Rewrite it: {rewrite}"


def test_every_strategy_is_documented_with_its_parameters() -> None:
    for name, found in builtin_strategies.BUILT_IN.items():
        words = " ".join(f"{key}={value:g}" for key, value in found.parameters.items())
        [row] = re.findall(rf"^\| `{name}` \|.*$", DOCS["backtesting.md"], re.MULTILINE)
        assert words in row.replace("`", "")


@pytest.mark.parametrize(
    ("function", "parameters", "last_price"),
    [("decide", {"low": 0.9}, 80), ("signals", {"mode": "revert"}, 80), ("weights", {}, 120)],
)
def test_the_documented_strategies_run(
    function: str, parameters: Parameters, last_price: float
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS["backtesting.md"], re.DOTALL)
    [source] = [text for text in blocks if f"def {function}(histor" in text]
    strategy = strategies.load_source(StrategySource("example.py", source), parameters)
    prices = np.where(np.arange(200) < 150, 100.0, last_price)
    series = from_prices(np.arange(200, dtype=np.float64) * 900, prices)
    loaded = LoadedPrices({"btc": series}, 0.0)
    [outcome] = checked_run.trade_all(loaded, strategy, Costs(), DEFAULT_INITIAL_USD)
    assert outcome.trades[0].side == "buy"


def test_every_attribute_that_a_strategy_sees_is_documented() -> None:
    for name in ("times", "prices", "volumes", "market_caps"):
        assert f"`history.{name}`" in DOCS["backtesting.md"]
    for field in dataclasses.fields(PortfolioView):
        assert re.search(rf"`(portfolio)?\.{field.name}`", DOCS["backtesting.md"]), field.name


# --- messages --------------------------------------------------------------------------------


def test_every_quota_and_every_reason_of_a_gap_is_documented() -> None:
    for words in (*QUOTA_NAMES, GAP_WAITS, *GAP_REASONS, *GAP_REASONS.values()):
        assert words in DOCS["deploy-github-actions.md"], words
    assert set(job_summary.REMEDIES) == set(QUOTA_NAMES)


def test_every_reject_reason_is_documented() -> None:
    source = (ROOT / "transform.py").read_text()
    documented = re.search(r"Reasons of rejection: (.*?)\.\n", source, re.DOTALL)
    assert documented is not None
    for reason in re.split(r",\s+", documented[1]):
        assert f"`{reason}`" in ALL, reason


@functools.cache
def _nodes(path: Path) -> list[ast.AST]:
    """The texts and calls in the syntax tree of a file: to keep all nodes takes twice as long."""
    kept = (ast.Constant, ast.JoinedStr, ast.Call)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, kept)]


def _texts(path: Path) -> Iterator[str]:
    """The string constants of a file; placeholders and formatted values as `…`."""
    for node in _nodes(path):
        if isinstance(node, ast.JoinedStr):
            parts = (p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
            yield "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"%(?:\.\d)?[sdf]", "…", node.value)


def _warnings(path: Path) -> Iterator[str]:
    """The first argument of each call that logs a warning or an error."""
    if "log." not in path.read_text(encoding="utf-8"):
        return  # parsing takes a hundred times as long
    for node in _nodes(path):
        if isinstance(node, ast.Call) and _is_logged(node.func):
            text = node.args[0]
            if isinstance(text, ast.Constant):
                yield re.sub(r"%(?:\.\d)?[sdf]", "…", str(text.value))


def _is_logged(function: ast.expr) -> bool:
    match function:
        case ast.Attribute(value=ast.Name(id="log"), attr="warning" | "error"):
            return True
    return False


SYMPTOMS = re.findall(r"^\| (?:<a [^>]*></a>)?`([^`]+)`", DOCS["troubleshooting.md"], re.MULTILINE)


def _holds(text: str, symptom: str) -> bool:
    """Whether the fragments of a symptom occur in a text, in order."""
    position = 0
    for fragment in symptom.split("…"):
        position = text.find(fragment, position)
        if position < 0:
            return False
        position += len(fragment)
    return True


def test_every_documented_message_is_in_the_code() -> None:
    files = [*PRODUCT, *(ROOT / ".github" / "workflows").glob("*.yml")]
    texts = {text for path in PRODUCT for text in _texts(path)}
    texts |= {path.read_text() for path in files if path.suffix == ".yml"}
    assert not [s for s in SYMPTOMS if not any(_holds(text, s) for text in texts)]


def test_every_warning_that_the_code_logs_is_documented() -> None:
    found = {text for path in PRODUCT for text in _warnings(path) if re.search(r"\w{4}", text)}
    assert not [text for text in found if not any(_holds(text, s) for s in SYMPTOMS)]


# --- README, links, decisions, map -----------------------------------------------------------


def test_the_readme_is_a_first_page() -> None:
    lines = README.splitlines()
    assert len(lines) <= 130
    assert any("make demo" in line for line in lines[:40])
    assert "Powered by [CoinGecko]" in README


def test_everything_that_the_workflow_reads_is_documented() -> None:
    workflow = (ROOT / ".github" / "workflows" / "etl.yml").read_text()
    for name in set(re.findall(r"(?:secrets|vars)\.([A-Z_]+)", workflow)):
        assert f"`{name}`" in DOCS["deploy-github-actions.md"], name


def _anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)
    return {*plain, *re.findall(r'<a id="([^"]+)"', text)}


@pytest.mark.parametrize("document", MARKDOWN, ids=lambda path: path.name)
def test_no_document_has_a_conflict_marker(document: Path) -> None:
    assert not re.search(r"^(<{7}|={7}$|>{7})", document.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("document", MARKDOWN, ids=lambda path: path.name)
def test_every_link_and_anchor_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("../../actions/"):  # the repository's own page
            continue
        name, _, anchor = target.partition("#")
        path = document.parent / name if name else document
        assert path.exists(), target
        if anchor:
            assert anchor in _anchors(path.read_text(encoding="utf-8")), target


def test_the_code_names_only_documents_that_exist() -> None:
    others = ("Makefile", "Dockerfile", "docker-compose.yml", ".env.example", "backup_db.sh")
    folders = ("demo", "benchmarks", ".github", "requirements", ".ci")
    paths = [*PRODUCT, *(ROOT / name for name in others)]
    paths += [path for name in folders for path in (ROOT / name).rglob("*") if path.is_file()]
    for path in paths:
        for target in re.findall(r"docs/([\w-]+\.md)", path.read_text(errors="ignore")):
            assert target in DOCS, f"{path.relative_to(ROOT)}: {target}"


def test_decisions_explains_every_direct_dependency() -> None:
    for path in (ROOT / "requirements").glob("*.in"):
        for name in re.findall(r"^([\w-]+)(?:\[.*\])?==", path.read_text(), re.MULTILINE):
            assert name in DOCS["decisions.md"], name


def test_every_module_is_on_the_map() -> None:
    text = DOCS["architecture.md"]
    for path in PRODUCT:
        if path.name not in ("__init__.py", "__main__.py"):
            assert f"{path.name}`" in text, path.relative_to(ROOT)


def test_every_path_in_the_tables_of_architecture_exists() -> None:
    text = DOCS["architecture.md"].partition("## The path of a price")[2]
    for name in re.findall(r"`([a-z_.]+/[a-z_/]*(?:\.py|\.yml)?)`", text):
        assert (ROOT / name).exists(), name


# Words that the first version used for terms of the glossary. The keys `verdict` and
# `wished_per_coin_week` of the JSON contracts stay.
RETIRED = re.compile(
    r"(?<![A-Za-z])(?:wish(?:es|ed(?!_per_coin_week))?|purses?|troubles?|parole|nobody|somebody|whoever|rung|ladder|"
    r"amiss|paper money|given up|sick|patience|told|(?<![\"'])verdicts?)(?![A-Za-z])",
    re.IGNORECASE,
)


def test_the_documents_use_the_terms_of_the_glossary() -> None:
    texts = {"README.md": README, **DOCS}
    texts |= {name: (ROOT / name).read_text() for name in ("CONTRIBUTING.md", ".env.example")}
    code = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)  # commands and messages are quoted there
    found = {name: RETIRED.findall(code.sub("", text)) for name, text in texts.items()}
    assert not {name: words for name, words in found.items() if words}


def test_the_code_uses_the_terms_of_the_glossary() -> None:
    folders = (
        "sentinel",
        "pipeline",
        "services",
        "demo",
        "benchmarks",
        "simulation",
        "tests",
        ".github",
    )
    paths = [path for name in folders for path in (ROOT / name).rglob("*.*")]
    paths += [*ROOT.glob("*.py"), ROOT / "Makefile", ROOT / "docker-compose.yml"]
    texts = {
        path: path.read_text(encoding="utf-8")
        for path in paths
        if path.suffix in (".py", ".sql", ".yml", "") and path.name != "test_docs.py"
    }
    found = {path.relative_to(ROOT): RETIRED.findall(text) for path, text in texts.items()}
    assert not {path: words for path, words in found.items() if words}
