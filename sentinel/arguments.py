"""`type=` functions for argparse: each returns a value or raises ArgumentTypeError.

argparse puts the flag in front of the message and ends with exit code 2.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

MAX_SHOWN = 40  # characters of the user's text in a message
MAX_VALUES = 1_000  # of one parameter
MAX_DIGITS = 9  # of a whole number: int() of a huge one takes seconds


def number(most: Decimal, *, least: Decimal | None = None) -> Callable[[str], Decimal]:
    """Return a type for numbers from `least` to `most`; without `least` they must be above 0."""
    lower = "above 0" if least is None else f"{least} or more"

    def parse(text: str) -> Decimal:
        try:
            value = Decimal(text)
        except InvalidOperation:
            value = Decimal("NaN")
        is_high_enough = value.is_finite() and (value > 0 if least is None else value >= least)
        if is_high_enough and value <= most:
            return value
        raise ArgumentTypeError(
            f"'{text[:MAX_SHOWN]}' must be a number {lower}, {most:,.0f} at most"
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


def names(text: str) -> list[str]:
    """Return the names of a comma-separated list, each once."""
    found = list(dict.fromkeys(term.strip() for term in text.split(",") if term.strip()))
    if not found:
        raise ArgumentTypeError(f"'{text[:MAX_SHOWN]}' holds no name")
    return found


def parameter(text: str) -> tuple[str, float]:
    """Return the name and the value of a parameter such as fast=12."""
    name, values = _parse_values(text, 1, "fast=12")
    return name, values[0]


def parameter_values(text: str) -> tuple[str, list[float]]:
    """Return the name and the values of a parameter such as fast=6,12,24."""
    return _parse_values(text, MAX_VALUES, "fast=6,12,24")


def _parse_values(text: str, most: int, example: str) -> tuple[str, list[float]]:
    name, _, values = text.partition("=")
    try:
        numbers = [float(value) for value in values.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(abs(number) < float("inf") for number in numbers):
        raise ArgumentTypeError(f"'{text[:MAX_SHOWN]}' must look like {example}")
    if len(numbers) > most:
        raise ArgumentTypeError(f"'{text[:MAX_SHOWN]}' has {len(numbers)} values, {most} at most")
    return name.strip(), list(dict.fromkeys(numbers))
