"""The GitHub issue about an incident: opened once, commented on a change, closed at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pipeline import incident_issue
from pipeline.github_issues import LABEL, GitHubIssues
from pipeline.incident_issue import IncidentIssue
from pipeline.incident_report import IncidentReport, State, choose_state, decode, encode, hide_names
from pipeline.incident_texts import format_marker, make_body, read_marker
from pipeline.run_incidents import find_reportable
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from tests.support.commands import Module
from tests.support.github_issues import Fault, GitHub
from tests.support.serving import serving

NOON = datetime(2026, 11, 20, 12, 7, tzinfo=UTC)
BEGUN = IncidentReport(
    began_at=NOON,
    failed_runs=5,
    exit_codes=(4,),
    message="The database … cannot be reached. 500 rows wait in the spool.",
)
ENDED = replace(
    BEGUN, ended_at=NOON + timedelta(minutes=75), rows_drained=2_500, rows_backfilled=96
)


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serving(GitHub()) as github:
        yield github


@pytest.fixture
def issue(github: GitHub) -> IncidentIssue:
    issues = GitHubIssues(github.url, "me/sentinel", "ghs-secret")
    return IncidentIssue(issues, "https://github.com/me/sentinel/actions/runs/7", "https://help")


def test_an_incident_is_one_issue_from_its_begin_to_its_end(
    issue: IncidentIssue, github: GitHub
) -> None:
    assert issue.report_open(BEGUN) == "opened issue #1"
    for _ in range(2):  # the state is lost, or another job does the same
        assert issue.report_open(BEGUN) == "issue #1 is open and says what is known"
    changed = replace(BEGUN, exit_codes=(4, 3), failed_runs=7, message="CoinGecko: no")
    for _ in range(2):
        issue.report_open(changed)
    for done in ("closed issue #1", "no issue is open"):
        assert issue.report_end(replace(ENDED, exit_codes=(4, 3))) == done
    [found] = github.issues
    assert found["title"] == "Market Sentinel: scheduled runs fail (the database was unavailable)"
    assert found["labels"] == [{"name": LABEL}]
    assert found["body"] == (
        "Scheduled runs fail since 2026-11-20 12:07 UTC (5 so far): the database was unavailable."
        "\n\nThe newest run said:\n\n```text\nThe database … cannot be reached. 500 rows wait in "
        "the spool.\n```\n\n- The run's log and summary: "
        "https://github.com/me/sentinel/actions/runs/7\n- What to do: https://help\n\nThis issue "
        "closes itself after the first good run. That run loads the rows that wait on disk, and "
        "later runs backfill the gaps.\n\n<!-- market-sentinel-incident:4,3 -->"
    )
    assert (found["state"], found["state_reason"]) == ("closed", "completed")
    change, end = github.comments[1]
    assert change.startswith(
        "The cause has changed: CoinGecko gave no usable answer. 7 runs have failed so far.\n\n"
    )
    assert end == (
        "Scheduled runs succeed again since 2026-11-20 13:22 UTC. 5 runs failed in 1 h 15 min: the "
        "database was unavailable; CoinGecko gave no usable answer.\n\nThis run loaded 2500 rows "
        "that waited on disk and backfilled 96 rows of gaps; later runs backfill the rest: "
        "https://github.com/me/sentinel/actions/runs/7"
    )


def test_two_jobs_that_open_an_issue_at_once_leave_one(
    issue: IncidentIssue, github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = issue.issues.create

    def create_second(title: str, body: str) -> object:
        github.open_issue(body, LABEL)
        return create(title, body)

    monkeypatch.setattr(issue.issues, "create", create_second)
    assert issue.report_open(BEGUN) == "opened issue #1"
    assert [found["state"] for found in github.issues] == ["open", "closed"]
    assert github.comments == {2: ["Duplicate of #1"]}


def test_an_issue_that_a_person_closed_stays_closed_until_the_next_incident(
    issue: IncidentIssue, github: GitHub
) -> None:
    github.now = "2026-11-20T13:30:00Z"
    issue.report_open(BEGUN)
    github.close_issue(1)
    assert "stays closed" in issue.report_open(replace(BEGUN, exit_codes=(4, 3)))
    later = replace(BEGUN, began_at=NOON + timedelta(hours=5))
    assert issue.report_open(later) == "opened issue #2"


def test_only_our_own_issues_are_touched_also_on_later_pages(
    issue: IncidentIssue, github: GitHub
) -> None:
    github.page_size = 1
    github.open_issue(format_marker((4,)), LABEL)
    github.open_issue("a person used the label", LABEL)
    github.open_issue(format_marker((4,)))  # a stranger cannot set a label
    github.open_issue(format_marker((4,)), LABEL)["pull_request"] = {}
    assert issue.report_end(IncidentReport()) == "closed issue #1"
    assert [found["state"] for found in github.issues] == ["closed", "open", "open", "open"]
    assert github.comments[1][0].startswith(
        "Scheduled runs succeed again. How long they failed is not known"
    )


def test_no_text_of_a_run_notifies_people_ends_its_block_or_names_a_host() -> None:
    message = hide_names(
        "The database neondb on ep-x-1.eu.aws.neon.tech is away: connection to server at "
        '"10.0.0.7", port 5432 failed (2a05:d014:1:2::7) for postgresql://me:pw@h/db and '
        "me@example.org,\nsee /home/me/x. ``` @octocat <!-- market-sentinel-incident:9 --> #1"
    )
    for name in ("neondb", "neon.tech", "10.0.0.7", "2a05", "me:pw", "example.org", "/home"):
        assert name not in message
    body = make_body(replace(BEGUN, message=message), "https://run", "https://help")
    before, block, after = body.split("```")
    assert "@octocat" in block
    assert "@" not in before + after
    assert read_marker(body) == (4,)


def test_the_words_between_two_apostrophes_stay() -> None:
    text = "CoinGecko didn't answer, so the run couldn't store 'bitcoin'."
    assert hide_names(text) == "CoinGecko didn't answer, so the run couldn't store …."


def test_the_output_of_the_job_survives_the_masks_of_github() -> None:
    """A secret of several lines, such as a key in JSON, masks each of its lines."""
    output = encode(ENDED)
    assert decode(output) == ENDED
    assert not {"{", "}", "\n"} & {*output}
    assert decode("") == IncidentReport()
    assert make_body(decode(""), "https://run", "https://help").startswith("Scheduled runs fail.\n")


@pytest.mark.parametrize(
    ("codes", "is_lost", "state"),
    [
        ([0, 0], False, "none"),
        ([0], True, "unknown"),
        ([4], True, "none"),
        ([0, 4, 4], False, "open"),
        ([4, 4, 0], True, "ended"),
    ],
)
def test_a_healthy_run_starts_no_second_job_unless_its_state_is_lost(
    codes: list[int], is_lost: bool, state: State
) -> None:
    usages = [
        Usage(NOON + timedelta(hours=hours), 1.0, exit_code=code)
        for hours, code in enumerate(codes)
    ]
    assert choose_state(find_reportable(usages), usages, is_lost=is_lost) == state


# --- the command -----------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path, github: GitHub, monkeypatch: pytest.MonkeyPatch) -> Module:
    monkeypatch.setattr(incident_issue, "RETRY_AFTER_SECONDS", (0.0, 0.0))
    environment = {
        "PATH": os.environ["PATH"],
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": github.url,
        "GITHUB_REPOSITORY": "me/sentinel",
        "GITHUB_RUN_ID": "7",
        "GITHUB_TOKEN": "ghs-secret",
        "SENTINEL_STATE_DIR": str(tmp_path),
        "DETAILS": encode(BEGUN),
    }
    return Module(tmp_path, environment)


def _report(module: Module, state: State) -> CompletedProcess[str]:
    done = module("pipeline.incident_issue", INCIDENT=state)
    assert "ghs-secret" not in done.stdout + done.stderr
    return done


def test_a_short_fault_of_github_is_repeated_and_opens_no_second_issue(
    module: Module, github: GitHub
) -> None:
    github.faults = [
        Fault("GET", 502),
        Fault("POST", 403, {"Retry-After": "60"}, "You have exceeded a secondary rate limit"),
    ]
    done = _report(module, "open")
    assert (done.returncode, done.stdout, done.stderr) == (0, "opened issue #1\n", "")
    assert github.tokens == {"Bearer ghs-secret"}
    github.issues.clear()
    github.faults = [Fault("POST", 422, is_done=True), Fault("POST", 502, is_done=True)]
    assert _report(module, "open").stdout == "issue #1 is open and says what is known\n"
    assert len(github.issues) == 1


@pytest.mark.parametrize(
    ("fault", "code", "text"),
    [
        (Fault("POST", 410, message="Issues has been disabled"), 2, "turn on Issues under Settin"),
        (Fault("GET", 404), 2, "GitHub answered 404 to GET /issues: No."),
        (Fault("GET", 403, message="Resource not accessible by integration"), 2, "issues: write"),
        (Fault("GET", 503), 1, "The next run tries again."),
    ],
)
def test_a_job_that_cannot_report_an_incident_fails_because_nothing_else_does(
    module: Module, github: GitHub, fault: Fault, code: int, text: str
) -> None:
    github.faults = [fault] * 3
    done = _report(module, "open")
    assert done.returncode == code
    assert done.stderr.startswith("::error::GitHub ")
    assert text in done.stderr
    github.faults = [fault] * 3
    github.open_issue(format_marker(()), LABEL)
    done = _report(module, "ended")
    assert (done.returncode, done.stderr[:11]) == (0, "::warning::")


def test_a_comment_that_fails_is_a_warning_and_keeps_no_issue_open(
    module: Module, github: GitHub
) -> None:
    github.open_issue(format_marker((3,)), LABEL)
    for state in ("open", "closed"):
        github.faults = [Fault("POST", 403, message="the issue is locked")]
        done = _report(module, "open" if state == "open" else "ended")
        assert (done.returncode, done.stderr[:11]) == (0, "::warning::")
        assert github.issues[0]["state"] == state


def test_the_scheduled_job_prints_its_outputs(module: Module, tmp_path: Path) -> None:
    usages = [Usage(NOON + timedelta(minutes=m), 1.0, exit_code=4) for m in (0, 30, 60)]
    (tmp_path / "usage_log.json").write_text(usage_log.to_text(usages))
    done = module("pipeline.incident_report", "no-report.json", FOUND_STATE="sentinel-state-6-1")
    incident, details = done.stdout.splitlines()
    assert incident == "incident=open"
    report = decode(details.removeprefix("details="))
    assert report == IncidentReport(began_at=NOON, failed_runs=3, exit_codes=(4,))
