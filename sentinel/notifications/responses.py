"""The result of one attempt to send a message, and what an HTTP status says about it."""

from __future__ import annotations

from typing import NamedTuple


class SendResult(NamedTuple):
    """The result of one attempt to send a message."""

    has_arrived: bool
    error: str = ""
    # The pause that the target asked for.
    retry_after_seconds: float | None = None
    # The target works and rejected this message.
    is_rejected: bool = False


def interpret_status(
    label: str, status: int, retry_after_seconds: float | None = None, reason: str = ""
) -> SendResult:
    """Return the result of a message that a target answered with this HTTP status.

    `label` names the target in the error; `reason` is the target's own explanation.
    """
    if 200 <= status < 300:
        return SendResult(True)
    # The other 4xx codes are about the target or its key, not about this message.
    is_rejected = 400 <= status < 500 and status not in (401, 403, 404, 408, 429)
    error = f"{label} answered {status}{reason and ': '}{reason}"
    return SendResult(False, error, retry_after_seconds, is_rejected)
