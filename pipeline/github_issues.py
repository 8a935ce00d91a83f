"""GitHub's REST API for issues, as far as an incident needs it.

https://docs.github.com/en/rest/issues/issues
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import requests

from sentinel.errors import ConfigurationError, SentinelError

# Only who may triage can set a label, so a stranger's issue never has it.
LABEL = "market-sentinel-incident"
TIMEOUT_SECONDS = 10.0
MAX_PAGES = 10  # of 100 issues
_REMEDIES = {
    403: "give the job the right issues: write, and allow it under Settings, Actions",
    404: "turn on Issues under Settings, General, Features",
    410: "turn on Issues under Settings, General, Features",
}


class GitHubUnavailable(SentinelError):
    """GitHub does not respond. The next run tries again."""


class GitHubRefused(ConfigurationError):
    """GitHub rejects the request, and a retry does not help."""


class Issue(NamedTuple):
    """An issue with our label."""

    number: int
    is_open: bool
    body: str
    # UTC; None while it is open.
    closed_at: datetime | None


class GitHubIssues:
    """The issues of one repository. Its methods raise GitHubUnavailable and GitHubRefused."""

    def __init__(self, api_url: str, repository: str, token: str) -> None:
        self._url = f"{api_url}/repos/{repository}"
        self._session = requests.Session()
        self._session.headers.update(
            {
                "Authorization": f"Bearer {token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            }
        )

    def list_labeled(self) -> list[Issue]:
        """Return the issues with our label, open and closed, the newest first."""
        return [_parse(each) for each in self._pages() if "pull_request" not in each]

    def create(self, title: str, body: str) -> Issue:
        """Open an issue with our label.

        The label exists before the issue does: GitHub may drop labels that it does not know.
        """
        label = {"name": LABEL, "color": "b60205", "description": "Scheduled runs fail"}
        self._request("POST", "/labels", json=label, accepted=(422,))  # 422: it exists
        content = {"title": title, "body": body, "labels": [LABEL]}
        return _parse(self._request("POST", "/issues", json=content).json())

    def comment(self, number: int, text: str) -> None:
        """Add a comment to an issue."""
        self._request("POST", f"/issues/{number}/comments", json={"body": text})

    def change_body(self, number: int, body: str) -> None:
        """Replace the text of an issue."""
        self._request("PATCH", f"/issues/{number}", json={"body": body})

    def close(self, number: int) -> None:
        """Close an issue."""
        changed = {"state": "closed", "state_reason": "completed"}
        self._request("PATCH", f"/issues/{number}", json=changed)

    def _pages(self) -> Iterator[dict[str, Any]]:
        parameters = {"labels": LABEL, "state": "all", "per_page": 100}
        for page in range(1, MAX_PAGES + 1):
            response = self._request("GET", "/issues", params={**parameters, "page": page})
            yield from response.json()
            if "next" not in response.links:
                return

    def _request(
        self, method: str, path: str, *, accepted: tuple[int, ...] = (), **content: Any
    ) -> requests.Response:
        try:
            response = self._session.request(
                method, self._url + path, timeout=TIMEOUT_SECONDS, allow_redirects=False, **content
            )
        except requests.RequestException as error:
            name = type(error).__name__
            raise GitHubUnavailable(f"GitHub does not answer {method} {path} ({name}).") from error
        if 200 <= response.status_code < 300 or response.status_code in accepted:
            return response
        raise _make_error(response, f"{method} {path}")


def _make_error(response: requests.Response, call: str) -> SentinelError:
    status = response.status_code
    said = f"GitHub answered {status} to {call}: {_read_message(response)}."
    headers = response.headers
    is_limit = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
    if status >= 500 or status == 429 or (status == 403 and is_limit):
        return GitHubUnavailable(f"{said} The next run tries again.")
    remedy = _REMEDIES.get(status, "look at the message")
    return GitHubRefused(f"{said} To have incidents as issues, {remedy}.")


def _read_message(response: requests.Response) -> str:
    try:
        return str(response.json()["message"])[:200].rstrip(".")
    except (ValueError, TypeError, KeyError):
        return response.reason or "no message"


def _parse(issue: dict[str, Any]) -> Issue:
    closed_at = issue.get("closed_at")
    return Issue(
        issue["number"],
        issue["state"] == "open",
        issue.get("body") or "",
        datetime.fromisoformat(closed_at) if closed_at else None,
    )
