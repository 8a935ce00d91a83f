"""The parser of a command line, and `type=` functions for its arguments.

Each of them returns a value or raises ArgumentTypeError. argparse then puts the flag in front of
the message and ends with exit code 2.
"""

from __future__ import annotations

import re
import stat
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

IGNORE_BUDGET = "--ignore-budget"
MAX_SHOWN = 40  # characters of the user's text in a message
MAX_VALUES = 1_000  # of one parameter
MAX_DIGITS = 9  # of a whole number: int() of a huge one takes seconds
_DURATION = re.compile(r"([0-9]{1,6})\s*(s|m|h|)")


def make_parser(prog: str, description: str | None, epilog: str) -> ArgumentParser:
    """Return a parser that shows its texts as they are written. `epilog` ends with an example."""
    return ArgumentParser(
        prog=prog,
        description=description,
        epilog=epilog,
        formatter_class=RawDescriptionHelpFormatter,
    )


def add_ignore_budget(parser: ArgumentParser) -> None:
    """Add the flag for a large read of Neon that its egress quota does not allow."""
    parser.add_argument(
        IGNORE_BUDGET,
        action="store_true",
        help="read from Neon even if the month's egress quota does not allow it",
    )


def number(most: Decimal | int, *, least: int | None = None) -> Callable[[str], Decimal]:
    """Return a type for numbers from `least` to `most`; without `least` they must be above 0."""
    lower = "above 0" if least is None else f"{least} or more"

    def parse(text: str) -> Decimal:
        try:
            value = Decimal(check_digits(text))
        except (InvalidOperation, ValueError):
            value = Decimal("NaN")
        # Text such as 1e-400 is above 0 as a Decimal, and 0 as a float.
        is_high_enough = value.is_finite() and (
            float(value) > 0 if least is None else value >= least
        )
        if is_high_enough and value <= most:
            return value
        raise ArgumentTypeError(
            f"'{text[:MAX_SHOWN]}' must be a number {lower}, {most:,.0f} at most"
        )

    return parse


def percentage(most: int) -> Callable[[str], float]:
    """Return a type for percentages such as 5%, above 0 % and up to `most`; their value is 0.05.

    A number without % is refused: 5 and 0.05 would both be guesses.
    """

    def parse(text: str) -> float:
        try:
            value = Decimal(check_digits(text.removesuffix("%")))
        except (InvalidOperation, ValueError):
            value = Decimal("NaN")
        share = float(value / 100) if value.is_finite() and value <= most else 0.0
        if text.endswith("%") and share > 0:
            return share
        raise ArgumentTypeError(
            f"'{text[:MAX_SHOWN]}' must be a percentage such as 5%, above 0% and {most}% at most"
        )

    return parse


def whole_number(most: int) -> Callable[[str], int]:
    """Return a type for whole numbers from 1 to `most`."""

    def parse(text: str) -> int:
        is_number = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
        if not is_number or not 1 <= int(text) <= most:
            raise ArgumentTypeError(f"'{text[:MAX_SHOWN]}' must be a whole number, 1 to {most:,}")
        return int(text)

    return parse


def check_digits(text: str) -> str:
    """Return the text. Raises ValueError for digits of other scripts, which Python would take."""
    if not text.isascii():
        raise ValueError(text)
    return text


def interval(text: str) -> timedelta:
    """Return an interval of up to a day, such as 90s, 5m or 1h."""
    found = _DURATION.fullmatch(text.strip())
    units = {"s": "seconds", "": "seconds", "m": "minutes", "h": "hours"}
    value = timedelta(**{units[found[2]]: int(found[1])}) if found else timedelta()
    if not timedelta() < value <= timedelta(days=1):
        raise ArgumentTypeError(
            f"'{text[:MAX_SHOWN]}' is not an interval of up to a day: write 90s, 5m or 1h"
        )
    return value


def day(text: str) -> date:
    """Return a day such as 2026-10-01."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"'{text[:MAX_SHOWN]}' is not a day such as 2026-10-01") from error


def moment(text: str) -> datetime:
    """Return a moment from 2000 to 2199. Without a time zone it is in UTC."""
    try:
        at = datetime.fromisoformat(text)
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        at = datetime.min.replace(tzinfo=UTC)
    if not 2000 <= at.year < 2200:
        raise ArgumentTypeError(
            f"'{text[:MAX_SHOWN]}' is not a time: write it as 2026-11-20T12:00:00Z"
        )
    return at


def end_moment(text: str) -> datetime:
    """Return the moment at which a span ends: a moment, or the end of a day such as 2026-11-20."""
    try:
        is_day = bool(date.fromisoformat(text))
    except ValueError:
        is_day = False
    return moment(text) + timedelta(days=is_day)


def existing_file(text: str) -> Path:
    """Return the path of a file that exists. A pipe is a file too, a folder is none."""
    try:
        is_folder = stat.S_ISDIR(Path(text).stat().st_mode)
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(f"'{text[:200]}': no such file") from error
    if is_folder:
        raise ArgumentTypeError(f"'{text[:200]}' is a folder, not a file")
    return Path(text)


def text(given: str) -> str:
    """Return a text that PostgreSQL can store: its bytes are valid UTF-8."""
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise ArgumentTypeError(f"{given[:MAX_SHOWN]!a} is not valid UTF-8") from error
    return given


def names(text: str) -> list[str]:
    """Return the names of a comma-separated list, each once."""
    found = list(dict.fromkeys(term.strip() for term in text.split(",") if term.strip()))
    if not found:
        raise ArgumentTypeError(f"'{text[:MAX_SHOWN]}' holds no name")
    return found


def parameter(text: str) -> tuple[str, str]:
    """Return the name and the value of a parameter such as fast=12 or mode=slow."""
    return _split_parameter(text, "fast=12")


def parameter_values(text: str) -> tuple[str, list[str]]:
    """Return the name and the values of a parameter such as fast=6,12,24."""
    name, values = _split_parameter(text, "fast=6,12,24")
    found = list(dict.fromkeys(value.strip() for value in values.split(",")))
    if not all(found):
        raise ArgumentTypeError(f"'{text[:MAX_SHOWN]}' must look like fast=6,12,24")
    if len(found) > MAX_VALUES:
        raise ArgumentTypeError(
            f"'{text[:MAX_SHOWN]}' has {len(found)} values, {MAX_VALUES} at most"
        )
    return name, found


def _split_parameter(text: str, example: str) -> tuple[str, str]:
    name, _, value = (part.strip() for part in text.partition("="))
    if not name or not value or not value.isprintable():
        raise ArgumentTypeError(f"'{text[:MAX_SHOWN]}' must look like {example}")
    return name, value
