"""`badge.json`: a deployment's state for a badge of shields.io. Pure.

The format: https://shields.io/badges/endpoint-badge
"""

from __future__ import annotations

import json
import math

from sentinel.health.facts import CheckState
from sentinel.site.status import Status

LABEL = "market sentinel"
COLORS: dict[CheckState, str] = {"ok": "brightgreen", "warning": "yellow", "unhealthy": "red"}
DAYS = 7  # of the share


def format_badge(status: Status) -> str:
    """Return the badge as JSON. It names its day, because a badge cannot turn old by itself."""
    message = f"{status.state} · {_describe_delivery(status)}{status.generated_at:%Y-%m-%d}"
    badge = {
        "schemaVersion": 1,
        "label": LABEL,
        "message": message,
        "color": COLORS[status.state],
        # Then the address of the badge cannot set another color.
        "isError": status.state == "unhealthy",
    }
    return json.dumps(badge, ensure_ascii=False, indent=1) + "\n"


def _describe_delivery(status: Status) -> str:
    for totals in status.schedule.totals if status.schedule else []:
        if totals.days == DAYS and totals.expected:
            # Rounded down: 100 % means all.
            percent = math.floor(100 * totals.delivered / totals.expected)
            return f"{percent} % of {DAYS} days delivered · "
    return ""
