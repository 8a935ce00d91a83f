"""Assertions about commands that ran as processes."""

from __future__ import annotations

import subprocess

# Values of the tests' settings that no output may contain.
SECRETS = ("hunter2", "a-demo-key")


def assert_error(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Assert one or two plain lines on stderr with these words, and no traceback."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("usage:")]
    errors = [line for line in lines if "error: " in line]
    assert len(errors) == 1
    for word in words:
        assert word in errors[0]
    for secret in SECRETS:
        assert secret not in done.stdout + done.stderr
