"""A stand-in for GitHub's REST API of issues: labels, pages, comments, faults."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ROOT_PATH = "/repos/me/sentinel"


@dataclass
class Fault:
    """What the next request of a method gets instead of an answer."""

    method: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "No"
    # Whether GitHub does what was asked all the same: the answer is lost.
    is_done: bool = False


class GitHub(ThreadingHTTPServer):
    """A repository with issues."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issues: list[dict[str, Any]] = []
        self.labels: set[str] = set()
        # By the number of the issue.
        self.comments: dict[int, list[str]] = {}
        self.page_size = 100
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.tokens: set[str | None] = set()
        # When an issue is closed.
        self.now = "2026-11-20T12:00:00Z"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def open_issue(self, body: str, *labels: str) -> dict[str, Any]:
        """Add an issue as a person or another job would."""
        self.labels |= {*labels}
        number = len(self.issues) + 1
        issue = {
            "number": number,
            "state": "open",
            "title": f"Issue {number}",
            "body": body,
            "labels": [{"name": name} for name in labels],
            "closed_at": None,
        }
        self.issues.append(issue)
        return issue

    def close_issue(self, number: int) -> None:
        """Close an issue as a person would."""
        self.issues[number - 1] |= {"state": "closed", "closed_at": self.now}

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Return status and body of an answer."""
        match method, path.split("/")[1:]:
            case "GET", ["issues"]:
                assert query["state"] == "all"
                return 200, self._list(query["labels"])
            case "POST", ["labels"]:
                known = body["name"] in self.labels
                self.labels.add(body["name"])
                return (422, {"message": "Validation Failed"}) if known else (201, body)
            case "POST", ["issues"]:
                assert self.labels >= {*body["labels"]}
                issue = self.open_issue(body["body"], *body["labels"])
                issue["title"] = body["title"]
                return 201, issue
            case "POST", ["issues", number, "comments"]:
                self.comments.setdefault(int(number), []).append(body["body"])
                return 201, body
            case "PATCH", ["issues", number]:
                issue = self.issues[int(number) - 1]
                issue |= body
                if body.get("state") == "closed":
                    issue["closed_at"] = self.now
                return 200, issue
        return 404, {"message": "Not Found"}

    def _list(self, label: str) -> list[dict[str, Any]]:
        found = [i for i in self.issues if {"name": label} in i["labels"]]
        return found[::-1]


class _Handler(BaseHTTPRequestHandler):
    server: GitHub

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        path = address.path.removeprefix(ROOT_PATH)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        content = self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = json.loads(content) if content else None
        self.server.requests.append(f"{self.command} {path}")
        self.server.tokens.add(self.headers["Authorization"])
        fault = next((f for f in self.server.faults if f.method == self.command), None)
        if fault is None or fault.is_done:
            status, answer = self.server.answer(self.command, path, query, body)
        headers = {}
        if fault:
            self.server.faults.remove(fault)
            status, answer, headers = fault.status, {"message": fault.message}, fault.headers
        if isinstance(answer, list):
            answer, headers = self._cut(answer, int(query["page"]))
        self._send(status, answer, headers)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PATCH(self) -> None:
        self.do_GET()

    def _cut(self, issues: list[Any], page: int) -> tuple[list[Any], dict[str, str]]:
        size = self.server.page_size
        end = page * size
        has_more = len(issues) > end
        link = f'<{self.server.url}{ROOT_PATH}/issues?page={page + 1}>; rel="next"'
        return issues[end - size : end], {"Link": link} if has_more else {}

    def _send(self, status: int, answer: object, headers: dict[str, str]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""
