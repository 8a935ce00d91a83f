"""Open, comment and close the GitHub issue about an incident of the scheduled runs.

There is one open issue at most, found by its label and by a line in its text. Each start brings the
issue in line with what the scheduled job reports, so a repeated start changes nothing.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline import incident_texts
from pipeline.github_issues import GitHubIssues, GitHubRefused, GitHubUnavailable, Issue
from pipeline.incident_report import IncidentReport, decode
from sentinel.arguments import make_parser
from sentinel.errors import EXIT_OK, ConfigurationError
from sentinel.process import run_as_script

log = logging.getLogger("sentinel.incident")

RETRY_AFTER_SECONDS = (3.0, 10.0)


@dataclass(slots=True)
class IncidentIssue:
    """The issue of a repository about incidents, and where its links lead."""

    issues: GitHubIssues
    run_url: str
    help_url: str
    # Whether an issue tells of the incident already.
    is_open: bool = False

    def report_open(self, report: IncidentReport) -> str:
        """Open the issue, or add causes that it has not mentioned; return what was done.

        An issue that a person closed during the incident stays closed.
        """
        ours = self._find_ours()
        if issue := self._close_duplicates(ours):
            return self._add_causes(issue, report)
        if any(_was_closed_during(issue, report) for issue in ours):
            return "a person closed the issue of this incident: it stays closed"
        title = incident_texts.make_title(report)
        body = incident_texts.make_body(report, self.run_url, self.help_url)
        issue = self.issues.create(title, body)
        self.is_open = True
        # Another job may have opened one at the same time.
        oldest = self._close_duplicates(self._find_ours())
        return f"opened issue #{(oldest or issue).number}"

    def report_end(self, report: IncidentReport) -> str:
        """Close the issue and comment it; return what was done."""
        issue = self._close_duplicates(self._find_ours())
        if issue is None:
            return "no issue is open"
        self.issues.close(issue.number)  # first: GitHub takes no comment on a locked issue
        self.issues.comment(issue.number, incident_texts.make_end(report, self.run_url))
        return f"closed issue #{issue.number}"

    def _find_ours(self) -> list[Issue]:
        """Return the issues that this job opened, the oldest first."""
        labeled = self.issues.list_labeled()
        ours = [each for each in labeled if incident_texts.read_marker(each.body) is not None]
        self.is_open = any(issue.is_open for issue in ours)
        return sorted(ours)

    def _close_duplicates(self, ours: Sequence[Issue]) -> Issue | None:
        """Close all open issues but the oldest, and return that one; None: no issue is open."""
        opened = [issue for issue in ours if issue.is_open]
        for issue in opened[1:]:
            self.issues.comment(issue.number, f"Duplicate of #{opened[0].number}")
            self.issues.close(issue.number)
        return opened[0] if opened else None

    def _add_causes(self, issue: Issue, report: IncidentReport) -> str:
        known = incident_texts.read_marker(issue.body) or ()
        new_codes = tuple(code for code in report.exit_codes if code not in known)
        if not new_codes:
            return f"issue #{issue.number} is open and says what is known"
        text = incident_texts.make_change(report, new_codes, self.run_url)
        self.issues.comment(issue.number, text)
        body = incident_texts.replace_marker(issue.body, (*known, *new_codes))
        self.issues.change_body(issue.number, body)
        return f"issue #{issue.number} has a comment about another cause"


def _was_closed_during(issue: Issue, report: IncidentReport) -> bool:
    begin, end = report.began_at, issue.closed_at
    return begin is not None and end is not None and end >= begin


def repeat(action: Callable[[], str], sleep: Callable[[float], None] = time.sleep) -> str:
    """Return what an action did; repeat it while GitHub does not respond.

    Raises GitHubRefused; GitHubUnavailable if all tries failed.
    """
    for pause in RETRY_AFTER_SECONDS:
        try:
            return action()
        except GitHubUnavailable as error:
            log.info("%s", error)
            sleep(pause)
    return action()


def _make_issue(environ: Mapping[str, str]) -> IncidentIssue:
    """Return the issue of the repository that the variables of a GitHub runner name."""
    names = ("GITHUB_API_URL", "GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    if missing := [name for name in names if not environ.get(name)]:
        raise ConfigurationError(
            f"{', '.join(missing)} is not set: the workflow etl.yml starts this command."
        )
    api_url, token, repository, run_id = (environ[name] for name in names)
    page = f"{environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}"
    issues = GitHubIssues(api_url, repository, token)
    help_url = f"{page}/blob/HEAD/docs/troubleshooting.md"
    return IncidentIssue(issues, f"{page}/actions/runs/{run_id}", help_url)


def main() -> int:
    """Report the incident that the scheduled job's outputs describe."""
    parser = make_parser(
        "python -m pipeline.incident_issue",
        __doc__,
        "example: the job incident of .github/workflows/etl.yml",
    )
    parser.parse_args()
    is_going_on = os.environ.get("INCIDENT") == "open"
    issue, report = _make_issue(os.environ), decode(os.environ.get("DETAILS", ""))
    action = issue.report_open if is_going_on else issue.report_end
    try:
        print(repeat(lambda: action(report)))
    except (GitHubUnavailable, GitHubRefused) as error:
        if is_going_on and not issue.is_open:
            raise  # nothing else tells of the incident, so this job fails
        log.warning("%s", error)
    return EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
