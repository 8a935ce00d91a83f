"""Times that people write: 30m, 2h, 1d, 1w. Pure."""

from __future__ import annotations

import re
from datetime import timedelta

_FORM = re.compile(r"([0-9]{1,4})(m|h|d|w)", re.IGNORECASE)
_UNITS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def parse_duration(text: str, longest: timedelta) -> timedelta | None:
    """Return a duration above zero; None if it has another form or is longer than `longest`."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    duration = int(match[1]) * _UNITS[match[2].lower()]
    return duration if timedelta() < duration <= longest else None
