"""What a wallet may be called."""

from __future__ import annotations

from sentinel.errors import ConfigurationError

MAX_NAME_LENGTH = 60


def check_wallet_name(name: str) -> str:
    """Return a name that can be printed, stored and used in a URL path.

    Raises ConfigurationError if the name cannot.
    """
    is_short = name.strip(" .") and len(name) <= MAX_NAME_LENGTH
    if not is_short or not name.isprintable() or "/" in name:
        shown = name[:40].encode("ascii", "backslashreplace").decode()
        raise ConfigurationError(
            f"'{shown}' is not a wallet name: take at most {MAX_NAME_LENGTH} printable characters "
            "without /"
        )
    return name
